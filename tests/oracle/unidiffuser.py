"""Every mode of UniDiffuserPipeline, recorded stage by stage, in fp32 and in the half types."""

import contextlib
import functools
import sys
import types
from pathlib import Path

import numpy
import PIL.Image
import torch
from diffusers import UniDiffuserPipeline
from diffusers.models.autoencoders import vae
from diffusers.pipelines.deprecated import unidiffuser as peer
from diffusers.pipelines.deprecated.unidiffuser import pipeline_unidiffuser

import unidiffuser_model
from pipelines import arithmetic, error, noise_drawn_as
from store import Case

# The hub's folders name a module that has moved; the peer itself no longer opens them.
sys.modules.setdefault("diffusers.pipelines.unidiffuser", peer)
import diffusers.pipelines
diffusers.pipelines.unidiffuser = peer

MODES = {"t2i": "text2img", "i2t": "img2text", "joint": "joint", "image": "img", "text": "text"}
IMAGE_MODES, TEXT_MODES = {"t2i", "joint", "image"}, {"i2t", "joint", "text"}


def picture(width: int, height: int, seed: int) -> PIL.Image.Image:
    """A gradient with a disc and some grain, RGB."""
    y, x = numpy.mgrid[0:height, 0:width]
    waves = [numpy.sin(0.21 * x + seed), numpy.cos(0.17 * y - seed), numpy.sin(0.09 * (x + y))]
    grain = numpy.random.RandomState(seed).uniform(-30, 30, [height, width, 3])
    rgb = 128 + 80 * numpy.stack(waves, -1) + grain
    rgb[(x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2] += [60, -50, 20]
    return PIL.Image.fromarray(rgb.clip(0, 255).astype("uint8"))


def load(model: Path, dtype: torch.dtype) -> UniDiffuserPipeline:
    pipe = UniDiffuserPipeline.from_pretrained(model, torch_dtype=torch.float32).to(dtype)
    pipe.set_progress_bar_config(disable=True)
    # Of tied weights that are stored once the peer makes the other at random.
    pipe.text_decoder.transformer.lm_head.weight = pipe.text_decoder.transformer.transformer.wte.weight
    # The U-ViT takes one resolution only; the VAE's picture is brought to it.
    side = pipe.unet_resolution * pipe.vae_scale_factor
    pipe.image_processor.preprocess = functools.partial(pipe.image_processor.preprocess, height=side, width=side)
    return pipe


class Run:
    """One call: its final latents, texts and pictures, and what passed between the parts."""

    def __init__(self, model: Path, request: dict, *, dtype: torch.dtype = torch.float32, noise: torch.dtype | None = None,
                 images: dict[str, PIL.Image.Image] | None = None, generator: torch.Generator | None = None, prepare=None):
        pipe = self.pipe = load(model, dtype)
        if prepare:
            prepare(pipe)
        self.steps, self.calls, self.captions = [], [], []
        mode = request["mode"]
        pipe.mode = MODES[mode]
        pipe.unet.register_forward_hook(self.called, with_kwargs=True)
        beam = pipe.text_decoder.generate_beam
        pipe.text_decoder.generate_beam = lambda **named: self.captioned(beam(**named))
        # The peer fails on several captions whose lengths differ; each alone is what it meant.
        decode = pipe.decode_text_latents
        pipe.decode_text_latents = lambda latents, device: [decode(one, device)[0] for one in latents.split(1)]
        given = {"prompt": request["prompt"]} if mode == "t2i" else {"image": images[request["image"]]} if mode == "i2t" else {}
        with noise_drawn_as(noise, [pipeline_unidiffuser, vae]):
            out = pipe(**given, num_inference_steps=request["steps"], guidance_scale=request["guidance_scale"],
                       num_images_per_prompt=request.get("count", 1), num_prompts_per_image=request.get("count", 1),
                       generator=generator or torch.Generator().manual_seed(request["seed"]), output_type="pt",
                       callback=lambda i, t, latents: self.steps.append((int(t), latents.clone())))
        self.final, self.text = self.steps[-1][1], out.text
        self.pixels = out.images  # [B, 3, H, W] in 0..1
        self.parts = split(pipe, mode, self.final)

    def called(self, module, positional, named, output):
        self.calls.append({"in": [p.clone() for p in positional], **named, "out": output})

    def captioned(self, found):
        self.captions.append(found)
        return found

    def decoded(self) -> torch.Tensor:
        latents = self.parts["image_vae_latents"]
        return self.pipe.vae.decode(latents / self.pipe.vae.config.scaling_factor, return_dict=False)[0]


def split(pipe, mode: str, latents: torch.Tensor) -> dict[str, torch.Tensor]:
    side = pipe.unet_resolution * pipe.vae_scale_factor
    if mode == "joint":
        return dict(zip(["image_vae_latents", "image_clip_latents", "text_latents"], pipe._split_joint(latents, side, side)))
    if mode in IMAGE_MODES:
        return dict(zip(["image_vae_latents", "image_clip_latents"], pipe._split(latents, side, side)))
    return {"text_latents": latents}


def to_bytes(pixels: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] in 0..1 to 8-bit [B, H, W, 3], as the peer's output_type="pil" makes them."""
    return torch.from_numpy((pixels.permute(0, 2, 3, 1).float().numpy() * 255).round().astype("uint8"))


def record(case: Case, requests: dict[str, dict], halves: list[torch.dtype]) -> None:
    model = case.folder / "model"
    images = {"picture": picture(61, 47, 3)}
    case.put("picture", "picture", torch.from_numpy(numpy.array(images["picture"])), "8-bit RGB, [height, width, 3]")
    case.facts |= {"model": "model", "requests": requests, "peer_noise_fp32": {}, "peer_error_half": {}}
    encoders(case, model, requests, images)
    runs = {}
    for name, request in requests.items():
        run = runs[name] = Run(model, request, images=images)
        case.facts["requests"][name] = request | {"timesteps": [t for t, _ in run.steps]}
        store_run(case, name, run, request)
        noise = case.facts["peer_noise_fp32"][name] = {}
        for kind in ["two threads", "no oneDNN", "math attention"]:
            with arithmetic(kind):
                noise[kind] = apart(Run(model, request, images=images), run)
        noise["float64"] = apart(Run(model, request, dtype=torch.float64, noise=torch.float32, images=images), run)
    inside(case, model, runs[next(iter(requests))])
    for dtype in halves:
        kind = {torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
        for name in [n for n in requests if requests[n].get("half")]:
            unguided = requests[name] | {"guidance_scale": 0.0}  # guidance draws noise at every step, in the half type another one
            exact = Run(model, unguided, noise=dtype, images=images)
            found = case.facts["peer_error_half"].setdefault(kind, {})[name] = {part: 0.0 for part in exact.parts}
            for way in [None, "two threads", "no oneDNN", "math attention"]:
                with arithmetic(way) if way else contextlib.nullcontext():
                    for part, worst in error_of_steps(model, unguided, exact, dtype, images).items():
                        found[part] = max(found[part], worst)
    variations(case, model, requests, images)


def error_of_steps(model: Path, request: dict, exact: Run, dtype: torch.dtype, images: dict) -> dict[str, float]:
    """The largest error, of the largest value, that one step in a half type makes from where the exact run is; not of the
    first step, whose start depends on how noise is drawn. A whole run's is another with every order of sums: random
    weights amplify what a step rounds by tens."""
    worst = {part: 0.0 for part in exact.parts}
    reached = iter(exact.steps)

    def follow(pipe: UniDiffuserPipeline) -> None:
        step = pipe.scheduler.step

        def exact_after(output, t, sample, **named):
            got = step(output, t, sample, **named).prev_sample
            at, wanted = next(reached)
            assert at == int(t)
            if at != exact.steps[0][0]:
                ours, theirs = (split(pipe, request["mode"], x) for x in (got, wanted))
                for part in worst:
                    worst[part] = max(worst[part], error(ours[part], theirs[part])["of_max"])
            return types.SimpleNamespace(prev_sample=wanted.to(dtype))

        pipe.scheduler.step = exact_after

    Run(model, request, dtype=dtype, images=images, prepare=follow)
    return worst


def apart(other: Run, run: Run) -> dict:
    found = {name: error(other.parts[name], run.parts[name]) for name in run.parts}
    if run.text:
        assert other.text == run.text, f"the peer's caption moves: {other.text} {run.text}"
    return found


def store_run(case: Case, name: str, run: Run, request: dict) -> None:
    first = run.calls[0]
    for label, tensor in zip(["image_vae_latents", "image_clip_latents", "text_latents"], first["in"]):
        case.put(name, f"first_call.{label}", tensor, "what the U-ViT sees first")
    for label, tensor in zip(["image_vae", "image_clip", "text"], first["out"]):
        case.put(name, f"first_call.noise.{label}", tensor, "what it then predicts, before guidance")
    for i, (_, latents) in enumerate(run.steps):
        case.put(name, f"step.{i}.latents", latents, "latents after the step, flat or text alone, as the peer's callback gets them")
    for part, tensor in run.parts.items():
        case.put(name, part, tensor, "final latents")
    if run.text:
        case.facts["requests"][name]["text"] = run.text
        case.facts["requests"][name]["calls"] = len(run.calls)
        for i, (tokens, lengths) in enumerate(run.captions):
            case.put(name, f"caption.{i}.tokens", tokens, "beams, best first")
            case.put(name, f"caption.{i}.lengths", lengths, "tokens that count, the end token among them")
    if run.pixels is not None:
        case.put(name, "decoded", run.decoded(), "decoder's output, about -1..1")
        case.put(name, "pixels", to_bytes(run.pixels), "8-bit RGB")


def encoders(case: Case, model: Path, requests: dict, images: dict) -> None:
    """What goes into the loop, part by part."""
    pipe = load(model, torch.float32)
    prompt = next(r["prompt"] for r in requests.values() if "prompt" in r)
    ids = pipe.clip_tokenizer([prompt, ""], padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    states = pipe.text_encoder(ids, output_hidden_states=True)
    case.put("encoders", "prompt_ids", ids, "of the prompt, of an empty one")
    case.put("encoders", "text_states", states.last_hidden_state, "CLIP's last hidden state, after the final norm")
    case.put("encoders", "text_states.after_layer_0", states.hidden_states[1][:1], "after the first layer, of the prompt")
    case.put("encoders", "prefix", pipe.text_decoder.encode(states.last_hidden_state), "text states, narrowed for the U-ViT")
    image = images["picture"]
    vae_pixels = pipe.image_processor.preprocess(image)
    posterior = pipe.vae.encode(vae_pixels).latent_dist
    case.put("encoders", "vae_pixels", vae_pixels, "picture, resized by Lanczos, -1..1")
    case.put("encoders", "vae_moments", posterior.parameters, "VAE encoder's output: means, log variances not yet clamped")
    clip_pixels = pipe.clip_image_processor.preprocess(image, return_tensors="pt").pixel_values
    vision = pipe.image_encoder(clip_pixels, output_hidden_states=True)
    case.put("encoders", "clip_pixels", clip_pixels, "picture, as CLIP's processor gives it")
    case.put("encoders", "image_states.after_layer_0", vision.hidden_states[1], "tokens after the first layer")
    case.put("encoders", "image_embeds", vision.image_embeds, "projected, not normalised")
    case.facts["prompt"] = prompt
    for kind, dtype in [("bf16", torch.bfloat16), ("fp16", torch.float16)]:
        half = load(model, dtype)
        got = {"text_states": half.text_encoder(ids)[0], "image_embeds": half.image_encoder(clip_pixels.to(dtype)).image_embeds,
               "vae_moments": half.vae.encode(vae_pixels.to(dtype)).latent_dist.parameters}
        case.facts["peer_error_half"].setdefault(kind, {})["encoders"] = {n: error(t, case.files["encoders"][n]) for n, t in got.items()}


def inside(case: Case, model: Path, run: Run) -> None:
    """One pass of the U-ViT, block by block, on the first call's input."""
    pipe, call = load(model, torch.float32), run.calls[0]
    kept = {}
    keep = lambda name: lambda module, inputs, output: kept.update({name: output})
    u = pipe.unet.transformer
    layers = [*u.transformer_in_blocks, u.transformer_mid_block, *(b["block"] for b in u.transformer_out_blocks)]
    for i, block in enumerate(layers):
        block.register_forward_hook(keep(f"layer.{i}"))
    u.register_forward_pre_hook(lambda module, inputs: kept.update(tokens=inputs[0]))
    u.norm_out.register_forward_hook(keep("norm_out"))
    pipe.unet(*call["in"], timestep_img=700, timestep_text=33, data_type=0)
    case.facts["inside"] = {"timestep_img": 700, "timestep_text": 33, "data_type": 0, "layers": len(layers)}
    for name, tensor in kept.items():
        about = {"tokens": "tokens with positions, entering layer 0", "norm_out": "after the last norm"}.get(name, "tokens after the layer")
        case.put("uvit", name, tensor, about)


def variations(case: Case, model: Path, requests: dict, images: dict) -> None:
    """Two calls, one generator that is not seeded again."""
    base = {"steps": 3, "guidance_scale": 2.0, "seed": 9}
    generator = torch.Generator().manual_seed(base["seed"])
    first = Run(model, base | {"mode": "i2t", "image": "picture"}, images=images, generator=generator)
    second = Run(model, base | {"mode": "t2i", "prompt": first.text[0]}, generator=generator)
    case.facts["image_variation"] = base | {"text": first.text}
    case.put("variations", "image.pixels", to_bytes(second.pixels), "picture -> caption -> picture")
    case.put("variations", "image.image_vae_latents", second.parts["image_vae_latents"], "final latents of the second call")
    prompt = next(r["prompt"] for r in requests.values() if "prompt" in r)
    generator = torch.Generator().manual_seed(base["seed"])
    first = Run(model, base | {"mode": "t2i", "prompt": prompt}, generator=generator)
    image = PIL.Image.fromarray(to_bytes(first.pixels)[0].numpy())
    second = Run(model, base | {"mode": "i2t", "image": "made"}, images={"made": image}, generator=generator)
    case.facts["text_variation"] = base | {"prompt": prompt, "text": second.text}
    case.put("variations", "text.pixels", to_bytes(first.pixels), "prompt -> picture, ...")
    case.put("variations", "text.text_latents", second.parts["text_latents"], "... -> caption: final latents of the second call")


def unidiffuser(case: Case) -> None:
    unidiffuser_model.v1(case.folder / "model")
    prompt = "A red circle, moving right; isn't it nice? (Yes!)"
    record(case, {
        "t2i": {"mode": "t2i", "prompt": prompt, "steps": 6, "guidance_scale": 3.0, "seed": 42, "half": True},
        "i2t": {"mode": "i2t", "image": "picture", "steps": 6, "guidance_scale": 3.0, "seed": 8, "half": True},
        "joint": {"mode": "joint", "steps": 6, "guidance_scale": 2.0, "seed": 3, "half": True},
        "image": {"mode": "image", "steps": 4, "guidance_scale": 8.0, "seed": 11},
        "text": {"mode": "text", "steps": 4, "guidance_scale": 8.0, "seed": 14},
        "t2i_unguided": {"mode": "t2i", "prompt": "Three wolves run", "steps": 16, "guidance_scale": 0.5, "seed": 1},
        "joint_unguided": {"mode": "joint", "steps": 2, "guidance_scale": 1.0, "seed": 2**40 + 1},
        "i2t_three": {"mode": "i2t", "image": "picture", "steps": 2, "guidance_scale": 2.0, "seed": 10, "count": 3},
    }, [torch.bfloat16, torch.float16])


def unidiffuser_v0(case: Case) -> None:
    unidiffuser_model.v0(case.folder / "model")
    record(case, {
        "t2i": {"mode": "t2i", "prompt": "a blue star! 12 on white", "steps": 5, "guidance_scale": 2.0, "seed": 2},
        "i2t": {"mode": "i2t", "image": "picture", "steps": 5, "guidance_scale": 2.0, "seed": 3},
        "joint": {"mode": "joint", "steps": 5, "guidance_scale": 2.0, "seed": 4},
        "image": {"mode": "image", "steps": 3, "guidance_scale": 1.0, "seed": 5},
        "text": {"mode": "text", "steps": 3, "guidance_scale": 1.0, "seed": 6},
    }, [])
