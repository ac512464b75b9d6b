"""Trains the CLIP pair and the caption decoder: what a text and a picture become for the U-ViT, and text from it again.

    python words.py --model DIR --seconds 110 [--log FILE]

- The pair by contrast (arXiv 2103.00020): a batch's pictures find their captions and the other way round.
- The decoder gives captions back from the first 32 channels of the text encoder's states, noise on them.
- Those channels must also say, linearly, what the caption says of each object in its order, wherever the whole caption
  has been read (from its end on, causal as CLIP's encoder is): words are then bound to their object before the U-ViT
  sees them. The readers of this are thrown away.
Afterwards text channels and the image embedding get zero mean and unit deviation, exactly, inside the weights: what is
denoised has the scale that the noise schedule expects.
"""
import argparse
import csv
import random
import time

import torch
import torch.nn.functional as F

import bpe
import joint_parts as parts
from world import DOMAIN
from stills import draw_stills, say

from optim import Optimiser, recorded

BATCH = 512
POOL = 60_000          # pictures with their captions, drawn once
CAPTION_LENGTH = 40    # tokens with the end
LATENT_NOISE = 0.4     # at most, of a channel's deviation
UNSAID = -100
KINDS = (("colour", DOMAIN.colours), ("shape", DOMAIN.shapes), ("size", DOMAIN.sizes), ("place", DOMAIN.places))


def truth_row(entry):
    """Indices of what the caption says: of the first object, the second, the background. What is unsaid is the last
    index; of an object that is not there nothing is asked."""
    row = []
    for k in range(2):
        o = entry["objects"][k] if k < len(entry["objects"]) else None
        row += [UNSAID if o is None else names.index(o[key]) if key in o else len(names) for key, names in KINDS]
    return row + [DOMAIN.backgrounds.index(entry["background"]) if "background" in entry else len(DOMAIN.backgrounds)]


CLASSES_OF = [len(names) + 1 for _ in range(2) for _key, names in KINDS] + [len(DOMAIN.backgrounds) + 1]


class Readers(torch.nn.Module):
    """What is only there while training: projection of texts, temperature, linear readers of the text channels."""

    def __init__(self):
        super().__init__()
        self.text_projection = torch.nn.Linear(parts.CLIP_WIDTH, parts.CLIP_IMAGE_DIM, bias=False)
        self.temperature = torch.nn.Parameter(torch.tensor(2.6))
        self.scene = torch.nn.Linear(parts.TEXT_DIM, sum(CLASSES_OF))

    def scene_loss(self, latents, read, truth):
        """latents [n, 77, 32]; read [n, 77]: where the whole caption has been seen; truth [n, 9]."""
        logits = self.scene(latents).float().split(CLASSES_OF, -1)
        weight = read.float() / read.sum(1, keepdim=True)
        loss = 0
        for k, scores in enumerate(logits):
            wanted = truth[:, k, None].expand(-1, scores.shape[1])
            each = F.cross_entropy(scores.transpose(1, 2), wanted, reduction="none", ignore_index=UNSAID)
            loss = loss + (each * weight).sum(1).mean()
        return loss / len(logits)

    @torch.no_grad()
    def scene_right(self, latents, truth):
        """Share of what captions say that the last token's channels tell."""
        right = asked = 0
        for k, scores in enumerate(self.scene(latents[:, -1]).split(CLASSES_OF, -1)):
            wanted = truth[:, k]
            right += ((scores.argmax(-1) == wanted) & (wanted != UNSAID)).sum().item()
            asked += (wanted != UNSAID).sum().item()
        return right / asked


def pool_of(model, count, device, batch):
    """Pictures [n, 3, 128, 128] as bytes, CLIP ids [n, 77], caption ids [n, 40] with -1 after the end, truths [n, 9]."""
    clip_tokenizer, caption_tokenizer = bpe.load_clip_tokenizer(model), bpe.load_caption_tokenizer(model)
    words, pictures, entries = random.Random(), [], []
    for _ in range(0, count, batch):
        x, labels = draw_stills(batch, device=device)
        pictures.append(((x + 1) * 127.5).round().byte())
        labels = labels.to("cpu")
        entries += [say(labels.describe(i), words) for i in range(batch)]
    texts = [e["prompt"] for e in entries]
    ids = clip_tokenizer(texts, padding="max_length", max_length=parts.TEXT_TOKENS, truncation=True,
                         return_tensors="pt").input_ids
    captions = torch.full((len(texts), CAPTION_LENGTH), -1)
    for i, tokens in enumerate(caption_tokenizer(texts).input_ids):
        tokens = (tokens + [caption_tokenizer.eos_token_id])[:CAPTION_LENGTH]
        captions[i, : len(tokens)] = torch.tensor(tokens)
    truth = torch.tensor([truth_row(e) for e in entries])
    return torch.cat(pictures), ids.to(device), captions.to(device), truth.to(device)


