"""A checkpoint whose transformer is as wide as CogVideoX-2b's (30 heads of 64) and as long as its clips, with random
weights and few layers; tokenizer, text encoder and VAE are a golden's.

    python tests/oracle/wide.py --layers 2 --output out/wide
    bitreel calibrate --model out/wide --width 720 --height 480 --num-frames 49 ...      # 17,776 tokens
"""

import argparse
import shutil
from pathlib import Path

import checkpoints

GOLDEN = Path(__file__).parents[1] / "golden" / "cog2b" / "model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=30)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    shutil.copytree(GOLDEN, arguments.output)
    shutil.rmtree(arguments.output / "transformer")
    model = checkpoints.transformer("wide", num_layers=arguments.layers, num_attention_heads=arguments.heads,
                                    attention_head_dim=64, in_channels=8, out_channels=8, time_embed_dim=512,
                                    sample_width=90, sample_height=60, sample_frames=49)
    model.bfloat16().save_pretrained(arguments.output / "transformer")


if __name__ == "__main__":
    main()
