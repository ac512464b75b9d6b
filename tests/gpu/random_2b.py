"""A checkpoint of CogVideoX-2b's shape with random weights: 30 heads of 64 channels, 30 layers, in bf16 (2.7 GB).

    random_2b.py FOLDER [--layers 30]

Everything else is the default model's. Its VAE makes a quarter of the side where the real one makes an eighth, so that
360x240 and 49 frames are the real model's 17,776 tokens. Needs torch and safetensors.
"""

import argparse
import json
import math
import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HEADS, DEFAULT_HEADS, HEAD_DIM = 30, 4, 64
POCKET = Path(__file__).resolve().parents[2] / "assets" / "pocket"


def widened(size: int) -> int:
    """Multiples of the default model's width become the same multiples of 2b's."""
    width = DEFAULT_HEADS * HEAD_DIM
    return size // width * HEADS * HEAD_DIM if size % width == 0 else size


def tensor_like(name: str, shape: torch.Size) -> torch.Tensor:
    sizes = [widened(size) for size in shape]
    if len(sizes) == 1:
        return torch.ones(sizes) if "norm" in name and name.endswith("weight") and "linear" not in name else torch.zeros(sizes)
    return torch.randn(sizes) / math.sqrt(math.prod(sizes[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=30)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    shutil.copytree(POCKET, arguments.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("evidence", "recipe"))
    transformer = arguments.folder / "transformer"
    config = json.loads((transformer / "config.json").read_text())
    config |= {"num_attention_heads": HEADS, "num_layers": arguments.layers, "sample_width": 90, "sample_height": 60,
               "sample_frames": 49}
    (transformer / "config.json").write_text(json.dumps(config, indent=2))
    weights = {}
    for name, tensor in load_file(POCKET / "transformer" / "diffusion_pytorch_model.safetensors").items():
        block = re.match(r"transformer_blocks\.(\d+)\.(.*)", name)
        if block is None:
            weights[name] = tensor_like(name, tensor.shape).bfloat16()
        elif block[1] == "0":
            for layer in range(arguments.layers):
                weights[f"transformer_blocks.{layer}.{block[2]}"] = tensor_like(name, tensor.shape).bfloat16()
    save_file(weights, transformer / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
