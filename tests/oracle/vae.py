"""The VAE alone: frame batches with their caches, odd remainders, slices, tiles."""

import torch
from diffusers import AutoencoderKLCogVideoX

import checkpoints
from pipelines import error
from store import Case


def clip(frames: int, height: int, width: int, batch: int = 1) -> torch.Tensor:
    """A smooth moving pattern in [-1, 1] with some grain, [batch, 3, frames, height, width]."""
    t, y, x = torch.meshgrid(torch.arange(frames), torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.sin(0.35 * x + 0.2 * t), torch.cos(0.28 * y - 0.15 * t), torch.sin(0.2 * (x + y) + 0.1 * t * t.sqrt())]
    grain = torch.randn([batch, 3, frames, height, width], generator=torch.Generator().manual_seed(frames))
    return (0.7 * torch.stack(waves)[None] + 0.2 * grain).clamp(-1, 1)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def load(case: Case, dtype: torch.dtype = torch.float32) -> AutoencoderKLCogVideoX:
    return AutoencoderKLCogVideoX.from_pretrained(case.folder / "model", subfolder="vae", dtype=dtype)


def vae_batches(case: Case) -> None:
    checkpoints.vae("vae4", [4, 8, 8, 8], latent_channels=4, layers_per_block=1, sample_height=480, sample_width=720,
                    scaling_factor=0.7).save_pretrained(case.folder / "model" / "vae")
    model = load(case)
    latents, pixels = noise(1, 1, 4, 9, 2, 2), clip(33, 16, 16)
    case.put("decode", "latents", latents, "input; decoded.N takes its first N latent frames, without any scaling factor")
    case.put("encode", "pixels", pixels, "input; moments.N takes its first N frames")
    for n in [1, 2, 3, 4, 5, 9]:
        case.put("decode", f"decoded.{n}", model.decode(latents[:, :, :n]).sample, "decoder's output for the first N latent frames")
    for n in [1, 8, 9, 16, 17, 33]:
        posterior = model.encode(pixels[:, :, :n]).latent_dist
        case.put("encode", f"moments.{n}", posterior.parameters, "encoder's output: means, then log variances not yet clamped")
        if n == 9:
            case.put("encode", f"sample.{n}", posterior.sample(generator=torch.Generator().manual_seed(5)),
                     "posterior drawn with a CPU generator of seed 5")
    case.facts["sample_seed"] = 5
    double = load(case, torch.float64)
    case.facts["peer_noise_fp32"] = {
        "decoded.9": error(double.decode(latents.double()).sample, case.files["decode"]["decoded.9"]),
        "moments.33": error(double.encode(pixels.double()).latent_dist.parameters, case.files["encode"]["moments.33"])}
    case.facts["peer_error_half"] = {}
    for dtype, kind in [(torch.bfloat16, "bf16"), (torch.float16, "fp16")]:
        half = load(case, dtype)
        got = half.decode(latents[:, :, :5].to(dtype)).sample
        moments = half.encode(pixels[:, :, :9].to(dtype)).latent_dist.parameters
        case.put(kind, "decoded.5", got, f"as in decode.safetensors, input cast and all in {kind}")
        case.put(kind, "moments.9", moments, f"as in encode.safetensors, input cast and all in {kind}")
        case.facts["peer_error_half"][kind] = {
            "decoded.5": error(got, case.files["decode"]["decoded.5"]),
            "moments.9": error(moments, case.files["encode"]["moments.9"])}


def vae_tiles(case: Case) -> None:
    checkpoints.vae("vae3", [4, 4, 8], latent_channels=4, layers_per_block=2, sample_height=48, sample_width=40,
                    scaling_factor=0.7).bfloat16().save_pretrained(case.folder / "model" / "vae")
    plain, tiled = load(case), load(case)
    tiled.enable_tiling()
    case.facts["tile"] = {"pixels": [tiled.tile_sample_min_height, tiled.tile_sample_min_width],
                          "latents": [tiled.tile_latent_min_height, tiled.tile_latent_min_width]}
    grids = {"2x2 tiles, two frame batches": noise(2, 1, 4, 5, 7, 6), "2x3 tiles, the last one latent wide": noise(3, 1, 4, 1, 9, 9),
             "tall only": noise(4, 1, 4, 3, 11, 5), "wide only": noise(5, 1, 4, 2, 6, 8), "no tile: it fits": noise(6, 1, 4, 1, 6, 5)}
    for i, (about, latents) in enumerate(grids.items()):
        case.put("decode", f"grid.{i}.latents", latents, about)
        case.put("decode", f"grid.{i}.tiled", tiled.decode(latents).sample, about)
    clips = {"2x2 tiles, two frame batches": clip(17, 28, 24), "2x3 tiles, one frame": clip(1, 36, 36)}
    for i, (about, pixels) in enumerate(clips.items()):
        case.put("encode", f"grid.{i}.pixels", pixels, about)
        case.put("encode", f"grid.{i}.tiled", tiled.encode(pixels).latent_dist.parameters, about + ": means and log variances")

    pair, pixels = noise(7, 2, 4, 3, 3, 4), clip(9, 12, 16, batch=2)
    plain.enable_slicing()
    case.put("slices", "latents", pair, "a batch of two")
    case.put("slices", "decoded", plain.decode(pair).sample, "decoded one by one")
    case.put("slices", "pixels", pixels, "a batch of two")
    case.put("slices", "moments", plain.encode(pixels).latent_dist.parameters, "encoded one by one")


def vae_layers(case: Case) -> None:
    checkpoints.vae("vae_layers", [4, 4, 6, 4, 6], latent_channels=2, layers_per_block=3, norm_eps=1e-3, sample_height=64, sample_width=64,
                    scaling_factor=1.0).half().save_pretrained(case.folder / "model" / "vae")
    model = load(case)
    latents, pixels = noise(8, 1, 2, 3, 1, 2), clip(9, 16, 32)
    case.put("stages", "latents", latents, "input of the decoder")
    case.put("stages", "decoded", model.decode(latents).sample, "its output")
    case.put("stages", "pixels", pixels, "input of the encoder")
    case.put("stages", "moments", model.encode(pixels).latent_dist.parameters, "its output: means and log variances")