def is_matrix(name):
    return name.endswith(("_proj.weight", "fc1.weight", "fc2.weight", "c_attn.weight", "c_fc.weight", "c_proj.weight"))


def caption_logits(decoder, latents, captions):
    """Scores of every token of the captions, given the channels and the tokens before it."""
    prefix = decoder.decode_prefix(latents)
    tokens = decoder.transformer.transformer.wte(captions.clamp(min=0))
    out = decoder.transformer(inputs_embeds=torch.cat([prefix, tokens[:, :-1]], 1), use_cache=False).logits
    return out[:, parts.TEXT_TOKENS - 1 :]


def train(models, readers, pool, device, seconds, batch, peak, log):
    text_encoder, image_encoder, decoder = models["text_encoder"], models["image_encoder"], models["text_decoder"]
    pictures, ids, captions, truth = pool
    end = text_encoder.config.eos_token_id
    weights = {}
    for name, model in dict(models, readers=readers).items():
        model.to(device, torch.bfloat16).train()
        weights |= {f"{name}.{k}": w for k, w in model.named_parameters() if w.requires_grad}
    opt = Optimiser(weights, is_matrix)

    def step():
        at = torch.randint(0, len(ids), (batch,), device=device)
        states = text_encoder(input_ids=ids[at]).last_hidden_state
        ended = ids[at] == end
        seen = image_encoder(pixel_values=pictures[at].bfloat16() / 127.5 - 1).image_embeds
        told = readers.text_projection(states[torch.arange(batch, device=device), ended.int().argmax(1)])
        scale = readers.temperature.float().exp().clamp(max=100)
        scores = scale * F.normalize(told.float(), dim=-1) @ F.normalize(seen.float(), dim=-1).T
        same = torch.arange(batch, device=device)
        contrast = (F.cross_entropy(scores, same) + F.cross_entropy(scores.T, same)) / 2

        latents = decoder.encode_prefix(states)
        flat = latents.float().flatten(0, 1)
        spread = (flat.mean(0).square() + (flat.var(0) - 1).square()).mean()
        level = LATENT_NOISE * torch.rand(batch, 1, 1, device=device, dtype=latents.dtype)
        noisy = latents + level * torch.randn_like(latents)
        logits = caption_logits(decoder, noisy, captions[at]).float()
        spelled = F.cross_entropy(logits.flatten(0, 1), captions[at].flatten(), ignore_index=-1)
        scene = readers.scene_loss(noisy, ended, truth[at])
        (contrast + spelled + scene + 0.05 * spread).backward()
        opt.step()
        return torch.stack([contrast.detach(), spelled.detach(), scene.detach(), spread.detach()])

    opt.set(0.0)
    step = recorded(step)
    start, done, said, total, count = time.time(), 0, 0.0, 0, 0
    while (elapsed := time.time() - start) < seconds:
        progress = elapsed / seconds
        opt.set(peak * min(1, (done + 1) / 100) * (1 - progress), max(1 / 300, 1 / (done + 1)))
        total, done, count = total + step(), done + 1, count + 1
        if elapsed - said > 10 or done == 1:
            losses = (total / count).tolist()
            log([f"{elapsed:.0f}", done, f"{opt.learning_rate.item():.2e}", *(f"{v:.4f}" for v in losses)])
            said, total, count = elapsed, 0, 0
        if device == "cuda" and done % 4 == 0:
            torch.cuda.synchronize()  # so that the clock sees the work, not its submission
    averages = opt.averaged(weights)
    for name, model in dict(models, readers=readers).items():
        parts.averaged(model, {k.removeprefix(f"{name}."): v for k, v in averages.items() if k.startswith(f"{name}.")}).eval()


