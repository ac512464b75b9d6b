"""UniDiffuser's parts alone: tokenizers, the multistep scheduler, the 2D autoencoder's tiles and slices, resized pictures."""

import shutil
import tempfile
from pathlib import Path

import cv2
import numpy
import PIL.Image
import PIL.ImageOps
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler
from diffusers.image_processor import VaeImageProcessor
from transformers import CLIPTokenizer, GPT2Tokenizer

import unidiffuser_model
import unidiffuser_words as bpe
import words
from parts import DTYPES
from pipelines import error
from store import Case
from unidiffuser import picture
from vae import noise


def unidiffuser_tokenizer(case: Case) -> None:
    """Folders as transformers 4 and 5 save them, with end tokens and with "!" as padding: flags decide what is special."""
    end, mark = case.folder / "end_pads", case.folder / "mark_pads"
    bpe.clip_tokenizer(end, 90)
    bpe.clip_tokenizer(mark, 90, pad="!")
    folders = {"end_pads": end, "mark_pads": mark}
    for name, folder in list(folders.items()):
        folders[name + "_json"] = case.folder / (name + "_json")
        CLIPTokenizer.from_pretrained(folder).save_pretrained(folders[name + "_json"])
    rows = {}
    for name, folder in folders.items():
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        for prompt in bpe.PROMPTS:
            ids = tokenizer(prompt, max_length=77, truncation=True)["input_ids"]
            padded = tokenizer(prompt, padding="max_length", max_length=77, truncation=True)["input_ids"]
            assert padded == ids + [tokenizer.pad_token_id] * (77 - len(ids))
            row = rows.setdefault(prompt, {"prompt": prompt, "ids": {}, "tokens_before_truncation": {}})
            row["ids"][name] = ids
            row["tokens_before_truncation"][name] = len(tokenizer(prompt)["input_ids"])
        case.facts.setdefault("pad", {})[name] = tokenizer.pad_token_id
    for row in rows.values():  # most prompts give the same everywhere
        for key in ["ids", "tokens_before_truncation"]:
            if all(value == row[key]["end_pads"] for value in row[key].values()):
                row[key] = row[key]["end_pads"]
    case.facts |= {"folders": list(folders), "max_length": 77, "prompts": list(rows.values())}

    stop = bpe.caption_tokenizer(case.folder / "caption", 60)
    tokenizer = GPT2Tokenizer.from_pretrained(case.folder / "caption")
    tokenizer.save_pretrained(case.folder / "caption_json")
    generator = torch.Generator().manual_seed(1)
    captions = [torch.randint(0, stop + 1, [n], generator=generator).tolist() for n in (0, 1, 5, 40, 67)]
    captions += [tokenizer(text)["input_ids"] for text in words.PROMPTS[3:15]]
    assert tokenizer.eos_token_id == GPT2Tokenizer.from_pretrained(case.folder / "caption_json").eos_token_id == stop
    case.facts["end_id"] = stop
    case.facts["captions"] = [{"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=True)} for ids in captions]


BASE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", solver_order=3)
LOOPS = [  # changes to BASE, steps, type of the sample
    ({}, 20, "fp32"), ({}, 15, "fp32"), ({}, 14, "fp32"), ({}, 6, "fp32"), ({}, 3, "fp32"), ({}, 2, "fp32"), ({}, 1, "fp32"), ({}, 50, "fp32"),
    ({}, 9, "bf16"), ({}, 9, "fp16"),
    ({"solver_order": 1}, 7, "fp32"), ({"solver_order": 2}, 7, "fp32"), ({"solver_order": 2, "solver_type": "heun"}, 7, "fp32"),
    ({"timestep_spacing": "leading", "steps_offset": 1}, 8, "fp32"), ({"timestep_spacing": "trailing"}, 8, "fp32"), ({"timestep_spacing": "trailing"}, 48, "fp32"),
    ({"final_sigmas_type": "sigma_min"}, 8, "fp32"), ({"final_sigmas_type": "sigma_min", "euler_at_final": True}, 16, "fp32"),
    ({"lower_order_final": False}, 8, "fp32"), ({"lower_order_final": False, "final_sigmas_type": "sigma_min"}, 8, "fp32"),
    ({"prediction_type": "v_prediction"}, 8, "fp32"), ({"prediction_type": "sample"}, 8, "fp32"),
    ({"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}, 8, "fp32"),
    ({"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1}, 8, "fp32"),
    ({"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}, 8, "fp32"),
    ({"thresholding": True, "sample_max_value": 1.5}, 8, "fp32"),
    ({"algorithm_type": "sde-dpmsolver++"}, 8, "fp32"), ({"algorithm_type": "sde-dpmsolver++", "solver_order": 2}, 8, "fp32"),
    ({"algorithm_type": "sde-dpmsolver++", "solver_order": 2, "solver_type": "heun"}, 8, "bf16"),
    ({"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}, 8, "fp32"),
    ({"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "solver_order": 2, "solver_type": "heun", "prediction_type": "v_prediction"}, 8, "fp32"),
    ({"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min", "solver_order": 2}, 8, "fp32"),
]


def unidiffuser_scheduler(case: Case) -> None:
    """DPMSolverMultistepScheduler: whole loops on made-up model outputs, and timesteps of many counts."""
    sample, outputs = noise(30, 2, 3, 3, 2), noise(31, 7, 2, 3, 3, 2)
    case.put("loops", "sample", sample, "where every loop starts; half types start from it cast")
    case.put("loops", "model_outputs", outputs, "fp32; step i of a loop gets model_outputs[i mod 7], cast to the sample's type")
    case.facts["loops"] = []
    for i, (changes, steps, dtype) in enumerate(LOOPS):
        scheduler = DPMSolverMultistepScheduler(**BASE | changes)
        scheduler.set_timesteps(steps)
        name, seed, x = f"loop.{i}", 200 + i, sample.to(DTYPES[dtype])
        generator = torch.Generator().manual_seed(seed)
        kept = sorted({0, 1, 2, steps // 2, steps - 2, steps - 1} & set(range(steps)))
        for j, t in enumerate(scheduler.timesteps):
            x = scheduler.step(outputs[j % len(outputs)].to(x.dtype), t, x, generator=generator).prev_sample
            assert x.dtype == DTYPES[dtype]
            if j in kept:
                case.put("loops", f"{name}.after_step.{j}", x, "sample after step i, of the loop that case.json lists by this name")
        case.put("loops", f"{name}.sigmas", scheduler.sigmas, "noise levels, one more than steps")
        config = {k: v for k, v in scheduler.config.items() if not k.startswith("_") and v != -float("inf")}
        case.facts["loops"].append({"name": name, "config": config, "steps": steps, "dtype": dtype, "seed": seed,
                                    "timesteps": scheduler.timesteps.tolist()})
    counts = [1, 2, 5, 17, 28, 30, 48, 50, 61, 103, 999]
    case.facts["timesteps"] = {}
    for spacing in ["linspace", "leading", "trailing"]:
        for n in counts:
            scheduler = DPMSolverMultistepScheduler(**BASE | {"timestep_spacing": spacing})
            scheduler.set_timesteps(n)
            values = scheduler.timesteps.tolist()
            case.facts["timesteps"][f"{spacing}.{n}"] = values if n < 999 else {"count": len(values), "sum": sum(values), "first": values[:3], "last": values[-3:]}


def unidiffuser_vae(case: Case) -> None:
    """AutoencoderKL: four levels, tiles with blended seams, slices of a batch, no attention, no quantising convolutions."""
    whole = unidiffuser_model.autoencoder("vae/whole", [4, 8, 8], latent_channels=4, layers_per_block=2, sample_size=16)
    whole.save_pretrained(case.folder / "model" / "whole")
    plain = unidiffuser_model.autoencoder("vae/plain", [4, 4, 4, 8], latent_channels=2, layers_per_block=1, sample_size=64,
                                          mid_block_add_attention=False, use_quant_conv=False, use_post_quant_conv=False)
    plain.save_pretrained(case.folder / "model" / "plain")
    sizes = {"whole": [(4, 4), (3, 5), (7, 9), (4, 11)], "plain": [(2, 3)]}
    case.facts["peer_noise_fp32"] = {}
    for name in ["whole", "plain"]:
        model = AutoencoderKL.from_pretrained(case.folder / "model" / name, dtype=torch.float32)
        factor = 2 ** (len(model.config.block_out_channels) - 1)
        for i, (h, w) in enumerate(sizes[name]):
            latents, pixels = noise(40 + i, 2, model.config.latent_channels, h, w), noise(50 + i, 2, 3, h * factor, w * factor).tanh()
            case.put(name, f"size.{i}.latents", latents, "a batch of two")
            case.put(name, f"size.{i}.pixels", pixels, "a batch of two")
            decoded, moments = model.decode(latents).sample, model.encode(pixels).latent_dist.parameters
            case.put(name, f"size.{i}.decoded", decoded, "decoder's output")
            case.put(name, f"size.{i}.moments", moments, "encoder's output: means, then log variances not yet clamped")
            model.enable_tiling()
            case.put(name, f"size.{i}.tiled.decoded", model.decode(latents).sample, "decoded in tiles of the saved size, where it is larger")
            case.put(name, f"size.{i}.tiled.moments", model.encode(pixels).latent_dist.parameters, "encoded in tiles")
            model.disable_tiling()
            model.enable_slicing()
            assert (model.decode(latents).sample - decoded).abs().max() < 1e-5
            model.disable_slicing()
        double = AutoencoderKL.from_pretrained(case.folder / "model" / name, dtype=torch.float64)
        case.facts["peer_noise_fp32"][name] = {"decoded": error(double.decode(latents.double()).sample, decoded),
                                               "moments": error(double.encode(pixels.double()).latent_dist.parameters, moments)}
        if name == "whole":
            posterior = model.encode(pixels).latent_dist
            case.put(name, "sample", posterior.sample(generator=torch.Generator().manual_seed(5)), "posterior of the last size, drawn with seed 5")


def unidiffuser_pictures(case: Case) -> None:
    """Pictures resized as Pillow does it, and cropped and scaled as CLIP's processor does."""
    sizes = [(61, 47), (47, 61), (16, 16), (1, 1), (2, 90), (130, 17), (24, 31)]
    case.facts["pictures"] = []
    processor, vae = unidiffuser_model.image_processor(14), VaeImageProcessor(vae_scale_factor=2)
    for i, (w, h) in enumerate(sizes):
        image = picture(w, h, 10 + i)
        case.put("resized", f"picture.{i}", torch.from_numpy(numpy.array(image)), "8-bit RGB, [height, width, 3]")
        for kind, filter in [("lanczos", PIL.Image.LANCZOS), ("bicubic", PIL.Image.BICUBIC)]:
            for width, height in [(16, 16), (9, 40)]:
                case.put("resized", f"picture.{i}.{kind}.{width}x{height}",
                         torch.from_numpy(numpy.array(image.resize((width, height), filter))), "the same by Pillow")
        case.put("clip", f"picture.{i}", processor.preprocess(image, return_tensors="pt").pixel_values, "[1, 3, 14, 14], as CLIP's processor gives it")
        case.put("vae", f"picture.{i}", vae.preprocess(image, height=12, width=12), "[1, 3, 12, 12], as the VAE sees it")
    kinds_of_file(case)
    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        shutil.copy(Path(folder) / "preprocessor_config.json", case.folder / "preprocessor_config.json")


def kinds_of_file(case: Case) -> None:
    """One file of each kind that people have, and what Pillow makes of it."""
    folder = case.folder / "files"
    folder.mkdir()
    image = picture(13, 9, 4)
    smooth = image.resize((26, 18), PIL.Image.BICUBIC)  # what JPEG keeps
    alpha = numpy.dstack([numpy.array(image), numpy.linspace(0, 255, 13 * 9).reshape(9, 13).astype("uint8")])
    orientation = PIL.Image.Exif()
    orientation[0x0112] = 6  # the right side is up
    image.save(folder / "plain.png")
    image.convert("L").save(folder / "grey.png")
    image.quantize(16).save(folder / "palette.png")
    PIL.Image.fromarray(alpha).save(folder / "alpha.png")
    smooth.save(folder / "plain.jpg", quality=95)
    smooth.save(folder / "turned.jpg", quality=95, exif=orientation)
    smooth.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    image.save(folder / "plain.webp", lossless=True)
    image.save(folder / "animated.png", save_all=True, append_images=[image.rotate(180)])
    image.save(folder / "animated.webp", save_all=True, append_images=[image.rotate(180)], lossless=True)
    image.save(folder / "animated.gif", save_all=True, append_images=[image.rotate(180)])
    (folder / "not-a-picture.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (folder / "empty.png").write_bytes(b"")
    sixteen = (numpy.array(image).astype("uint16") << 8) | numpy.array(image)[:, ::-1]
    cv2.imwrite(str(folder / "sixteen.png"), sixteen[..., ::-1])
    for name in ["plain.png", "grey.png", "palette.png", "alpha.png", "plain.jpg", "turned.jpg", "cmyk.jpg", "plain.webp", "sixteen.png"]:
        seen = PIL.ImageOps.exif_transpose(PIL.Image.open(folder / name)).convert("RGB")
        rgb = numpy.array(image) if name == "sixteen.png" else numpy.array(seen)
        case.put("files", name, torch.from_numpy(rgb), "8-bit RGB of the file by this name")
