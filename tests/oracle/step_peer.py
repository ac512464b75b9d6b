"""Times diffusers on what `bitreel bench step` or `bench vae` has just timed:

    build/cpu/bitreel bench step --device cuda --output out/step.json
    .deps/peer/bin/python tests/oracle/step_peer.py out/step.json --device cuda --output out/step-peer.json

Reads the sizes, layers and dtypes of that file's cases and runs each once on the same machine with random weights of its
own: a denoising step as CogVideoXPipeline runs it (guidance, scheduler) or UniDiffuserPipeline (a picture from text,
likewise), or AutoencoderKLCogVideoX.decode and the frames as bytes on the host. Writes one JSON object after every
case: diffusers' milliseconds and peak memory, eager and, with --compile, compiled (with the seconds that compiling took),
and for every variant of Bitreel's how many times as fast it was. --compile takes cases by name; compiling takes minutes
each. With --sage attention is the sageattention package's (github.com/thu-ml/SageAttention, to be installed beside what
requirements.txt says), in a further eager measurement and in what is compiled.
"""

import argparse
import contextlib
import gc
import json
import os
import platform
import statistics
import time
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import (AutoencoderKL, AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXDPMScheduler,
                       CogVideoXPipeline, CogVideoXTransformer3DModel, DPMSolverMultistepScheduler)
from diffusers.pipelines.deprecated.unidiffuser import UniDiffuserModel, UniDiffuserPipeline, UniDiffuserTextDecoder

ROOT = Path(__file__).absolute().parents[2]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Device:
    def __init__(self, name: str):
        self.name = name

    def wait(self) -> None:
        if self.name == "cuda":
            torch.cuda.synchronize()

    def forget(self) -> None:
        gc.collect()
        if self.name == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_bytes(self) -> int:
        return torch.cuda.max_memory_allocated() if self.name == "cuda" else 0

    def describe(self) -> str:
        return torch.cuda.get_device_name() if self.name == "cuda" else platform.processor() or platform.machine()


def folder_of(model: str) -> Path:
    folder = ROOT / "configs/models" / model
    return folder if folder.is_dir() else ROOT / "assets" / model


def config_of(model: str, part: str) -> dict:
    name = {"scheduler": "scheduler_config.json", "": "model_index.json"}.get(part, "config.json")
    return json.loads((folder_of(model) / part / name).read_text())


def random_model(kind: type, config, dtype: torch.dtype, device: Device) -> torch.nn.Module:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device.name):
            model = kind.from_config(config) if isinstance(config, dict) else kind(config)
            return model.eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


class Clip:
    """Steps of CogVideoXPipeline."""

    denoiser = "transformer"

    def __init__(self, case: dict, device: Device):
        config = config_of(case["model"], "transformer") | {"num_layers": case["layers"]}
        scheduler_config = config_of(case["model"], "scheduler")
        kind = CogVideoXDPMScheduler if "DPM" in scheduler_config["_class_name"] else CogVideoXDDIMScheduler
        self.size = dict(zip(("width", "height", "num_frames"), case["size"]))
        self.pipe = CogVideoXPipeline(
            tokenizer=None, text_encoder=None, vae=None, scheduler=kind.from_config(scheduler_config),
            transformer=random_model(CogVideoXTransformer3DModel, config, DTYPES[case["dtype"]], device))
        self.pipe.vae_scale_factor_spatial = 2 ** (len(config_of(case["model"], "vae")["block_out_channels"]) - 1)
        self.text = (config["max_text_seq_length"], config["text_embed_dim"])

    def run(self, steps: int, on_step, **settings) -> None:
        def on_step_end(_pipe, _index, _timestep, tensors):
            on_step()
            return tensors

        self.pipe(**settings, **self.size, num_inference_steps=steps, guidance_scale=6.0, callback_on_step_end=on_step_end)


class Joint:
    """Steps of UniDiffuserPipeline, from text to a picture; its other parts are there because it asks for their sizes."""

    denoiser = "unet"

    def __init__(self, case: dict, device: Device):
        config = lambda part: config_of(case["model"], part)
        made = lambda kind, config: random_model(kind, config, DTYPES[case["dtype"]], device)
        self.pipe = UniDiffuserPipeline(
            clip_image_processor=None, clip_tokenizer=None, text_tokenizer=None,
            vae=made(AutoencoderKL, config("vae")),
            text_encoder=made(transformers.CLIPTextModel, transformers.CLIPTextConfig(**config("text_encoder"))),
            image_encoder=made(transformers.CLIPVisionModelWithProjection,
                               transformers.CLIPVisionConfig(**config("image_encoder"))),
            text_decoder=made(UniDiffuserTextDecoder, config("text_decoder")),
            unet=made(UniDiffuserModel, config("unet") | {"num_layers": case["layers"]}),
            scheduler=DPMSolverMultistepScheduler.from_config(config("scheduler")))
        text_encoder = self.pipe.text_encoder.config
        self.text = (text_encoder.max_position_embeddings, text_encoder.hidden_size)

    def run(self, steps: int, on_step, **settings) -> None:
        self.pipe(**settings, num_inference_steps=steps, guidance_scale=8.0, callback=lambda *_: on_step())