@torch.no_grad()
def latents_of(models, pool, batch=256):
    """Text channels [n, 77, 32] and image embeddings [n, 64] of a pool."""
    pictures, ids, _captions, _truth = pool
    texts, images = [], []
    for i in range(0, len(ids), batch):
        texts.append(models["text_decoder"].encode_prefix(models["text_encoder"](input_ids=ids[i : i + batch]).last_hidden_state))
        images.append(models["image_encoder"](pixel_values=pictures[i : i + batch].float() / 127.5 - 1).image_embeds)
    return torch.cat(texts), torch.cat(images)


def module_of(model, name):
    """The one whose name ends so: transformers has moved them about."""
    return next(m for path, m in model.named_modules() if path.split(".")[-1] == name)


@torch.no_grad()
def normalise(models, pool):
    """Zero mean and unit deviation of every text channel and every channel of the image embedding, inside the weights."""
    texts, images = latents_of(models, pool)
    mean, std, channels = texts.mean((0, 1)), texts.std((0, 1)), texts.shape[-1]
    norm, read = module_of(models["text_encoder"], "final_layer_norm"), models["text_decoder"].decode_prefix
    norm.bias[:channels] = (norm.bias[:channels] - mean) / std
    norm.weight[:channels] /= std
    read.bias += read.weight @ mean
    read.weight *= std[None]
    mean, std = images.mean(0), images.std(0)
    norm, projection = module_of(models["image_encoder"], "post_layernorm"), models["image_encoder"].visual_projection
    norm.bias -= (torch.linalg.pinv(projection.weight.double()) @ mean.double()).to(norm.bias.dtype)
    projection.weight /= std[:, None]


@torch.no_grad()
def evaluate(models, readers, pool, spelled_texts=512):
    """What the channels tell, and how many captions come back whole, greedily and without noise."""
    _pictures, _ids, captions, truth = pool
    texts, _images = latents_of(models, pool)
    told = readers.scene_right(texts, truth)
    spelled = caption_logits(models["text_decoder"], texts[:spelled_texts], captions[:spelled_texts]).argmax(-1)
    whole = ((spelled == captions[:spelled_texts]) | (captions[:spelled_texts] < 0)).all(1).float().mean().item()
    return told, whole


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--seconds", type=float, required=True)
    arguments.add_argument("--learning-rate", type=float, default=2e-3)
    arguments.add_argument("--log", default="words.csv")
    arguments.add_argument("--tiny", action="store_true", help="a toy of the same form, to try the recipe on a CPU")
    a = arguments.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if not (parts.Path(a.model) / "clip_tokenizer").exists():
        bpe.train(a.model, 2_000 if a.tiny else 20_000)
    clip, caption = bpe.load_clip_tokenizer(a.model), bpe.load_caption_tokenizer(a.model)
    models = dict(text_encoder=parts.load(a.model, "text_encoder", lambda: parts.new_text_encoder(len(clip), a.tiny)),
                  image_encoder=parts.load(a.model, "image_encoder", lambda: parts.new_image_encoder(a.tiny)),
                  text_decoder=parts.load(a.model, "text_decoder", lambda: parts.new_text_decoder(len(caption), a.tiny)))
    readers, batch = Readers(), 8 if a.tiny else BATCH
    start = time.time()
    pool = pool_of(a.model, 64 if a.tiny else POOL, device, 32 if a.tiny else 500)
    print(f"{len(pool[1])} pictures and captions in {time.time() - start:.0f} s; longest "
          f"{(pool[2] >= 0).sum(1).max().item()} tokens", flush=True)
    with open(a.log, "a", newline="") as file:
        out = csv.writer(file)
        out.writerow(["seconds", "step", "learning_rate", "contrast", "spelling", "scene", "spread"])

        def log(row):
            out.writerow(row)
            file.flush()
            print("words", *row, flush=True)

        train(models, readers, pool, device, a.seconds, batch, a.learning_rate, log)
    fresh = pool_of(a.model, 32 if a.tiny else 2000, device, 32 if a.tiny else 500)
    told, whole = evaluate(models, readers, fresh)
    print(f"fresh captions: {100 * told:.1f} % of what they say is told by their last token's channels, "
          f"{100 * whole:.1f} % are spelled back whole", flush=True)
    normalise(models, fresh if a.tiny else pool_of(a.model, 8000, device, 500))
    texts, images = latents_of(models, fresh)
    print(f"text channels: mean {texts.mean():.3f}, deviation {texts.std():.3f}; image embedding: {images.mean():.3f}, "
          f"{images.std():.3f}", flush=True)
    for name, model in models.items():
        parts.save(a.model, name, model)


if __name__ == "__main__":
    main()
