"""Trains the autoencoder of pictures on drawn stills.

    python autoencoder.py --model DIR --seconds 110 [--log FILE]

Afterwards each latent channel has zero mean and unit deviation, exactly, inside the weights: scaling_factor is 1.
"""
import argparse
import csv
import math
import time

import torch

import joint_parts as parts
from stills import draw_stills

from optim import Optimiser, recorded

BATCH = 48


def is_matrix(name):
    """Convolutions with a kernel inside the network and attention's; not the thin ones at its ends, nor the norms."""
    return name.endswith("weight") and not any(s in name for s in ("norm", "conv_in", "conv_out", "quant_conv"))


def psnr(mean_square_error):
    return 10 * math.log10(4 / mean_square_error)


@torch.no_grad()
def evaluate(vae, pictures, batch, device):
    """PSNR over fresh pictures, autoencoded without noise."""
    total = 0.0
    for _ in range(pictures // batch):
        x, _ = draw_stills(batch, device=device)
        total += (vae.decode(vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1) - x).square().mean().item()
    return psnr(total / (pictures // batch))


@torch.no_grad()
def normalise(vae, pictures, batch, device):
    z = torch.cat([vae.encode(draw_stills(batch, device=device)[0]).latent_dist.mode() for _ in range(pictures // batch)])
    mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
    print("latent mean", mean.tolist(), "deviation", std.tolist(), flush=True)
    write, read, channels = vae.quant_conv, vae.post_quant_conv, len(mean)
    write.weight[:channels] /= std[:, None, None, None]
    write.bias[:channels] = (write.bias[:channels] - mean) / std
    write.bias[channels:] -= 2 * std.log()  # of the variance
    read.bias += read.weight[:, :, 0, 0] @ mean
    read.weight *= std[None, :, None, None]


def train(vae, device, seconds, batch, peak, kl_weight, log):
    vae.to(device, torch.bfloat16).train()
    if device == "cuda":
        vae.to(memory_format=torch.channels_last)
    weights = dict(vae.named_parameters())
    opt = Optimiser(weights, is_matrix, weight_decay=1e-3)
    x = draw_stills(batch, device=device, dtype=torch.bfloat16)[0]

    def step():
        posterior = vae.encode(x).latent_dist
        error = (vae.decode(posterior.sample()).sample - x).float()
        kl = 0.5 * (posterior.mean.float().square() + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        square = error.square().mean()
        (error.abs().mean() + 2 * square + kl_weight * kl).backward()
        opt.step()
        return torch.stack([square.detach(), kl.detach()])

    opt.set(0.0)
    step = recorded(step)
    start, done, said, total, count = time.time(), 0, 0.0, 0, 0
    while (elapsed := time.time() - start) < seconds:
        progress = elapsed / seconds
        opt.set(peak * min(1, (done + 1) / 100) * max(0.01, 0.5 * (1 + math.cos(math.pi * progress))),
                max(1 / 100, 1 / (done + 1)))
        x.copy_(draw_stills(batch, device=device, dtype=torch.bfloat16)[0])
        total, done, count = total + step(), done + 1, count + 1
        if elapsed - said > 10 or done == 1:
            square, kl = (total / count).tolist()
            log([f"{elapsed:.0f}", done, f"{opt.learning_rate.item():.2e}", f"{psnr(square):.2f}", f"{kl:.3f}"])
            said, total, count = elapsed, 0, 0
        elif device == "cuda" and done % 4 == 0:
            torch.cuda.synchronize()  # so that the clock above sees the work, not its submission
    return parts.averaged(vae, opt.averaged(weights)).eval()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--seconds", type=float, required=True)
    arguments.add_argument("--learning-rate", type=float, default=2e-3)
    arguments.add_argument("--kl-weight", type=float, default=1e-4)
    arguments.add_argument("--log", default="autoencoder.csv")
    arguments.add_argument("--tiny", action="store_true", help="a toy of the same form, to try the recipe on a CPU")
    a = arguments.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    vae = parts.load(a.model, "vae", lambda: parts.new_vae(a.tiny))
    batch = 2 if a.tiny else BATCH
    with open(a.log, "a", newline="") as file:
        out = csv.writer(file)
        out.writerow(["seconds", "step", "learning_rate", "psnr", "kl"])

        def log(row):
            out.writerow(row)
            file.flush()
            print("autoencoder", *row, flush=True)

        train(vae, device, a.seconds, batch, a.learning_rate, a.kl_weight, log)
    normalise(vae, 4 if a.tiny else 768, batch, device)
    print(f"fresh pictures: {evaluate(vae, 4 if a.tiny else 768, batch, device):.2f} dB", flush=True)
    parts.save(a.model, "vae", vae)


if __name__ == "__main__":
    main()
