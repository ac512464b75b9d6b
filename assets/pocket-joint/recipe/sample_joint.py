"""Renders the unseen prompts and pictures with the peer's pipeline, in every mode that is scored.

    python sample_joint.py --model CHECKPOINT --to DIR [--prompts 130] [--steps 50] [--guidance-scale 8]

DIR/t2i/NNN.png of assets/prompts/unseen-stills.json; DIR/pictures/NNN.png drawn from unseen-pictures.json, DIR/i2t/NNN.txt
their captions, DIR/variation/NNN.png pictures from those captions; DIR/joint/NNN.png and NNN.txt from nothing. Seeds are
the places. `bitreel judge` scores them: ../evidence/judge.sh. DIR/sheet.png shows twelve of each.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.deprecated.unidiffuser import UniDiffuserPipeline
from PIL import Image, ImageDraw

import bpe
import joint_parts as parts
from stills import as_image, write_pictures
from world import CHECKPOINT, DOMAIN, PROMPTS

BATCH = 65


def open_pipeline(folder, dtype):
    pipe = UniDiffuserPipeline.from_pretrained(folder, torch_dtype=torch.float32).to(dtype)
    pipe.set_progress_bar_config(disable=True)
    # The end of a caption is an added token that the tokenizer's own file may not name.
    pipe.text_tokenizer.eos_token = bpe.STOP
    # Of tied weights the peer makes one at random when it loads them.
    pipe.text_decoder.transformer.lm_head.weight = pipe.text_decoder.transformer.transformer.wte.weight
    return pipe.to("cuda" if torch.cuda.is_available() else "cpu")


class Sampler:
    """The peer's pipeline, a batch at a time, each place with its own noise. Two of its steps fail on several pictures or
    captions: captions are decoded one by one, and its CLIP processor, which wants levels to 255, gets pictures."""

    def __init__(self, folder, dtype, steps, guidance_scale):
        self.pipe, self.dtype = open_pipeline(folder, dtype), dtype
        self.options = dict(num_inference_steps=steps, guidance_scale=guidance_scale)
        decode = self.pipe.decode_text_latents
        self.pipe.decode_text_latents = lambda latents, device: [decode(one, device)[0] for one in latents.split(1)]
        process = self.pipe.clip_image_processor.preprocess
        self.pipe.clip_image_processor.preprocess = lambda pixels, **named: process(
            [as_image(p.float() * 2 - 1) for p in pixels], **named)

    def noise(self, places):
        generators = [torch.Generator().manual_seed(place) for place in places]
        side = DOMAIN.size // parts.DOWNSAMPLING

        def draw(*shape):
            noise = torch.stack([torch.randn(*shape, generator=g) for g in generators])
            return noise.to(self.pipe.device, self.dtype)
        return dict(vae_latents=draw(parts.LATENT_CHANNELS, side, side), clip_latents=draw(1, parts.CLIP_IMAGE_DIM),
                    prompt_latents=draw(parts.TEXT_TOKENS, parts.CLIP_WIDTH))

    def pictures_from(self, prompts, places):
        noise = self.noise(places)
        self.pipe.set_text_to_image_mode()
        return self.pipe(prompt=prompts, vae_latents=noise["vae_latents"], clip_latents=noise["clip_latents"],
                         generator=torch.Generator().manual_seed(places[0]), **self.options).images

    def captions_of(self, pictures, places):
        pixels = torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in pictures]) / 255
        self.pipe.set_image_to_text_mode()
        return self.pipe(image=pixels.to(self.pipe.device, self.dtype), prompt_latents=self.noise(places)["prompt_latents"],
                         generator=torch.Generator().manual_seed(places[0]), **self.options).text

    def joint(self, places):
        self.pipe.set_joint_mode()
        out = self.pipe(**self.noise(places), generator=torch.Generator().manual_seed(places[0]), **self.options)
        return out.images, out.text


def write_all(folder, places, pictures=None, captions=None):
    folder.mkdir(parents=True, exist_ok=True)
    for k, place in enumerate(places):
        if pictures is not None:
            pictures[k].save(folder / f"{place:03d}.png")
        if captions is not None:
            (folder / f"{place:03d}.txt").write_text(captions[k] + "\n")


def contact_sheet(rows, path, across=12):
    """rows: (title, folder of pictures, what stands under each)."""
    side, line = 128, 40
    sheet = Image.new("RGB", (across * (side + 4), len(rows) * (side + line + 18)), "white")
    pen = ImageDraw.Draw(sheet)
    for r, (title, folder, under) in enumerate(rows):
        top = r * (side + line + 18)
        pen.text((2, top + 3), title, "black")
        for k, place in enumerate(range(0, len(under), max(1, len(under) // across))):
            if k == across:
                break
            sheet.paste(Image.open(folder / f"{place:03d}.png"), (k * (side + 4), top + 18))
            words, lines = under[place].split(), [""]
            for word in words:
                lines[-1:] = [f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < 21 else [lines[-1], word]
            pen.text((k * (side + 4), top + 18 + side), "\n".join(lines[:3]), "black")
    sheet.save(path, optimize=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", default=str(CHECKPOINT))
    arguments.add_argument("--to", required=True)
    arguments.add_argument("--prompts", type=int, default=130, help="of each mode")
    arguments.add_argument("--steps", type=int, default=50)
    arguments.add_argument("--guidance-scale", type=float, default=8.0)
    arguments.add_argument("--dtype", default="bfloat16")
    a = arguments.parse_args()
    to, sampler = Path(a.to), Sampler(a.model, getattr(torch, a.dtype), a.steps, a.guidance_scale)
    asked = [e["prompt"] for e in json.loads((PROMPTS / "unseen-stills.json").read_text())[: a.prompts]]
    write_pictures(json.loads((PROMPTS / "unseen-pictures.json").read_text())[: a.prompts], to / "pictures")
    captions, free = [], []
    for first in range(0, len(asked), BATCH):
        places = range(first, min(first + BATCH, len(asked)))
        write_all(to / "t2i", places, sampler.pictures_from(asked[first : first + BATCH], places))
        told = sampler.captions_of([Image.open(to / "pictures" / f"{p:03d}.png") for p in places], places)
        write_all(to / "i2t", places, captions=told)
        write_all(to / "variation", places, sampler.pictures_from(told, places))
        pictures, texts = sampler.joint(places)
        write_all(to / "joint", places, pictures, texts)
        captions, free = captions + told, free + texts
        print(f"{len(captions)} of {len(asked)}: {told[0]!r}, {texts[0]!r}", flush=True)
    contact_sheet([("pictures from texts", to / "t2i", asked), ("texts from pictures", to / "pictures", captions),
                   ("variations of those pictures", to / "variation", captions), ("both from noise", to / "joint", free)],
                  to / "sheet.png")


if __name__ == "__main__":
    main()
