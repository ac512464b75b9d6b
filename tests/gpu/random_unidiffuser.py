"""A UniDiffuser whose U-ViT and autoencoder have UniDiffuser-v1's shapes with random weights in bf16 (2 GB): 24 heads of
64 channels, 31 layers with skips, 1,105 tokens, 512x512 pictures.

    random_unidiffuser.py FOLDER

Its encoders, tokenizers and caption decoder are those of the tiny checkpoint of the goldens: what is timed is a step.
Needs tests/oracle/requirements.txt.
"""

import argparse
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.pipelines.deprecated.unidiffuser import UniDiffuserModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "oracle"))
import unidiffuser_model as tiny

TEXT_DIM = 16  # the tiny caption decoder's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with torch.no_grad():
        tiny.v1(folder)
        for part in ("unet", "vae"):
            shutil.rmtree(folder / part)
        torch.manual_seed(0)
        torch.set_default_device("cuda" if torch.cuda.is_available() else "cpu")
        UniDiffuserModel(
            text_dim=TEXT_DIM, clip_img_dim=tiny.CLIP_IMAGE_WIDTH, num_text_tokens=tiny.TEXT_TOKENS, num_attention_heads=24,
            attention_head_dim=64, in_channels=4, out_channels=4, num_layers=30, sample_size=64, patch_size=2,
            activation_fn="gelu", use_data_type_embedding=True).to(torch.bfloat16).save_pretrained(folder / "unet")
        AutoencoderKL(
            block_out_channels=[128, 256, 512, 512], down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4, latent_channels=4, layers_per_block=2,
            sample_size=512).to(torch.bfloat16).save_pretrained(folder / "vae")


if __name__ == "__main__":
    main()
