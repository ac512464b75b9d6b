"""Trains the text encoder and the denoising transformer together, on latents of drawn clips.

    python denoiser.py --model DIR --size 64 --clips 60000 --seconds 250 --batch 128 --learning-rate 2e-3 2e-3
    python denoiser.py --model DIR --size 128 --clips 60000 --seconds 500 --batch 96 --learning-rate 2e-3 0

Clips are drawn and encoded once per stage; then v-prediction on the checkpoint's own noise schedule, a tenth of the captions
emptied for classifier-free guidance, a running average of the weights kept and saved. The learning rate goes linearly
from the first to the second value. Stages go on from what DIR holds.
"""
import argparse
import csv
import random
import time

import torch

import parts
from draw import draw_clips, draw_labels
from optim import Optimiser, recorded
from phrase import caption

UNCONDITIONAL = 0.1
# Layout, shape and motion are settled at high noise: a third of the draws come from these timesteps alone.
EMPHASIS, EMPHASISED = 0.3, (600, 1000)
AVERAGED_STEPS = 500
SAVE_EVERY = 120  # seconds


def is_matrix(name):
    return name.endswith("weight") and (("transformer_blocks" in name and (".attn1.to_" in name or ".ff.net" in name))
                                        or ("SelfAttention" in name and "bias" not in name) or "DenseReluDense" in name)


@torch.no_grad()
def encode_clips(vae, tokenizer, size, clips, two_objects, seconds, batch, device):
    """Latents [n, frames, channels, height, width] and token ids [n, 226] of up to `clips` fresh clips."""
    start, words, latents, captions = time.time(), random.Random(), [], []
    while len(captions) < clips and time.time() - start < seconds:
        labels = draw_labels(batch, device, two_objects=two_objects)
        x, _ = draw_clips(batch, size, device=device, labels=labels, dtype=torch.bfloat16)
        z = vae.encode(x).latent_dist.mode() * vae.config.scaling_factor
        latents.append(z.permute(0, 2, 1, 3, 4).half())
        labels = labels.to("cpu")
        captions += [caption(labels.describe(i), words) for i in range(batch)]
    ids = parts.tokenize(tokenizer, captions).to(device)
    latents = torch.cat(latents)
    print(f"{len(ids)} clips encoded in {time.time() - start:.0f} s; latents std {latents.float().std():.3f}; "
          f"longest caption {(ids != 0).sum(1).max()} tokens; e.g. {captions[0]!r}", flush=True)
    return latents, ids


