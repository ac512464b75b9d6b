"""Prompt to frames, recorded: every stage of a CogVideoXPipeline run, in fp32 and in the half types."""

import contextlib
from pathlib import Path

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler, CogVideoXPipeline
from diffusers.pipelines.cogvideo import pipeline_cogvideox
from diffusers.schedulers import scheduling_dpm_cogvideox
from diffusers.utils.torch_utils import randn_tensor

from store import Case

PROBED_STEP = 1   # the transformer call whose inside is stored: the first that does not see pure noise
TEXT_ROWS = 16    # of the 226 text rows, those kept of stages inside the transformer
SCHEDULERS = {"ddim": CogVideoXDDIMScheduler, "dpm": CogVideoXDPMScheduler}


@contextlib.contextmanager
def noise_drawn_as(drawn: torch.dtype | None, modules=(pipeline_cogvideox, scheduling_dpm_cogvideox)):
    """Random numbers made in type `drawn` and then cast, so that a run in another type starts from the same noise.
    modules: of the peer, those that draw."""
    if drawn is None:
        yield
        return

    def draw(shape, generator=None, device=None, dtype=None):
        return randn_tensor(shape, generator=generator, device=device, dtype=drawn).to(dtype)

    for module in modules:
        module.randn_tensor = draw
    try:
        yield
    finally:
        for module in modules:
            module.randn_tensor = randn_tensor


def load(folder: Path, dtype: torch.dtype, scheduler: str) -> CogVideoXPipeline:
    pipe = CogVideoXPipeline.from_pretrained(folder, dtype=dtype)
    pipe.scheduler = SCHEDULERS[scheduler].from_pretrained(folder, subfolder="scheduler")
    pipe.set_progress_bar_config(disable=True)
    return pipe


class Recording:
    """One run's tensors, by the names used in the goldens."""

    def __init__(self, folder: Path, request: dict, dtype=torch.float32, noise=None, probe: bool = False):
        pipe = load(folder, dtype, request["scheduler"])
        self.steps: list[dict[str, torch.Tensor]] = []
        self.inside: dict[str, torch.Tensor] = {}
        self.rope = None
        calls = {"n": 0}

        def before(module, positional, named):
            self.steps.append({"input": named["hidden_states"], "timestep": named["timestep"]})
            self.rope = named["image_rotary_emb"]

        def after(module, positional, named, output):
            self.steps[-1]["noise_pred"] = output[0]
            calls["n"] += 1

        def at_probe(name, take):
            def hook(module, positional, output):
                if calls["n"] == PROBED_STEP:
                    self.inside.update(take(name, output))
            return hook

        def stepped(pipe, i, t, tensors):
            self.steps[i]["latents"] = tensors["latents"]
            return {}

        model = pipe.transformer
        model.register_forward_pre_hook(before, with_kwargs=True)
        model.register_forward_hook(after, with_kwargs=True)
        if probe:
            text = pipe.transformer.config.max_text_seq_length
            both = lambda name, joined: {f"{name}.text": joined[:, :TEXT_ROWS], f"{name}.video": joined[:, text:]}
            pair = lambda name, out: {f"{name}.video": out[0], f"{name}.text": out[1][:, :TEXT_ROWS]}
            one = lambda name, out: {name: out}
            model.time_embedding.register_forward_hook(at_probe("time_embedding", one))
            model.patch_embed.register_forward_hook(at_probe("patch_embed", both))
            for i, block in enumerate(model.transformer_blocks):
                block.register_forward_hook(at_probe(f"block.{i}", pair))
            model.transformer_blocks[0].attn1.register_forward_hook(at_probe("block.0.attention", pair))
            model.norm_out.register_forward_hook(at_probe("norm_out", one))

        self.prompt_embeds, self.negative_embeds = pipe.encode_prompt(
            request["prompt"], request["negative_prompt"], do_classifier_free_guidance=True)
        with noise_drawn_as(noise):
            self.final = pipe(
                prompt=request["prompt"], negative_prompt=request["negative_prompt"], height=request["height"],
                width=request["width"], num_frames=request["num_frames"], num_inference_steps=request["steps"],
                guidance_scale=request["guidance_scale"], use_dynamic_cfg=request["dynamic_cfg"],
                generator=torch.Generator().manual_seed(request["seed"]), output_type="latent",
                callback_on_step_end=stepped).frames
        self.pipe = pipe

    def decode(self, dropped: int) -> torch.Tensor:
        return self.pipe.decode_latents(self.final[:, dropped:])


