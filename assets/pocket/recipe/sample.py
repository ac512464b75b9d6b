"""Renders prompts with the peer's pipeline at its default settings.

    python sample.py --model CHECKPOINT --sheet sheet.png                    # 16 unseen prompts, one picture
    python sample.py --model CHECKPOINT --clips clips.npz --prompts 130      # the frames themselves
"""
import argparse
import json

import cv2
import numpy as np
import torch
from diffusers import CogVideoXPipeline

from domain import CHECKPOINT

UNSEEN = CHECKPOINT.parent / "prompts" / "unseen-100.json"
SHEET_FRAMES = (0, 6, 12, 18, 24)


def contact_sheet(clips, prompts, path):
    """clips [n, frames, height, width, 3] uint8: a row of five frames each under its prompt, two rows beside each other."""
    rows = []
    for clip, prompt in zip(clips, prompts):
        strip = np.concatenate([clip[min(f, len(clip) - 1)] for f in SHEET_FRAMES], 1)
        title = np.full((16, strip.shape[1], 3), 255, np.uint8)
        cv2.putText(title, prompt, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.37, (0, 0, 0), 1, cv2.LINE_AA)
        rows.append(np.concatenate([title, strip], 0))
    if len(rows) % 2:
        rows.append(np.full_like(rows[0], 255))
    columns = np.concatenate([np.concatenate(rows[0::2], 0), np.concatenate(rows[1::2], 0)], 1)
    cv2.imwrite(str(path), columns[..., ::-1])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", default=str(CHECKPOINT))
    arguments.add_argument("--prompts", type=int, default=16, help="how many unseen prompts, spread over the file")
    arguments.add_argument("--steps", type=int, default=50)
    arguments.add_argument("--guidance-scale", type=float, default=6.0)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--batch", type=int, default=130)
    arguments.add_argument("--dtype", default="bfloat16")
    arguments.add_argument("--sheet")
    arguments.add_argument("--clips")
    a = arguments.parse_args()
    entries = json.loads(UNSEEN.read_text())
    entries = [entries[round(i * (len(entries) - 1) / max(1, a.prompts - 1))] for i in range(a.prompts)]
    prompts = [e["prompt"] for e in entries]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = CogVideoXPipeline.from_pretrained(a.model, dtype=getattr(torch, a.dtype)).to(device)
    pipeline.vae.enable_slicing()
    clips = []
    for i in range(0, len(prompts), a.batch):
        generators = [torch.Generator().manual_seed(a.seed + i + k) for k in range(len(prompts[i : i + a.batch]))]
        frames = pipeline(prompts[i : i + a.batch], num_inference_steps=a.steps, guidance_scale=a.guidance_scale,
                          generator=generators, output_type="np").frames
        clips.append((frames * 255).round().astype(np.uint8))
    clips = np.concatenate(clips)
    if a.clips:
        np.savez_compressed(a.clips, clips=clips, entries=json.dumps(entries))
    if a.sheet:
        pick = [round(i * (len(prompts) - 1) / 15) for i in range(16)] if len(prompts) >= 16 else range(len(prompts))
        contact_sheet(clips[list(pick)], [prompts[i] for i in pick], a.sheet)


if __name__ == "__main__":
    main()