def choose_attention(batch, tokens):
    """Keeps the faster of LibTorch's two fused attention kernels for this shape."""
    q = [torch.randn(batch, 4, tokens, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    cost = {}
    for name in ("flash", "cudnn"):
        torch.backends.cuda.enable_flash_sdp(name == "flash")
        torch.backends.cuda.enable_cudnn_sdp(name == "cudnn")
        try:
            for i in range(6):
                if i == 3:
                    torch.cuda.synchronize()
                    start = time.time()
                torch.nn.functional.scaled_dot_product_attention(*q).sum().backward()
            torch.cuda.synchronize()
            cost[name] = time.time() - start
        except RuntimeError as error:
            print(name, error, flush=True)
    best = min(cost, key=cost.get)
    torch.backends.cuda.enable_flash_sdp(best == "flash")
    torch.backends.cuda.enable_cudnn_sdp(best == "cudnn")
    print("attention", {k: f"{v / 3 * 1e3:.2f} ms" for k, v in cost.items()}, "->", best, flush=True)


def train(transformer, text_encoder, scheduler, latents, ids, empty, size, seconds, batch, rates, warm_up, log, save):
    device = latents.device
    transformer.to(device, torch.bfloat16).train()
    text_encoder.to(device, torch.bfloat16).train()
    if device.type == "cuda":
        choose_attention(batch, ids.shape[1] + latents[0, :, 0].numel() // parts.PATCH**2)
        for block in transformer.transformer_blocks:
            block.compile(dynamic=False)
    weights = {f"transformer.{k}": w for k, w in transformer.named_parameters()}
    weights |= {f"text_encoder.{k}": w for k, w in text_encoder.named_parameters()}
    opt = Optimiser(weights, is_matrix)
    rotary = parts.rotary_table(size, device)
    signal = scheduler.alphas_cumprod.float().to(device)
    strata = torch.arange(batch, device=device)
    low, high = (t / 1000 for t in EMPHASISED)

    def step():
        at = torch.randint(0, len(ids), (batch,), device=device)
        clean = latents[at].float()
        words = torch.where(torch.rand(batch, 1, device=device) < UNCONDITIONAL, empty, ids[at])
        u = (strata + torch.rand(batch, device=device)) / batch  # stratified: less noise in the loss
        u = torch.where(torch.rand(batch, device=device) < EMPHASIS, low + (high - low) * u, u)
        t = (u * 1000).long().clamp(max=999)
        a = signal[t][:, None, None, None, None]
        noise = torch.randn_like(clean)
        noisy, target = a.sqrt() * clean + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * clean
        text = text_encoder(input_ids=words).last_hidden_state
        v = transformer(hidden_states=noisy.bfloat16(), encoder_hidden_states=text, timestep=t, image_rotary_emb=rotary,
                        return_dict=False)[0]
        loss = (v.float() - target).square().mean()
        loss.backward()
        opt.step()
        return loss.detach()

    begin = time.time()
    opt.set(0.0)
    step = recorded(step)
    print(f"compiled and recorded in {time.time() - begin:.0f} s", flush=True)
    start, done, said, saved, total, count = time.time(), 0, 0.0, 0.0, 0, 0
    while (elapsed := time.time() - start) < seconds:
        opt.set((rates[0] + (rates[1] - rates[0]) * elapsed / seconds) * min(1, (done + 1) / warm_up),
                max(1 / AVERAGED_STEPS, 1 / (done + 1)))
        total = total + step()
        done, count = done + 1, count + 1
        if elapsed - said > 10 or done == 1:
            loss = (total / count).item()
            said, total, count = elapsed, 0, 0
            log([size, f"{elapsed:.0f}", done, batch, f"{opt.learning_rate.item():.2e}", f"{loss:.5f}"])
            if loss != loss:
                raise SystemExit("the loss is not a number; the folder holds what was saved last")
        if elapsed - saved > SAVE_EVERY:
            saved = elapsed
            save(opt.averaged(weights))
        if device.type == "cuda" and done % 4 == 0:
            torch.cuda.synchronize()  # so that the clock sees the work, not its submission
    save(opt.averaged(weights))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--size", type=int, required=True)
    arguments.add_argument("--clips", type=int, default=60_000)
    arguments.add_argument("--two-objects", type=float, default=0.25, help="share of clips with two objects")
    arguments.add_argument("--encode-seconds", type=float, default=90, help="encode fewer clips if they take longer")
    arguments.add_argument("--seconds", type=float, required=True, help="of training, without encoding and compilation")
    arguments.add_argument("--batch", type=int, default=96)
    arguments.add_argument("--learning-rate", type=float, nargs=2, default=[2e-3, 2e-3], metavar=("FROM", "TO"))
    arguments.add_argument("--warm-up", type=int, default=200, help="steps")
    arguments.add_argument("--log", default="denoiser.csv")
    arguments.add_argument("--tiny", action="store_true", help="a toy of the same form, to try the recipe on a CPU")
    a = arguments.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    tokenizer = parts.load_tokenizer(a.model)
    vae = parts.load(a.model, "vae", None).to(device, torch.bfloat16).eval()
    latents, ids = encode_clips(vae, tokenizer, a.size, a.clips, a.two_objects, a.encode_seconds, 2 if a.tiny else 64,
                                device)
    del vae
    transformer = parts.load(a.model, "transformer", lambda: parts.new_transformer(a.tiny))
    text_encoder = parts.load(a.model, "text_encoder", lambda: parts.new_text_encoder(len(tokenizer), a.tiny))
    empty = parts.tokenize(tokenizer, [""]).to(device)
    with open(a.log, "a", newline="") as file:
        out = csv.writer(file)
        out.writerow(["size", "seconds", "step", "batch", "learning_rate", "loss"])

        def log(row):
            out.writerow(row)
            file.flush()
            print("denoiser", *row, flush=True)

        def save(averages):
            parts.save_weights(a.model, "transformer", transformer, averages)
            parts.save_weights(a.model, "text_encoder", text_encoder, averages)

        train(transformer, text_encoder, parts.new_scheduler(), latents, ids, empty, a.size, a.seconds, a.batch,
              a.learning_rate, a.warm_up, log, save)


if __name__ == "__main__":
    main()