def error(got: torch.Tensor, want: torch.Tensor) -> dict[str, float]:
    """Worst difference, alone and against the largest value wanted; and the root mean squares' ratio, which is steadier."""
    apart, want = got.double() - want.double(), want.double()
    worst = apart.abs().max().item()
    return {"abs": rounded(worst), "of_max": rounded(worst / want.abs().max().item()),
            "rms": rounded((apart.square().mean() / want.square().mean()).sqrt().item())}


def rounded(x: float) -> float:
    return float(f"{x:.3g}")


def to_bytes(video: torch.Tensor) -> torch.Tensor:
    """Decoder output [1,3,F,H,W] to 8-bit frames [F,H,W,3], as the peer's output_type="pil" makes them."""
    unit = (video * 0.5 + 0.5).clamp(0, 1)[0].permute(1, 2, 3, 0).float()
    return torch.from_numpy((unit.numpy() * 255).round().astype("uint8"))


@contextlib.contextmanager
def arithmetic(kind: str):
    """Ways to compute the same thing in fp32: what they differ by is noise that no test can ask to be below."""
    threads = torch.get_num_threads()
    if kind == "two threads":
        torch.set_num_threads(2)
        yield
        torch.set_num_threads(threads)
    elif kind == "no oneDNN":
        with torch.backends.mkldnn.flags(enabled=False):
            yield
    elif kind == "math attention":
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            yield
    else:
        yield


