"""Times Python diffusers on a checkpoint folder: python tests/oracle/bench.py assets/pocket --dtype bf16 --output peer.json

Runs what a user writes (from_pretrained, one call, export_to_video; of a UniDiffuser a picture of the prompt) and reads
the clock around its parts. Seconds; MiB.
The first step is reported apart: it pays for first-time set-up in the libraries.
"""

import time

STARTED = time.perf_counter()

import argparse
import contextlib
import json
import platform
import resource
import statistics
import sys
import tempfile
from pathlib import Path

import diffusers
import diffusers.pipelines
import torch
import transformers
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler, CogVideoXPipeline, UniDiffuserPipeline
from diffusers.pipelines.deprecated import unidiffuser
from diffusers.utils import export_to_video

IMPORTED = time.perf_counter()
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# The hub's folders name a module that has moved.
diffusers.pipelines.unidiffuser = sys.modules["diffusers.pipelines.unidiffuser"] = unidiffuser
SCHEDULERS = {"ddim": CogVideoXDDIMScheduler, "dpm": CogVideoXDPMScheduler}


def now(pipe) -> float:
    """What was launched on a GPU has ended by then."""
    if pipe.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class Clock:
    """Seconds spent in a method of the pipeline, summed over its calls."""

    def __init__(self, pipe, method: str):
        self.seconds, self.first_return, inner = 0.0, None, getattr(pipe, method)

        def timed(*positional, **named):
            begin = time.perf_counter()
            result = inner(*positional, **named)
            end = time.perf_counter()
            self.seconds += end - begin
            self.first_return = self.first_return or end
            return result

        setattr(pipe, method, timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--prompt", default="a red circle moves right on a navy background")
    parser.add_argument("--negative-prompt", default="")
    parser.add_argument("--width", type=int, help="the checkpoint's own when absent, as height and frames")
    parser.add_argument("--height", type=int)
    parser.add_argument("--num-frames", type=int)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance-scale", type=float, help="6, of a UniDiffuser 8, when absent")
    parser.add_argument("--dynamic-cfg", action="store_true")
    parser.add_argument("--scheduler", choices=SCHEDULERS, help="the checkpoint's own when absent")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--fps", type=int, default=8)
    parser.add_argument("--threads", type=int, help="LibTorch's own choice when absent")
    parser.add_argument("--repeats", type=int, default=1, help="clips made in this process; each is listed")
    parser.add_argument("--output", type=Path, help="JSON file; standard output when absent")
    arguments = parser.parse_args()

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    begin = time.perf_counter()
    still = json.loads((arguments.model / "model_index.json").read_text())["_class_name"] == "UniDiffuserPipeline"
    if still:
        pipe = UniDiffuserPipeline.from_pretrained(arguments.model, torch_dtype=torch.float32).to(DTYPES[arguments.dtype])
    else:
        pipe = CogVideoXPipeline.from_pretrained(arguments.model, dtype=DTYPES[arguments.dtype])
    if arguments.scheduler:
        pipe.scheduler = SCHEDULERS[arguments.scheduler].from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    pipe.to(arguments.device)
    load = time.perf_counter() - begin
    timed = {(pipe, "encode_prompt"), (pipe.vae, "decode") if still else (pipe, "decode_latents")}
    plain = {place: getattr(*place) for place in timed}

    clips = []
    for _ in range(arguments.repeats):
        for (holder, name), method in plain.items():
            setattr(holder, name, method)
        clips.append((picture if still else clip)(pipe, arguments))

    report = {
        "peer": "diffusers", "diffusers": diffusers.__version__, "transformers": transformers.__version__,
        "torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads(),
        "processor": processor(), "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "request": {k: str(v) if isinstance(v, Path) else v for k, v in vars(arguments).items() if k not in ("output", "repeats")},
        "import_s": IMPORTED - STARTED, "load_s": load,
        "start_to_first_step_s": clips[0].pop("first_step_began") - STARTED,
        "clips": [{k: v for k, v in c.items() if k != "first_step_began"} for c in clips],
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    text = json.dumps(report, indent=2)
    if arguments.output:
        arguments.output.write_text(text + "\n")
    else:
        print(text)


def clip(pipe: CogVideoXPipeline, arguments: argparse.Namespace) -> dict:
    encode, decode = Clock(pipe, "encode_prompt"), Clock(pipe, "decode_latents")
    ends = []
    begin = time.perf_counter()
    frames = pipe(
        prompt=arguments.prompt, negative_prompt=arguments.negative_prompt, width=arguments.width, height=arguments.height,
        num_frames=arguments.num_frames, num_inference_steps=arguments.steps, guidance_scale=arguments.guidance_scale or 6.0,
        use_dynamic_cfg=arguments.dynamic_cfg, generator=torch.Generator().manual_seed(arguments.seed),
        callback_on_step_end=lambda pipe, i, t, tensors: ends.append(now(pipe)) or {}).frames[0]
    made = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        export_to_video(frames, f"{folder}/clip.mp4", fps=arguments.fps)
    return seconds(begin, encode, ends, decode, made) | {"frames": len(frames), "size": list(frames[0].size)}


def picture(pipe: UniDiffuserPipeline, arguments: argparse.Namespace) -> dict:
    encode, decode = Clock(pipe, "encode_prompt"), Clock(pipe.vae, "decode")
    ends = []
    begin = time.perf_counter()
    made = pipe(
        prompt=arguments.prompt, num_inference_steps=arguments.steps, guidance_scale=arguments.guidance_scale or 8.0,
        generator=torch.Generator().manual_seed(arguments.seed),
        callback=lambda i, t, latents: ends.append(now(pipe))).images[0]
    decoded = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        made.save(f"{folder}/picture.png")
    return seconds(begin, encode, ends, decode, decoded) | {"frames": 1, "size": list(made.size)}


def seconds(begin: float, encode: Clock, ends: list[float], decode: Clock, made: float) -> dict:
    exported = time.perf_counter()
    steps = [b - a for a, b in zip([encode.first_return, *ends], ends)]
    later = steps[1:] or steps
    return {
        "whole_clip_s": exported - begin, "text_s": encode.seconds, "denoise_s": sum(steps), "decode_s": decode.seconds,
        "export_s": exported - made, "first_step_s": steps[0], "step_median_s": statistics.median(later),
        "step_mean_s": statistics.mean(later), "step_min_s": min(later), "steps": len(steps),
        "first_step_began": encode.first_return}


def processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
