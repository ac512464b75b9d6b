"""Trains the U-ViT on latents of drawn stills and their captions, all modes at once.

    python uvit.py --model DIR --seconds 290 [--log FILE]

Needs what autoencoder.py and words.py left in DIR. Pictures and captions are drawn and encoded; then the noise of a
picture's and a caption's latents is predicted, each at a timestep of its own (arXiv 2303.06555), while new pictures and
captions take the place of those seen longest: a fixed set is learnt by heart (README.md). A batch holds every task that
generation asks for, in fixed shares:

- a picture from its caption as it is (timestep 0), and a caption from its picture;
- both at one timestep, as joint generation goes, and both at independent ones;
- one of them while the other is noise alone (timestep 1000): `image`, `text`, and what guidance leads away from.

A caption told of a picture gets noise with a drift away from another caption. Guidance overshoots in that direction, and latents
that it has made longer look like those of two objects: without the drift a network believes them rather than the picture, and at a
guidance of 8 told in every eighth caption of a second object that was not there.

DIR/unet gets a running average of the weights. A stage goes on from what is there.
"""
import argparse
import csv
import random
import time

import torch

import bpe
import joint_parts as parts
from stills import draw_still_labels, draw_stills, say

from optim import Optimiser, recorded

# Of a batch: (share, timestep of the picture, of the caption). "free": its own; "same": the picture's.
TASKS = ((0.14, "free", 0), (0.42, 0, "free"), (0.24, "free", "same"), (0.02, "free", "free"),
         (0.06, "free", parts.STEPS), (0.12, parts.STEPS, "free"))
DRIFT = 1.0                           # at most, of the way from another caption to the own one, in deviations of the noise
CLIP_WEIGHT, TEXT_WEIGHT = 0.3, 0.7   # of the losses, beside the picture's 1
TWO_OBJECTS = 0.4                     # of pictures
ONE_OBJECT_TRIES = 2                  # joint generation draws again so often for one object: 0.4^3 of its pairs have two
RENEWED, RENEWED_EVERY = 200, 4       # pictures, steps
AVERAGED_STEPS = 400
SAVE_EVERY = 120                      # seconds


def is_matrix(name):
    return name.endswith("weight") and (".attn1.to_" in name or ".ff.net" in name or "skip_linear" in name)


class Source:
    """New pictures with their captions: what the U-ViT sees of them.

        drawn = source.draw(500)    # on the CPU: labels, and the captions' tokens
        source.encode(drawn)        # latents [n, 4, 32, 32], image embeddings [n, 1, 64], captions' channels [n, 77, 32],
                                    # whether two objects are shown [n]
    """

    def __init__(self, model, device):
        self.device, self.words = device, random.Random()
        self.tokenizer = bpe.load_clip_tokenizer(model)
        self.vae, self.text, self.image, self.decoder = (parts.load(model, name).to(device).eval() for name in (
            "vae", "text_encoder", "image_encoder", "text_decoder"))

    def draw(self, n):
        labels = draw_still_labels(n, "cpu", two_objects=TWO_OBJECTS)
        prompts = [say(labels.describe(i), self.words)["prompt"] for i in range(n)]
        ids = self.tokenizer(prompts, padding="max_length", max_length=parts.TEXT_TOKENS, truncation=True,
                             return_tensors="pt").input_ids
        return labels, ids

    @torch.no_grad()
    def encode(self, drawn):
        labels, ids = drawn
        x, _ = draw_stills(len(ids), device=self.device, labels=labels.to(self.device))
        with torch.autocast(self.device, torch.bfloat16):
            latents = self.vae.encode(x).latent_dist.mode().half()
            # As the peer's processor leaves an 8-bit picture of this size: -1..1.
            seen = self.image(pixel_values=((x + 1) * 127.5).round() / 127.5 - 1).image_embeds[:, None].half()
            told = self.decoder.encode_prefix(self.text(input_ids=ids.to(self.device)).last_hidden_state).half()
        return latents, seen, told, (labels.count == 2).to(self.device)


