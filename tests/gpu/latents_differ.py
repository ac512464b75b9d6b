"""Whether quantized clips of two devices differ by more than rounding and their own errors explain.

    latents_differ.py FULL_A FULL_B INT8_A INT8_B      final latents, as bitreel generate --save-latents writes them

Prints relative L2s: full precision between the devices, quantized between them, quantized from full on each. Errors that
know nothing of each other add up by squares, so exits with 1 when the second is above the root of the others' squares.
Needs no package.
"""

import json
import math
import struct
import sys
from array import array


def latents(path: str) -> array:
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    tensor = header["latents"]
    begin, end = tensor["data_offsets"]
    data = data[begin:end]
    if tensor["dtype"] == "F32":
        return array("f", data)
    if tensor["dtype"] == "F16":
        return array("f", (x for (x,) in struct.iter_unpack("<e", data)))
    if tensor["dtype"] == "BF16":  # the upper half of an fp32 number
        return array("f", array("I", (bits << 16 for bits in array("H", data))).tobytes())
    sys.exit(f"{path}: latents are {tensor['dtype']}, expected F32, F16 or BF16, as --save-latents writes them")


def difference(a: str, b: str) -> float:
    x, y = latents(a), latents(b)
    if len(x) != len(y):
        sys.exit(f"{a} holds {len(x)} numbers, {b} {len(y)}")
    return math.sqrt(sum((p - q) ** 2 for p, q in zip(x, y)) / sum(q * q for q in y))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    full_a, full_b, quantized_a, quantized_b = sys.argv[1:]
    full, quantized = difference(full_a, full_b), difference(quantized_a, quantized_b)
    errors = difference(quantized_a, full_a), difference(quantized_b, full_b)
    explained = math.hypot(full, *errors)
    print(f"between devices: full precision {full:.4f}, quantized {quantized:.4f}, ratio {quantized / full:.2f}")
    print(f"quantized from full precision: {errors[0]:.4f} and {errors[1]:.4f}, which with rounding explain {explained:.4f}")
    sys.exit(quantized > explained)
