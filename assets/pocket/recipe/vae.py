"""Trains the video autoencoder on whole drawn clips, through the peer's own frame batches and caches.

    python vae.py --model DIR --seconds 330 [--log FILE]

The first half of the time goes to 64x64 clips (a quarter of the cost), the rest to 128x128 with some 64x64 between. The
learning rate falls to zero over the stage. Afterwards each latent channel is scaled to unit variance inside the weights.
"""
import argparse
import csv
import math
import time

import torch

import parts
from domain import DOMAIN
from draw import draw_clips
from optim import Optimiser, recorded

SMALL_SHARE = 0.4      # of the time, at the small size
BATCH = {64: 16, 128: 8}


def is_matrix(name):
    """Convolutions with a kernel inside the network; not the thin ones at its ends, nor those that steer the norms."""
    return name.endswith("weight") and not any(s in name for s in ("norm", "conv_in", "conv_out", "conv_y", "conv_b"))


def psnr(mean_square_error):
    return 10 * math.log10(4 / mean_square_error)


@torch.no_grad()
def evaluate(vae, size, clips, device):
    """PSNR over whole fresh clips, autoencoded without noise."""
    total, seen = 0.0, 0
    while seen < clips:
        x, _ = draw_clips(BATCH[size], size, device=device, dtype=torch.bfloat16)
        y = vae.decode(vae.encode(x).latent_dist.mode()).sample
        total += (y.float().clamp(-1, 1) - x.float()).square().mean().item() * len(x)
        seen += len(x)
    return psnr(total / seen)


@torch.no_grad()
def scale_latents(vae, device, clips=64):
    """Gives every latent channel unit deviation, exactly, by scaling the weights that write and read it."""
    z = torch.cat([vae.encode(draw_clips(8, device=device, dtype=torch.bfloat16)[0]).latent_dist.mode().float()
                   for _ in range(clips // 8)])
    std, mean = z.std((0, 2, 3, 4)), z.mean((0, 2, 3, 4))
    print("latent std", std.tolist(), "mean", mean.tolist(), flush=True)
    scale = (1 / std).to(vae.dtype)
    last = vae.encoder.conv_out.conv
    channels = len(scale)
    last.weight[:channels] *= scale[:, None, None, None, None]
    last.bias[:channels] *= scale
    last.bias[channels:] += 2 * scale.log()
    readers = [vae.decoder.conv_in.conv] + [m.conv for n, m in vae.decoder.named_modules() if n.endswith(("conv_y", "conv_b"))]
    for conv in readers:
        conv.weight /= scale[None, :, None, None, None]


def train(vae, device, seconds, peak, kl_weight, log):
    vae.to(device, torch.bfloat16)
    if device == "cuda":
        for w in vae.parameters():
            if w.dim() == 5:
                w.data = w.data.to(memory_format=torch.channels_last_3d)
    opt = Optimiser(dict(vae.named_parameters()), is_matrix, weight_decay=1e-3)
    steps, inputs = {}, {}

    def prepare(size):
        inputs[size] = torch.zeros(BATCH[size], 3, DOMAIN.frames, size, size, device=device, dtype=torch.bfloat16)
        if device == "cuda":
            inputs[size] = inputs[size].to(memory_format=torch.channels_last_3d)

        def step():
            x = inputs[size]
            posterior = vae.encode(x).latent_dist
            y = vae.decode(posterior.sample()).sample
            error = (y - x).float()
            kl = 0.5 * (posterior.mean.float().square() + posterior.var.float() - 1 - posterior.logvar.float()).mean()
            square = error.square().mean()
            (error.abs().mean() + 2 * square + kl_weight * kl).backward()
            opt.step()
            return torch.stack([square.detach(), kl.detach()])

        inputs[size].copy_(draw_clips(BATCH[size], size, device=device)[0])
        steps[size] = recorded(step)

    opt.set(0.0)
    for size in sorted(BATCH):
        prepare(size)
    start, done, said, sums, counts = time.time(), 0, 0.0, {s: 0 for s in BATCH}, {s: 0 for s in BATCH}
    while (elapsed := time.time() - start) < seconds:
        progress = elapsed / seconds
        size = 64 if progress < SMALL_SHARE or done % 4 == 0 else 128
        opt.set(peak * min(1, (done + 1) / 100) * max(0.01, 0.5 * (1 + math.cos(math.pi * progress))))
        inputs[size].copy_(draw_clips(BATCH[size], size, device=device, dtype=torch.bfloat16)[0])
        sums[size] = sums[size] + steps[size]()
        counts[size] += 1
        done += 1
        if elapsed - said > 10 or done == 1:
            said = elapsed
            row = [f"{elapsed:.0f}", done, f"{opt.learning_rate.item():.2e}"]
            for s in sorted(BATCH):
                square, kl = (sums[s] / counts[s]).tolist() if counts[s] else (float("nan"),) * 2
                row += [f"{psnr(square):.2f}" if square == square else "", f"{kl:.3f}" if kl == kl else ""]
                sums[s], counts[s] = 0, 0
            log(row)
        elif device == "cuda" and done % 4 == 0:
            torch.cuda.synchronize()  # so that the clock above sees the work, not its submission


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--seconds", type=float, required=True)
    arguments.add_argument("--learning-rate", type=float, default=2e-3)
    arguments.add_argument("--kl-weight", type=float, default=3e-5)
    arguments.add_argument("--log", default="vae.csv")
    arguments.add_argument("--tiny", action="store_true", help="a toy of the same form, to try the recipe on a CPU")
    a = arguments.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    if a.tiny:
        BATCH.update({64: 2, 128: 1})
    vae = parts.load(a.model, "vae", lambda: parts.new_vae(a.tiny))
    with open(a.log, "a", newline="") as file:
        out = csv.writer(file)
        out.writerow(["seconds", "step", "learning_rate", "psnr_64", "kl_64", "psnr_128", "kl_128"])

        def log(row):
            out.writerow(row)
            file.flush()
            print("vae", *row, flush=True)

        train(vae, device, a.seconds, a.learning_rate, a.kl_weight, log)
    scale_latents(vae, device, 8 if a.tiny else 64)
    for size in sorted(BATCH):
        print(f"whole clips {size}: {evaluate(vae, size, 2 if a.tiny else 128, device):.2f} dB", flush=True)
    vae.to("cpu", torch.float32).save_pretrained(f"{a.model}/vae")


if __name__ == "__main__":
    main()