def timed_steps(kind: Clip | Joint, case: dict, rounds: int, device: Device) -> float:
    draw = lambda seed: torch.randn((1, *kind.text), generator=torch.Generator().manual_seed(seed)).to(
        device.name, DTYPES[case["dtype"]])
    ends = []

    def on_step() -> None:
        device.wait()
        ends.append(time.perf_counter())

    kind.run(1 + rounds, on_step, prompt_embeds=draw(1), negative_prompt_embeds=draw(2),
             generator=torch.Generator().manual_seed(1), output_type="latent")
    return statistics.median(b - a for a, b in zip(ends, ends[1:])) * 1e3


@contextlib.contextmanager
def sage_attention():
    """As the package's own example of CogVideoX has it."""
    from sageattention import sageattn

    before = torch.nn.functional.scaled_dot_product_attention
    torch.nn.functional.scaled_dot_product_attention = lambda q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False: \
        sageattn(q, k, v, is_causal=is_causal)
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = before


def step(case: dict, rounds: int, compiled: bool, sage: bool, device: Device) -> dict:
    kinds = {"CogVideoXPipeline": Clip, "UniDiffuserPipeline": Joint}
    kind = kinds[config_of(case["model"], "")["_class_name"]](case, device)
    kind.pipe.set_progress_bar_config(disable=True)
    row = {"eager_ms": timed_steps(kind, case, rounds, device), "peak_device_bytes": device.peak_bytes()}
    with sage_attention() if sage else contextlib.nullcontext():
        if sage:
            row["sage_ms"] = timed_steps(kind, case, rounds, device)
        if compiled:
            begun = time.perf_counter()
            setattr(kind.pipe, kind.denoiser, torch.compile(getattr(kind.pipe, kind.denoiser)))
            timed_steps(kind, case, 1, device)
            row["compile_s"] = time.perf_counter() - begun
            row["compiled_ms"] = timed_steps(kind, case, rounds, device)
    return row


def vae(case: dict, rounds: int, tiled: bool, device: Device) -> dict:
    width, height, frames = case["size"]
    dtype = DTYPES[case["dtype"]]
    config = config_of(case["model"], "vae")
    model = random_model(AutoencoderKLCogVideoX, config, dtype, device)
    if tiled:
        model.enable_tiling()
    factor = 2 ** (len(config["block_out_channels"]) - 1)
    latents = torch.randn((1, config["latent_channels"], (frames - 1) // 4 + 1, height // factor, width // factor),
                          generator=torch.Generator().manual_seed(1)).to(device.name, dtype)
    decode_ms, whole_ms = [], []
    for _ in range(1 + rounds):
        device.wait()
        begun = time.perf_counter()
        pixels = model.decode(latents / config["scaling_factor"]).sample
        device.wait()
        decoded = time.perf_counter()
        (pixels.float() * 0.5 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).cpu()
        decode_ms.append((decoded - begun) * 1e3)
        whole_ms.append((time.perf_counter() - begun) * 1e3)
        del pixels
    return {"decode_ms": statistics.median(decode_ms[1:]), "eager_ms": statistics.median(whole_ms[1:]),
            "peak_device_bytes": device.peak_bytes()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="JSON that bitreel bench step or bench vae wrote")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", nargs="*", default=[], metavar="CASE", help="names of cases to compile as well")
    parser.add_argument("--sage", action="store_true", help="attention by the sageattention package as well")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text())
    device = Device(arguments.device)
    report = {"peer": "diffusers", "diffusers": diffusers.__version__, "torch": torch.__version__,
              "device": device.describe(), "phase": results["phase"], "rounds": arguments.rounds,
              "sage": arguments.sage, "cases": []}
    done = set()
    with torch.inference_mode():
        for case in results["cases"]:
            if "error" in case:
                continue
            # Once for each size; decoding once more where tiles were asked for.
            tiled = results["phase"] == "vae" and case["variant"].startswith("tiled")
            key = json.dumps([case[name] for name in ("name", "model", "layers", "size", "dtype")] + [tiled])
            if key in done:
                continue
            done.add(key)
            device.forget()
            row = {name: case[name] for name in ("name", "model", "layers", "size", "dtype")} | {"tiled": tiled}
            try:
                if results["phase"] == "step":
                    row |= step(case, arguments.rounds, case["name"] in arguments.compile, arguments.sage, device)
                else:
                    row |= vae(case, arguments.rounds, tiled, device)
                fastest = min(row[name] for name in ("eager_ms", "sage_ms", "compiled_ms") if name in row)
                row["times_faster"] = {
                    other["variant"]: {"eager": row["eager_ms"] / other["ms"], "fastest": fastest / other["ms"]}
                    for other in results["cases"]
                    if "error" not in other and (results["phase"] == "step" or other["variant"].startswith("tiled") == tiled)
                    and all(other[name] == case[name] for name in ("name", "model", "layers", "size", "dtype"))}
            except (RuntimeError, torch.OutOfMemoryError) as error:  # a case that doesn't fit must not cost the others
                row["error"] = str(error).splitlines()[0]
            report["cases"].append(row)
            partial = arguments.output.with_suffix(".partial")
            partial.write_text(json.dumps(report, indent=1) + "\n")
            os.replace(partial, arguments.output)
            print(json.dumps({name: row.get(name) for name in ("name", "size", "eager_ms", "sage_ms", "compiled_ms",
                                                               "times_faster", "error")}), flush=True)


if __name__ == "__main__":
    main()
