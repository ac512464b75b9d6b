"""Whether clips of two devices differ less in one precision than in another.

    latents_differ.py FULL_A FULL_B INT8_A INT8_B      final latents, as bitreel generate --save-latents writes them

Prints the relative L2 of both pairs and exits with 1 when the second is larger than the first. Needs no package.
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
    full, quantized = difference(*sys.argv[1:3]), difference(*sys.argv[3:5])
    print(f"between devices: full precision {full:.4f}, quantized {quantized:.4f}, ratio {quantized / full:.2f}")
    sys.exit(quantized > full)