def record(case: Case, model: Path, request: dict, *, more_steps: list[tuple[str, int]], more_runs: dict[str, dict],
           halves: list[torch.dtype]) -> None:
    """Fills `case` from the checkpoint in `model`. Of more_steps, (scheduler, n), and of more_runs, changes to the
    request by name, the final latents alone are stored."""
    case.facts |= {"model": "model", **request}
    run = Recording(model, request, probe=True)
    latent_frames = (request["num_frames"] - 1) // 4 + 1
    dropped = run.final.shape[1] - latent_frames
    case.facts["dropped_latent_frames"] = dropped
    case.facts["timesteps"] = [int(s["timestep"][0]) for s in run.steps]

    ids = lambda text: run.pipe.tokenizer(text, padding="max_length", max_length=226, truncation=True, return_tensors="pt").input_ids
    case.put("text", "prompt_ids", ids(request["prompt"]), "token ids of the prompt, padded")
    case.put("text", "negative_prompt_ids", ids(request["negative_prompt"]), "token ids of the negative prompt, padded")
    case.put("text", "prompt_embeds", run.prompt_embeds, "text encoder's output for the prompt")
    case.put("text", "negative_prompt_embeds", run.negative_embeds, "... for the negative prompt")

    first = run.steps[0]["input"]
    case.put("denoise", "initial_latents", first[:1], "[batch, latent frames, channels, height, width], drawn from the seed")
    for i, step in enumerate(run.steps):
        case.put("denoise", f"step.{i}.noise_pred", step["noise_pred"], "transformer's output: [negative, prompt]")
        case.put("denoise", f"step.{i}.latents", step["latents"], "latents after the step")
    case.put("denoise", "final_latents", run.final, "as output_type=\"latent\": padded frames still there")

    case.facts["probed_step"] = PROBED_STEP
    probed = run.steps[PROBED_STEP]
    case.put("transformer", "input.hidden_states", probed["input"], "input of the probed call (text: negative, prompt of text.safetensors)")
    case.put("transformer", "input.timestep", probed["timestep"], "its timestep")
    if run.rope is not None:
        case.put("transformer", "rope.cos", run.rope[0], "[video tokens, head_dim]")
        case.put("transformer", "rope.sin", run.rope[1], "[video tokens, head_dim]")
    else:
        table = run.pipe.transformer.patch_embed
        case.put("transformer", "position_table", table.pos_embedding[:, 226:], "sin-cos table of the saved size, video rows (text rows are 0)")
        other = table._get_positional_embeddings(6, 10, 9)
        case.put("transformer", "position_table.6x10x3", other[:, 226:], "the same recomputed for latents of 6 x 10, 3 latent frames")
    about = {"time_embedding": "timestep embedding, after both linears", "patch_embed": "tokens entering block 0, positions added",
             "norm_out": "video tokens before proj_out"}
    for name, tensor in run.inside.items():
        stem = name.removesuffix(".text").removesuffix(".video")
        what = about.get(stem, "attention's output after to_out" if stem.endswith("attention") else "tokens after the block")
        case.put("transformer", name, tensor, what + (f", first {TEXT_ROWS} text rows" if name.endswith(".text") else ""))
    case.put("transformer", "output", probed["noise_pred"], "noise_pred of the probed call")

    video = run.decode(dropped)
    case.put("frames", "decoded", video, "decoder's output, [batch, 3, frames, height, width], before scaling to 0..1")
    case.put("frames", "frames", to_bytes(video), "8-bit RGB frames")

    case.facts["peer_noise_fp32"] = {}
    for kind in ["two threads", "no oneDNN", "math attention"]:
        with arithmetic(kind):
            again = Recording(model, request)
            case.facts["peer_noise_fp32"][kind] = {
                "final_latents": error(again.final, run.final), "decoded": error(again.decode(dropped), video)}
    double = Recording(model, request, dtype=torch.float64, noise=torch.float32, probe=True)
    stages = {name: error(double.inside[name], tensor) for name, tensor in run.inside.items()}
    case.facts["peer_noise_fp32"]["float64"] = {
        "worst_transformer_stage": max(stages.values(), key=lambda e: e["of_max"]),
        "prompt_embeds": error(double.prompt_embeds, run.prompt_embeds), "final_latents": error(double.final, run.final),
        "decoded": error(double.decode(dropped), video)}

    for scheduler, n in more_steps:
        longer = request | {"scheduler": scheduler, "steps": n}
        final = Recording(model, longer).final
        case.put("more_steps", f"{scheduler}.{n}.final_latents", final, f"final latents of the same request with {scheduler} and {n} steps")
        exact = Recording(model, longer, dtype=torch.float64, noise=torch.float32).final
        case.facts["peer_noise_fp32"][f"float64, {scheduler} {n}"] = {"final_latents": error(exact, final)}

    case.facts["more_runs"] = more_runs
    for name, changes in more_runs.items():
        case.put("more_runs", f"{name}.final_latents", Recording(model, request | changes).final,
                 f"final latents of the request with case.json's more_runs.{name}")

    for dtype in halves:
        record_half(case, model, request, dtype, dropped)


def record_half(case: Case, model: Path, request: dict, dtype: torch.dtype, dropped: int) -> None:
    """The peer in a half type, and fp32 arithmetic on the very same noise: their distance is the peer's own error."""
    kind = {torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    half, exact = Recording(model, request, dtype=dtype), Recording(model, request, noise=dtype)
    stages = {
        "prompt_embeds": (half.prompt_embeds, exact.prompt_embeds, "prompt's embeddings"),
        "initial_latents": (half.steps[0]["input"][:1], exact.steps[0]["input"][:1], "noise, drawn in the half type"),
        "noise_pred": (half.steps[0]["noise_pred"], exact.steps[0]["noise_pred"], "transformer's output at step 0: [negative, prompt]"),
        "final_latents": (half.final, exact.final, "final latents"),
    }
    errors = {}
    for name, (got, want, about) in stages.items():
        case.put(kind, name, got, f"{about}, all in {kind}")
        if name != "initial_latents":
            errors[name] = error(got, want)
        if name in ("noise_pred", "final_latents"):  # the embeddings' reference is in text.safetensors
            case.put(kind, f"reference.{name}", want, f"{about}, in fp32 from the same noise")
    errors["decoded"] = error(half.decode(dropped), exact.decode(dropped))
    case.facts.setdefault("peer_error_half", {})[kind] = errors
