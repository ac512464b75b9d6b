"""Parts alone: schedulers, guidance, text encoder, tokenizers, transformer variants, positions, random numbers."""

import math

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from transformers import T5EncoderModel, T5Tokenizer

import checkpoints
import words
from pipelines import SCHEDULERS, error
from store import Case
from vae import noise


COMMON = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
              rescale_betas_zero_snr=True, set_alpha_to_one=True, timestep_spacing="trailing", snr_shift_scale=1.0)
TABLES = {
    "shift_3": dict(snr_shift_scale=3.0),
    "shift_1": dict(),
    "shift_2.5": dict(snr_shift_scale=2.5),
    "no_zero_snr": dict(rescale_betas_zero_snr=False),
    "last_alpha_kept": dict(rescale_betas_zero_snr=False, set_alpha_to_one=False, snr_shift_scale=3.0),
}
COUNTS = [1, 2, 5, 17, 28, 30, 48, 50, 61, 103, 1000]


def schedulers(case: Case) -> None:
    for name, changes in TABLES.items():
        made = {kind: made.from_config(COMMON | changes) for kind, made in SCHEDULERS.items()}
        case.put("tables", f"{name}.alphas_cumprod", made["ddim"].alphas_cumprod, "abar")
        case.put("tables", f"{name}.final_alpha_cumprod", made["ddim"].final_alpha_cumprod.double(), "abar after the last step")
        assert torch.equal(made["ddim"].alphas_cumprod, made["dpm"].alphas_cumprod)
    case.facts["tables"] = {name: COMMON | changes for name, changes in TABLES.items()}

    for spacing in ["trailing", "linspace", "leading"]:
        for n in COUNTS:
            scheduler = CogVideoXDDIMScheduler.from_config(COMMON | {"timestep_spacing": spacing, "steps_offset": int(spacing == "leading")})
            scheduler.set_timesteps(n)
            case.put("timesteps", f"{spacing}.{n}", scheduler.timesteps, "timesteps" + (" with steps_offset 1" if spacing == "leading" else ""))
            assert len(scheduler.timesteps) == n or spacing == "trailing"

    # Whole loops on made-up model outputs: every step's branch, one number a cell of a small latent.
    sample, outputs = noise(10, 1, 2, 3, 2, 3), noise(11, 7, 1, 2, 3, 2, 3)
    case.put("loops", "sample", sample, "where every loop starts; half types start from it cast")
    case.put("loops", "model_outputs", outputs, "fp32; step i of a loop gets model_outputs[i mod 7]")
    loops = [("ddim", "shift_3", n, "fp32", "v_prediction", "trailing") for n in (50, 28, 48, 61, 1)]
    loops += [("dpm", "shift_1", n, "fp32", "v_prediction", "trailing") for n in (50, 28, 30, 61, 1, 2)]
    loops += [(k, "shift_3", 9, d, "v_prediction", "trailing") for k in SCHEDULERS for d in ("bf16", "fp16")]
    loops += [(k, "no_zero_snr", 6, "fp32", p, "trailing") for k in SCHEDULERS for p in ("epsilon", "sample")]
    loops += [(k, "last_alpha_kept", 5, "fp32", "v_prediction", s) for k in SCHEDULERS for s in ("leading", "linspace")]
    case.facts["loops"] = []
    for i, (kind, table, n, dtype, prediction, spacing) in enumerate(loops):
        config = COMMON | TABLES[table] | {"prediction_type": prediction, "timestep_spacing": spacing, "steps_offset": 0}
        scheduler = SCHEDULERS[kind].from_config(config)
        seed = 100 + i
        case.facts["loops"].append({"name": f"loop.{i}", "scheduler": kind, "table": table, "steps": n, "dtype": dtype,
                                    "prediction_type": prediction, "timestep_spacing": spacing, "seed": seed})
        run_loop(case, f"loop.{i}", scheduler, n, sample.to(DTYPES[dtype]), outputs, seed)


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def run_loop(case: Case, name: str, scheduler, n: int, sample: torch.Tensor, outputs: torch.Tensor, seed: int) -> None:
    """As the pipeline calls it; keeps the first three and the last two samples."""
    generator = torch.Generator().manual_seed(seed)
    scheduler.set_timesteps(n)
    dtype, old, steps = sample.dtype, None, scheduler.timesteps
    kept = sorted({0, 1, 2, len(steps) // 2, len(steps) - 2, len(steps) - 1} & set(range(len(steps))))
    for i, t in enumerate(steps):
        output = outputs[i % len(outputs)]
        if isinstance(scheduler, CogVideoXDPMScheduler):
            sample, old = scheduler.step(output, old, t, steps[i - 1] if i else None, sample, generator=generator, return_dict=False)
        else:
            sample = scheduler.step(output, t, sample, return_dict=False)[0]
        sample = sample.to(dtype)
        if i in kept:
            case.put("loops", f"{name}.after_step.{i}", sample, "sample after step i, of the loop that case.json lists by this name")


def guidance(case: Case) -> None:
    """The peer's dynamic guidance: the training timestep goes where a step's index was meant."""
    for n in [6, 28, 30, 50, 61]:
        scheduler = CogVideoXDDIMScheduler.from_config(COMMON)
        scheduler.set_timesteps(n)
        case.put("dynamic", f"timesteps.{n}", scheduler.timesteps, "timesteps of n steps")
        for scale in [6.0, 4.5]:
            values = [1 + scale * ((1 - math.cos(math.pi * ((n - t.item()) / n) ** 5.0)) / 2) for t in scheduler.timesteps]
            case.put("dynamic", f"scale_{scale:g}.{n}".replace("4.5", "4_5"), torch.tensor(values, dtype=torch.float64), f"guidance of each of n steps, guidance_scale {scale:g}")
    pair = noise(12, 2, 2, 4, 2, 2)
    case.put("combine", "noise_pred", pair, "[negative, prompt]")
    case.facts["guided"] = [6.0, 1.0001, 7.123456789]
    for i, scale in enumerate(case.facts["guided"]):
        uncond, text = pair.chunk(2)
        case.put("combine", f"guided.{i}", uncond + scale * (text - uncond), "guided by the i-th scale of case.json's `guided`")


def t5(case: Case) -> None:
    for kind in ["relu", "gated-gelu"]:
        folder = case.folder / "../cog2b/model/text_encoder" if kind == "gated-gelu" else case.folder / "model/text_encoder"
        if kind == "relu":
            checkpoints.text_encoder("t5/relu", kind).save_pretrained(folder)
        case.facts.setdefault("folders", {})[kind] = str(folder.relative_to(case.folder))
        model = T5EncoderModel.from_pretrained(folder, dtype=torch.float32)
        ids = torch.zeros(2, 226, dtype=torch.int64)
        ids[:, 0] = 1
        ids[0, :200] = torch.randint(3, 200, [200], generator=torch.Generator().manual_seed(13))
        ids[0, 200] = 1
        file = kind.replace("-", "_")
        case.put(file, "ids", ids, "a long prompt, an empty one")
        out = model(ids, output_hidden_states=True)
        case.put(file, "embeds", out.last_hidden_state, "the encoder's output")
        case.put(file, "after_block.0", out.hidden_states[1][:, :32], "after the first of two blocks, first 32 rows")
        case.put(file, "position_bias", model.encoder.block[0].layer[0].SelfAttention.compute_bias(226, 226)[:, :, :4],
                 "[1, heads, first 4 queries, 226 keys]")
        double = T5EncoderModel.from_pretrained(folder, dtype=torch.float64)
        case.facts.setdefault("peer_noise_fp32", {})[kind] = {"embeds": error(double(ids)[0], out.last_hidden_state)}
        for name, dtype in [("bf16", torch.bfloat16), ("fp16", torch.float16)]:
            half = T5EncoderModel.from_pretrained(folder, dtype=dtype)
            kept = {n for n, p in half.named_parameters() if p.dtype == torch.float32}
            assert all(n.endswith("wo.weight") for n in kept) and bool(kept) == (dtype == torch.float16)
            embeds = half(ids)[0]
            case.put(file, f"{name}.embeds", embeds, f"loaded in {name}" + (", wo stays fp32" if kept else "") + "; dtype as the peer returns it")
            case.facts.setdefault("peer_error_half", {}).setdefault(kind, {})[name] = error(embeds, out.last_hidden_state)


def tokenizer(case: Case) -> None:
    folders = {"spiece": "../cog2b/model/tokenizer", "json": "../cog15/model/tokenizer"}
    loaded = {name: T5Tokenizer.from_pretrained(case.folder / folder) for name, folder in folders.items()}
    rows = []
    for prompt in words.PROMPTS:
        text = words.prompt_text(prompt)
        ids = {name: t(text, padding="max_length", max_length=226, truncation=True)["input_ids"] for name, t in loaded.items()}
        assert ids["spiece"] == ids["json"], f"the two folders differ on {text!r}"
        unpadded = loaded["spiece"](text, max_length=226, truncation=True)["input_ids"]
        assert ids["spiece"] == unpadded + [0] * (226 - len(unpadded))
        rows.append({"prompt": prompt, "ids": unpadded, "tokens_before_truncation": len(loaded["spiece"](text)["input_ids"])})
    case.facts |= {"folders": folders, "max_length": 226, "prompts": rows,
                   "note": "ids end with </s> = 1; pad with <pad> = 0 to 226. A prompt that is an object is `repeat` said `times` times, joined as is, outer spaces cut."}


def transformer_variants(case: Case) -> None:
    """Forward passes of variants that no text-to-video pipeline reaches, or not at this size."""
    common = dict(num_attention_heads=2, attention_head_dim=16, out_channels=4, time_embed_dim=16, num_layers=1)
    variants = {
        "ofs": dict(in_channels=8, ofs_embed_dim=16, patch_size_t=2, patch_bias=False, sample_width=8, sample_height=6,
                    sample_frames=9, use_rotary_positional_embeddings=True),
        "learned": dict(in_channels=8, sample_width=6, sample_height=4, sample_frames=9,
                        use_rotary_positional_embeddings=True, use_learned_positional_embeddings=True),
        "resized": dict(in_channels=4, sample_width=6, sample_height=4, sample_frames=9, spatial_interpolation_scale=1.5,
                        temporal_interpolation_scale=2.0, attention_bias=False, norm_eps=1e-3, timestep_activation_fn="gelu",
                        flip_sin_to_cos=False, freq_shift=1),
    }
    sizes = {"ofs": [(4, 6, 8), (2, 4, 6)], "learned": [(3, 4, 6)], "resized": [(3, 6, 10), (3, 4, 6), (1, 8, 4)]}
    text = noise(20, 2, 226, 32)
    case.put("text", "text", text, "encoder_hidden_states of every call")
    for name, config in variants.items():
        folder = case.folder / "model" / name
        checkpoints.transformer(f"variant/{name}", **common | config).save_pretrained(folder / "transformer")
        model = CogVideoXTransformer3DModel.from_pretrained(folder, subfolder="transformer", dtype=torch.float32)
        for i, (frames, height, width) in enumerate(sizes[name]):
            latents = noise(21 + i, 2, frames, config["in_channels"], height, width)
            timestep = torch.tensor([999 - 400 * i, 23])
            named = {"hidden_states": latents, "encoder_hidden_states": text, "timestep": timestep}
            if name == "ofs":
                named["ofs"] = torch.full([1], 2.0)
            if config.get("use_rotary_positional_embeddings"):
                named["image_rotary_emb"] = rope(model.config, frames, height, width)
                case.put(name, f"call.{i}.rope.cos", named["image_rotary_emb"][0], "[video tokens, head_dim]")
                case.put(name, f"call.{i}.rope.sin", named["image_rotary_emb"][1], "[video tokens, head_dim]")
            case.put(name, f"call.{i}.hidden_states", latents, "input")
            case.put(name, f"call.{i}.timestep", timestep, "one timestep a sample" + (", with ofs = [2.0]" if name == "ofs" else ""))
            case.put(name, f"call.{i}.output", model(**named).sample, "output")


class Stub:
    """What CogVideoXPipeline's rotary helper asks of its pipeline."""

    vae_scale_factor_spatial = 1

    def __init__(self, config):
        self.transformer = type("T", (), {"config": config})


def rope(config, frames: int, height: int, width: int):
    return CogVideoXPipeline._prepare_rotary_positional_embeddings(Stub(config), height, width, frames, None)


def positions(case: Case) -> None:
    """Rotary tables of many grids: the crop's rounding halves to even, and grids larger and smaller than the saved one."""
    crops = []
    for base in [(30, 45), (45, 30), (6, 5), (8, 8)]:
        for grid in [(30, 45), (16, 16), (6, 10), (10, 6), (4, 6), (1, 1), (3, 7), (48, 84), (5, 45), (7, 9), (8, 8)]:
            (top, left), (bottom, right) = get_resize_crop_region_for_grid(grid, base[1], base[0])
            crops.append({"base": base, "grid": grid, "top_left": [top, left], "bottom_right": [bottom, right]})
    case.facts["crops"] = crops
    tables = []
    for i, (base, grid, frames) in enumerate([((30, 45), (2, 3), 4), ((30, 45), (6, 4), 1), ((6, 5), (4, 6), 3), ((4, 4), (7, 3), 2)]):
        start_stop = get_resize_crop_region_for_grid(grid, base[1], base[0])
        cos, sin = get_3d_rotary_pos_embed(embed_dim=64, crops_coords=start_stop, grid_size=grid, temporal_size=frames)
        case.put("linspace", f"table.{i}.cos", cos, "[frames * rows * columns, 64]")
        case.put("linspace", f"table.{i}.sin", sin, "[frames * rows * columns, 64]")
        tables.append({"name": f"table.{i}", "base": base, "grid": grid, "frames": frames})
    case.facts["tables"] = tables


def randomness(case: Case) -> None:
    """torch.randn of a CPU generator: by type, by size (15 takes another path than 16), by seed, and drawn in a row."""
    draws = []
    for dtype in ["fp32", "bf16", "fp16"]:
        for sizes, seed in [([15], 42), ([16], 42), ([17], 42), ([1000], 42), ([1, 3, 8, 4, 6], 0), ([15, 15, 7, 16, 3, 17], 3)]:
            draws.append({"dtype": dtype, "seed": seed, "shapes": [[s] for s in sizes] if len(sizes) != 5 else [sizes]})
    for seed in [1, 2**31, 2**32 - 1, 2**32, 2**32 + 42, 2**63 - 1, 2**63, 2**64 - 1]:
        draws.append({"dtype": "fp32", "seed": seed, "shapes": [[16]]})
    for i, draw in enumerate(draws):
        generator = torch.Generator().manual_seed(draw["seed"])
        for j, shape in enumerate(draw["shapes"]):
            case.put("draws", f"draw.{i}.{j}", torch.randn(shape, generator=generator, dtype=DTYPES[draw["dtype"]]), "see case.json")
        draw["name"] = f"draw.{i}"
        draw["seed"] = str(draw["seed"])
    case.facts["draws"] = draws
    case.facts["note"] = "draw.I.J is the J-th tensor drawn in a row from one generator; seeds are text, as some pass 2^63"