def pool_of(source, count, seconds, batch):
    """What source encodes, of `count` pictures, or fewer when they take longer than that."""
    start, encoded = time.time(), []
    while len(encoded) * batch < count and time.time() - start < seconds:
        encoded.append(source.encode(source.draw(batch)))
    pool = tuple(torch.cat(part) for part in zip(*encoded))
    print(f"{len(pool[0])} pictures and captions encoded in {time.time() - start:.0f} s; deviations "
          + ", ".join(f"{part.float().std():.3f}" for part in pool[:3]), flush=True)
    return pool


def task_columns(batch, device):
    """For every place in the batch: how the picture's and the caption's timesteps are chosen, as masks and constants."""
    counts = [round(share * batch) for share, *_ in TASKS]
    counts[0] += batch - sum(counts)
    rows = [task for (_share, *task), n in zip(TASKS, counts) for _ in range(n)]
    fixed = torch.tensor([[t if isinstance(t, int) else -1 for t in row] for row in rows], device=device)
    same = torch.tensor([row[1] == "same" for row in rows], device=device)
    return fixed, same


def renew_attention(block):
    """A block's attention from the beginning again, silent: for one whose logits have grown until its heads no longer learn."""
    torch.nn.init.zeros_(block.attn1.to_out[0].weight)
    block.attn1.to_out[0].bias.data.zero_()
    block.norm1.reset_parameters()
    for projection in (block.attn1.to_q, block.attn1.to_k, block.attn1.to_v):
        projection.reset_parameters()


