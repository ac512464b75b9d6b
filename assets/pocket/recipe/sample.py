"""Renders unseen prompts with the peer's pipeline at its default settings, as frames, and makes videos of them.

    python sample.py --model CHECKPOINT --clips clips.npz     # where the GPU is
    python sample.py --unpack clips.npz DIR                   # where ffmpeg is: DIR/000.mp4 and on, for `bitreel judge`
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import CogVideoXPipeline

from domain import CHECKPOINT
from draw import write_mp4

UNSEEN = CHECKPOINT.parent / "prompts" / "unseen-100.json"


def unpack(clips, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for i, frames in enumerate(np.load(clips)["clips"]):
        write_mp4(torch.from_numpy(frames).permute(3, 0, 1, 2) / 127.5 - 1, folder / f"{i:03d}.mp4")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", default=str(CHECKPOINT))
    arguments.add_argument("--prompts", type=int, default=130, help="how many of the file's, from its beginning")
    arguments.add_argument("--steps", type=int, default=50)
    arguments.add_argument("--guidance-scale", type=float, default=6.0)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--batch", type=int, default=130)
    arguments.add_argument("--dtype", default="bfloat16")
    arguments.add_argument("--clips", metavar="FILE", help="the frames [n, 25, 128, 128, 3]")
    arguments.add_argument("--unpack", nargs=2, metavar=("CLIPS", "DIR"))
    a = arguments.parse_args()
    if a.unpack:
        unpack(*a.unpack)
        return
    if not a.clips:
        arguments.error("--clips says where the frames go")
    prompts = [entry["prompt"] for entry in json.loads(UNSEEN.read_text())[: a.prompts]]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = CogVideoXPipeline.from_pretrained(a.model, dtype=getattr(torch, a.dtype)).to(device)
    pipeline.vae.enable_slicing()
    clips = []
    for i in range(0, len(prompts), a.batch):
        generators = [torch.Generator().manual_seed(a.seed + i + k) for k in range(len(prompts[i : i + a.batch]))]
        frames = pipeline(prompts[i : i + a.batch], num_inference_steps=a.steps, guidance_scale=a.guidance_scale,
                          generator=generators, output_type="np").frames
        clips.append((frames * 255).round().astype(np.uint8))
    np.savez_compressed(a.clips, clips=np.concatenate(clips))


if __name__ == "__main__":
    main()
