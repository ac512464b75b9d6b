"""Draws ../evidence/training.png from the logs beside it.

    python curve.py
"""
import csv

import matplotlib.pyplot as plt

from domain import CHECKPOINT

EVIDENCE = CHECKPOINT / "evidence"


def rows(name):
    with open(EVIDENCE / name, newline="") as file:
        return list(csv.DictReader(file))


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
vae = [r for r in rows("vae.csv") if float(r["seconds"]) > 0]
for size in (64, 128):
    points = [(float(r["seconds"]), float(r[f"psnr_{size}"])) for r in vae if r[f"psnr_{size}"]]
    left.plot(*zip(*points), label=f"{size}x{size} clips")
left.set(title="VAE: reconstruction", xlabel="seconds on one H200", ylabel="PSNR of training clips, dB")
left.legend()

start, last, stages = 0.0, 0.0, {}
for r in rows("denoiser.csv"):
    if r["step"] == "1":  # a stage begins; its first step is no average
        start += last
    else:
        stages.setdefault(r["stage"], []).append((start + float(r["seconds"]), float(r["loss"])))
    last = float(r["seconds"])
for name, points in stages.items():
    right.plot(*zip(*points), label=f"stage {name}")
right.set(title="Denoiser: mean squared error of v", xlabel="seconds on one H200", ylim=(0.03, 0.13))
right.legend()
figure.tight_layout()
figure.savefig(EVIDENCE / "training.png", dpi=110)