def train(unet, pool, source, device, seconds, batch, rates, warm_up, log, save):
    latents, seen, told, pairs = pool
    unet.to(device, torch.bfloat16).train()
    if device == "cuda":
        torch._dynamo.config.recompile_limit = 64  # more blocks than it allows one function by default
        blocks = [*unet.transformer.transformer_in_blocks, unet.transformer.transformer_mid_block,
                  *(b["block"] for b in unet.transformer.transformer_out_blocks)]
        for block in blocks:
            block.compile(dynamic=False)
    # The inner model's own patches, which the peer keeps and never uses, have no gradient.
    weights = {k: w for k, w in unet.named_parameters() if "transformer.pos_embed" not in k}
    opt = Optimiser(weights, is_matrix)
    # Signal kept at each timestep; 0 is given clean here, STEPS is noise alone.
    kept = parts.new_scheduler().alphas_cumprod.float()
    kept = torch.cat([kept, torch.zeros(1)]).to(device)
    fixed, same = task_columns(batch, device)
    order = torch.randperm(batch, device=device)  # so that strata and tasks are independent
    strata = order.float()

    def noised(clean, t, given, drift=0):
        noise = torch.randn_like(clean) + drift
        a = kept[t].view(-1, *[1] * (clean.dim() - 1))
        noisy = torch.where(given.view_as(a), clean, a.sqrt() * clean + (1 - a).sqrt() * noise)
        return noisy.bfloat16(), noise

    def step():
        at, *again = torch.randint(0, len(latents), (1 + ONE_OBJECT_TRIES, batch), device=device)
        for other in again:
            at = torch.where(same & pairs[at], other, at)
        own = (torch.stack([(strata + torch.rand(batch, device=device)) / batch, torch.rand(batch, device=device)], 1)
               * parts.STEPS).long().clamp(max=parts.STEPS - 1)
        # Where the picture is given, the strata serve the caption.
        own[:, 1] = torch.where(fixed[:, 0] >= 0, own[:, 0], own[:, 1])
        t = torch.where(fixed >= 0, fixed, own)
        t[:, 1] = torch.where(same, t[:, 0], t[:, 1])
        given, blank = fixed == 0, fixed == parts.STEPS
        picture, picture_noise = noised(latents[at].float(), t[:, 0], given[:, 0])
        clip, clip_noise = noised(seen[at].float(), t[:, 0], given[:, 0])
        caption = told[at].float()
        drift = DRIFT * torch.rand(batch, 1, 1, device=device) * (caption - caption.roll(1, 0)) * given[:, 0].view(-1, 1, 1)
        text, text_noise = noised(caption, t[:, 1], given[:, 1], drift)
        out = unet(picture, clip, text, timestep_img=t[:, 0], timestep_text=t[:, 1])
        counted = ~(given | blank)  # nothing is asked of what is given, or of noise alone

        def loss(predicted, noise, column):
            each = (predicted.float() - noise).square().flatten(1).mean(1)
            return (each * counted[:, column]).sum() / counted[:, column].sum()

        losses = torch.stack([loss(out[0], picture_noise, 0), loss(out[1], clip_noise, 0), loss(out[2], text_noise, 1)])
        (losses[0] + CLIP_WEIGHT * losses[1] + TEXT_WEIGHT * losses[2]).backward()
        opt.step()
        return losses.detach()

    begin = time.time()
    opt.set(0.0)
    step = recorded(step)
    print(f"compiled and recorded in {time.time() - begin:.0f} s", flush=True)
    start, done, said, saved, total, count, oldest = time.time(), 0, 0.0, 0.0, 0, 0, 0
    while (elapsed := time.time() - start) < seconds:
        opt.set((rates[0] + (rates[1] - rates[0]) * elapsed / seconds) * min(1, (done + 1) / warm_up),
                max(1 / AVERAGED_STEPS, 1 / (done + 1)))
        total, done, count = total + step(), done + 1, count + 1
        if elapsed - said > 10 or done == 1:
            losses = (total / count).tolist()
            log([f"{elapsed:.0f}", done, batch, f"{opt.learning_rate.item():.2e}", *(f"{v:.5f}" for v in losses)])
            said, total, count = elapsed, 0, 0
            if losses != losses or any(v != v for v in losses):
                raise SystemExit("the loss is not a number; the folder holds what was saved last")
        if elapsed - saved > SAVE_EVERY:
            saved = elapsed
            save(opt.averaged(weights))
        if done % RENEWED_EVERY == 0:
            renewed = min(RENEWED, len(latents))
            drawn = source.draw(renewed)  # while the device is at the steps
            at = torch.arange(oldest, oldest + renewed, device=device) % len(latents)
            for part, new in zip(pool, source.encode(drawn)):
                part[at] = new
            oldest += renewed
            if device == "cuda":
                torch.cuda.synchronize()  # so that the clock sees the work, not its submission
    save(opt.averaged(weights))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--seconds", type=float, required=True, help="of training, without encoding and compilation")
    arguments.add_argument("--pictures", type=int, default=200_000)
    arguments.add_argument("--encode-seconds", type=float, default=50, help="encode fewer pictures if they take longer")
    arguments.add_argument("--batch", type=int, default=256)
    arguments.add_argument("--learning-rate", type=float, nargs=2, default=[2e-3, 0.0], metavar=("FROM", "TO"))
    arguments.add_argument("--warm-up", type=int, default=300, help="steps")
    arguments.add_argument("--renew-attention", metavar="BLOCK", help="that block's attention starts anew: renew_attention()")
    arguments.add_argument("--log", default="uvit.csv")
    arguments.add_argument("--tiny", action="store_true", help="a toy of the same form, to try the recipe on a CPU")
    a = arguments.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = Source(a.model, device)
    pool = pool_of(source, 32 if a.tiny else a.pictures, a.encode_seconds, 8 if a.tiny else 500)
    unet = parts.load(a.model, "unet", lambda: parts.new_unet(a.tiny))
    if a.renew_attention:
        renew_attention(unet.get_submodule(a.renew_attention))
    shell = parts.new_unet(a.tiny)  # what is saved: the averages, while the other goes on
    with open(a.log, "a", newline="") as file:
        out = csv.writer(file)
        out.writerow(["seconds", "step", "batch", "learning_rate", "picture", "clip", "text"])

        def log(row):
            out.writerow(row)
            file.flush()
            print("uvit", *row, flush=True)

        def save(averages):
            parts.save(a.model, "unet", parts.averaged(shell, averages))

        train(unet, pool, source, device, a.seconds, 12 if a.tiny else a.batch, a.learning_rate, a.warm_up, log, save)


if __name__ == "__main__":
    main()
