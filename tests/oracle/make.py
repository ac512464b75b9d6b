"""Makes the goldens: python tests/oracle/make.py --output tests/golden [case ...]"""

import argparse
import os
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import torch
import transformers

import checkpoints
import parts
import pipelines
import unidiffuser
import unidiffuser_parts
import vae
from store import Case


def cog2b(case: Case) -> None:
    checkpoints.cog2b(case.folder / "model")
    request = {"prompt": "A red circle, moving right; isn't it nice? (Yes!)", "negative_prompt": "blurry, low quality",
               "width": 48, "height": 32, "num_frames": 17, "steps": 5, "guidance_scale": 6.0, "dynamic_cfg": False,
               "seed": 42, "scheduler": "ddim"}
    pipelines.record(case, case.folder / "model", request, more_steps=[("ddim", 50), ("ddim", 28), ("dpm", 6)],
                     more_runs={"unguided": {"guidance_scale": 1.0}, "portrait": {"width": 32, "height": 48, "num_frames": 9},
                                "still": {"num_frames": 1}, "wordless": {"prompt": "", "negative_prompt": ""}},
                     halves=[torch.bfloat16, torch.float16])


def cog5b(case: Case) -> None:
    checkpoints.cog5b(case.folder / "model")
    request = {"prompt": "a panda sits in a bamboo forest, cinematic", "negative_prompt": "", "width": 32, "height": 24,
               "num_frames": 9, "steps": 6, "guidance_scale": 6.0, "dynamic_cfg": True, "seed": 7, "scheduler": "dpm"}
    pipelines.record(case, case.folder / "model", request,
                     more_steps=[("ddim", 6), ("dpm", 50), ("dpm", 28), ("dpm", 30)],
                     more_runs={"unguided": {"guidance_scale": 0.5, "dynamic_cfg": False}, "wide": {"width": 80, "height": 16},
                                "tall": {"width": 24, "height": 48, "num_frames": 17}, "still": {"num_frames": 1}},
                     halves=[torch.bfloat16])


def cog15(case: Case) -> None:
    checkpoints.cog15(case.folder / "model")
    request = {"prompt": "Three wolves run through deep snow.", "negative_prompt": "", "width": 48, "height": 32,
               "num_frames": 9, "steps": 4, "guidance_scale": 6.0, "dynamic_cfg": True, "seed": 123456789012, "scheduler": "ddim"}
    pipelines.record(case, case.folder / "model", request, more_steps=[("dpm", 7)],
                     more_runs={"longer": {"num_frames": 17, "width": 32}, "taller": {"height": 64},
                                "still": {"num_frames": 1}},
                     halves=[torch.bfloat16])


PREFACE = """# Goldens

What diffusers 0.42.1, transformers 5.23.0 and torch 2.11.0 compute on tiny random checkpoints, on a CPU with one thread.
Made by `python tests/oracle/make.py --output tests/golden`; this file too, so edit it there.

Each case is a folder: `case.json` holds the request and what was measured, `model/` (or another folder that case.json
names) is a checkpoint as a user has it, `*.safetensors` hold stages. Layouts are the peer's own: latents
[batch, frames, channels, height, width], the VAE's tensors [batch, channels, frames, height, width], tokens
[batch, tokens, features] with text before video and the negative prompt before the prompt.
In `case.json`, `peer_noise_fp32` says by how much the peer differs from itself in fp32 when only the order of arithmetic
changes, and `peer_error_half` by how much it differs in a half type from fp32 on the same noise: `abs` is the worst
difference, `of_max` the same over the largest value, `rms` the difference's root mean square over the value's.
A half-precision test compares with the `reference.` tensor (fp32; for embeddings, the one in text.safetensors) and
allows 1.5 times that error. UniDiffuser's modes, whose whole runs amplify every rounding, have there the largest `of_max` of
one step without guidance that starts where fp32 is, over all steps but the first and four orders of sums.
In the tables, `step.{i}.latents` (i = 0, 1) stands for `step.0.latents` and `step.1.latents`; `draw.{i}.{i}` (i = 0.1) for `draw.0.1`.
"""

MAKERS = {
    "cog2b": ("CogVideoX-2b in small: sin-cos positions, DDIM, sharded F16 and F32 weights, bf16 VAE; the saved size is the clip's.", cog2b),
    "cog5b": ("CogVideoX-5b in small: RoPE over a cropped grid, head_dim 64, DPM with dynamic guidance, BF16 weights, three VAE levels.", cog5b),
    "cog15": ("CogVideoX1.5-5B in small: patch_size_t 2, odd latent frames padded in front, RoPE slices, tokenizer.json only.", cog15),
    "vae_batches": ("Four levels: 1 to 9 latent frames, 1 to 33 frames, so caches cross batches and remainders are odd.", vae.vae_batches),
    "vae_tiles": ("Three levels, two layers a block: tiles of 6 x 5 latents with overlaps of one; slices of a batch of two.", vae.vae_tiles),
    "vae_layers": ("Five levels, three layers a block, and a norm_eps of 1e-3: it reaches the encoder's blocks, not its last norm, not the decoder.", vae.vae_layers),
    "schedulers": ("DDIM and DPM: tables in float64, timesteps, whole loops on made-up model outputs.", parts.schedulers),
    "guidance": ("Dynamic guidance by step, in float64; the combination of the two predictions.", parts.guidance),
    "t5": ("Text encoders with relu and gated-gelu at 226 tokens, in fp32, bf16 and fp16.", parts.t5),
    "tokenizer": ("Prompts and their ids, from a folder with spiece.model and from one with tokenizer.json only.", parts.tokenizer),
    "transformer_variants": ("Transformers alone: ofs with patch_size_t (1.5 I2V), a learned table (5b I2V), options off their defaults.", parts.transformer_variants),
    "positions": ("Rotary tables of cropped grids.", parts.positions),
    "unidiffuser": ("UniDiffuser-v1 in small, as the hub has it: data type token, narrow text latents, old names, bf16 U-ViT in shards, fp16 VAE.", unidiffuser.unidiffuser),
    "unidiffuser_v0": ("The variants: no data type token, no prefix, odd depth, patch 1, 2 latent channels, attention biases, timestep MLPs, v-prediction.", unidiffuser.unidiffuser_v0),
    "unidiffuser_tokenizer": ("CLIP's byte-pair tokenizer in four folders, GPT-2's way back to text.", unidiffuser_parts.unidiffuser_tokenizer),
    "unidiffuser_scheduler": ("DPM-Solver++ multistep in every variant: whole loops, timesteps, noise levels.", unidiffuser_parts.unidiffuser_scheduler),
    "unidiffuser_vae": ("AutoencoderKL alone: sizes, tiles, a posterior.", unidiffuser_parts.unidiffuser_vae),
    "unidiffuser_pictures": ("Pictures resized as Pillow does, and prepared for CLIP and the VAE.", unidiffuser_parts.unidiffuser_pictures),
    "randomness": ("torch.randn from CPU generators.", parts.randomness),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("cases", nargs="*", help="all when none is named")
    arguments = parser.parse_args()

    warnings.filterwarnings("ignore")
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    tables = []
    for name in arguments.cases or MAKERS:
        purpose, fill = MAKERS[name]
        case = Case(arguments.output, name, purpose)
        fill(case)
        case.write()
        tables.append(case.table())
        print(name, sum(f.stat().st_size for f in case.folder.rglob("*") if f.is_file()))
    if not arguments.cases:
        (arguments.output / "README.md").write_text("\n".join([PREFACE, *tables]))


if __name__ == "__main__":
    main()
