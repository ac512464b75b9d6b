"""Tiny random UniDiffuser checkpoints whose runs are worth comparing: heads that predict noise, captions that end.

Plain random weights give latents that blow up under guidance and captions of one repeated token, on which a mistake
hardly shows. So the U-ViT's output heads are fitted by least squares, positions are spread, and the end token is pulled.
"""

import math
import zlib
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler
from diffusers.pipelines.deprecated.unidiffuser import UniDiffuserModel, UniDiffuserTextDecoder
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

import unidiffuser_words as bpe
from checkpoints import edit_json, fill, write_json

CLIP_WIDTH, CLIP_IMAGE_WIDTH, TEXT_TOKENS = 32, 24, 77


def named_noise(salt: str, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(salt.encode())))


def uvit(salt: str, *, text_dim: int, **config) -> UniDiffuserModel:
    model = UniDiffuserModel(text_dim=text_dim, clip_img_dim=CLIP_IMAGE_WIDTH, num_text_tokens=TEXT_TOKENS,
                             activation_fn="gelu", **config)
    # Attention that picks tokens, large feed-forwards so that the kind of GELU shows.
    fill(model, salt, {"to_q.weight": 1.5, "to_k.weight": 1.5, "to_out.0.weight": 0.6, "ff.net.0.proj.weight": 2.0, "ff.net.2.weight": 0.4})
    model.pos_embed.copy_(named_noise(f"{salt}/positions", *model.pos_embed.shape) * 0.7)
    fit_heads(model.eval(), salt)
    return model


def fit_heads(model: UniDiffuserModel, salt: str, samples: int = 1024) -> None:
    """Ridge regression from the last hidden states to the noise in noisy data, whose clean part is smooth and correlated."""
    c, size, text_dim = model.config.in_channels, model.config.sample_size, model.config.text_dim
    generator = torch.Generator().manual_seed(zlib.crc32(f"{salt}/fit".encode()))
    draw = lambda *shape: torch.randn(shape, generator=generator)
    theme = draw(samples, 6)
    clean = [torch.nn.functional.interpolate((theme @ draw(6, c * 4)).view(samples, c, 2, 2) / 2.4, size=(size, size), mode="bilinear"),
             (theme @ draw(6, CLIP_IMAGE_WIDTH)).unsqueeze(1) / 2.4,
             (theme @ draw(6, TEXT_TOKENS * text_dim)).view(samples, TEXT_TOKENS, text_dim) / 2.4]
    noise = [draw(*part.shape) for part in clean]
    alphas = DPMSolverMultistepScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod
    times = torch.randint(0, 1000, [2, samples], generator=generator)
    level = [alphas[times[0]], alphas[times[0]], alphas[times[1]]]
    spread = lambda a, part: a.view(-1, *[1] * (part.dim() - 1))
    noisy, target = [], []
    for part, extra, abar in zip(clean, noise, level):
        signal, sigma = spread(abar.sqrt(), part), spread((1 - abar).sqrt(), part)
        noisy.append(signal * part + sigma * extra)
        target.append(extra)
    hidden = {}
    hook = model.transformer.norm_out.register_forward_hook(lambda module, inputs, output: hidden.update(out=output))
    model(*noisy, timestep_img=times[0], timestep_text=times[1])
    hook.remove()
    patch = model.config.patch_size
    patches = target[0].unfold(2, patch, patch).unfold(3, patch, patch).permute(0, 2, 3, 4, 5, 1).reshape(samples, -1, patch * patch * c)
    out = hidden["out"].double()
    images = patches.shape[1]
    rows = {"vae_img_out": (out[:, -images:], patches), "clip_img_out": (out[:, -images - 1:-images], target[1]),
            "text_out": (out[:, -images - 1 - TEXT_TOKENS:-images - 1], target[2])}
    for name, (features, wanted) in rows.items():
        x = features.reshape(-1, features.shape[-1])
        x, y = torch.cat([x, torch.ones_like(x[:, :1])], 1), wanted.reshape(len(x), -1).double()
        solved = torch.linalg.solve(x.T @ x + 1e-4 * len(x) * torch.eye(x.shape[1], dtype=torch.float64), x.T @ y)
        head = getattr(model, name)
        head.weight.copy_(solved[:-1].T)
        head.bias.copy_(solved[-1])


def autoencoder(salt: str, levels: list[int], **config) -> AutoencoderKL:
    model = AutoencoderKL(block_out_channels=levels, down_block_types=["DownEncoderBlock2D"] * len(levels),
                          up_block_types=["UpDecoderBlock2D"] * len(levels), norm_num_groups=4, **config)
    fill(model, salt, {"decoder.conv_out.weight": 0.5, "group_norm.weight": 1.0, "to_q.weight": 1.5, "to_k.weight": 1.5, "encoder.conv_out.weight": 0.8})
    return model.eval()


def text_encoder(salt: str, vocabulary: int, activation: str, eps: float) -> CLIPTextModel:
    model = CLIPTextModel(CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=CLIP_WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=TEXT_TOKENS, hidden_act=activation, layer_norm_eps=eps, bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1, projection_dim=16))
    fill(model, salt, {"token_embedding.weight": math.sqrt(CLIP_WIDTH), "position_embedding.weight": 3.0, "q_proj.weight": 1.5,
                       "k_proj.weight": 1.5, "fc1.weight": 2.0, "fc2.weight": 1.5})
    return model.eval()


def image_encoder(salt: str, size: int, patch: int, activation: str, eps: float) -> CLIPVisionModelWithProjection:
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=CLIP_WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=size,
        patch_size=patch, hidden_act=activation, layer_norm_eps=eps, projection_dim=CLIP_IMAGE_WIDTH))
    fill(model, salt, {"class_embedding": 5.0, "q_proj.weight": 1.5, "k_proj.weight": 1.5, "fc1.weight": 2.0, "fc2.weight": 1.5,
                       "visual_projection.weight": 1.2})
    return model.eval()


def text_decoder(salt: str, vocabulary: int, prefix_hidden: int | None, stop_pull: float, **config) -> UniDiffuserTextDecoder:
    model = UniDiffuserTextDecoder(prefix_length=TEXT_TOKENS, prefix_inner_dim=CLIP_WIDTH, prefix_hidden_dim=prefix_hidden,
                                   vocab_size=vocabulary, n_positions=TEXT_TOKENS + 70, n_embd=CLIP_WIDTH, n_layer=2, n_head=4,
                                   n_inner=48, **config)
    fill(model, salt, {"c_attn.weight": 2.5, "mlp.c_fc.weight": 2.0, "wpe.weight": 12.0, "wte.weight": 3.0})
    gpt = model.transformer.transformer
    for name, parameter in gpt.named_parameters():
        if "ln_" in name and name.endswith("weight"):
            parameter.add_(1.0)
    # The bias of the last norm is in every hidden state: a token that leans on it, and the end alone does, has about the
    # same score everywhere.
    gpt.ln_f.bias.copy_(named_noise(f"{salt}/lean", CLIP_WIDTH) * 0.5)
    lean = gpt.ln_f.bias / gpt.ln_f.bias.norm()
    gpt.wte.weight -= (gpt.wte.weight @ lean)[:, None] * lean
    gpt.wte.weight[vocabulary - 1] += stop_pull * lean / gpt.ln_f.bias.norm()
    return model.eval()


def save_text_decoder(model: UniDiffuserTextDecoder, folder: Path, *, both_names: bool, buffers: bool, dtype: torch.dtype) -> None:
    """The peer can't save tied weights as safetensors; files that others wrote hold both names, or one."""
    folder.mkdir(parents=True)
    model.save_config(folder)
    tensors = {name: tensor.to(dtype).clone().contiguous() for name, tensor in model.state_dict().items()}
    if not both_names:
        del tensors["transformer.lm_head.weight"]
    if buffers:  # what transformers once stored beside the weights
        size = 8  # nobody reads them
        for i in range(model.config.n_layer):
            tensors[f"transformer.transformer.h.{i}.attn.bias"] = torch.ones(1, 1, size, size, dtype=torch.bool).tril()
            tensors[f"transformer.transformer.h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})


def image_processor(size: int, **changes) -> CLIPImageProcessor:
    return CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}, **changes)


PARTS = {"vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "CLIPTextModel"],
         "image_encoder": ["transformers", "CLIPVisionModelWithProjection"], "clip_image_processor": ["transformers", "CLIPImageProcessor"],
         "clip_tokenizer": ["transformers", "CLIPTokenizer"], "text_tokenizer": ["transformers", "GPT2Tokenizer"],
         "scheduler": ["diffusers", "DPMSolverMultistepScheduler"]}


def write_index(folder: Path, library: str) -> None:
    parts = PARTS | {"unet": [library, "UniDiffuserModel"], "text_decoder": [library, "UniDiffuserTextDecoder"]}
    write_json(folder / "model_index.json", {"_class_name": "UniDiffuserPipeline", "_diffusers_version": "0.17.0", **dict(sorted(parts.items()))})


def v1(folder: Path) -> None:
    """As the hub has UniDiffuser-v1: data type token, narrow text latents, old names and keys, mixed dtypes, shards."""
    bpe.clip_tokenizer(folder / "clip_tokenizer", 90)
    stop = bpe.caption_tokenizer(folder / "text_tokenizer", 60)
    uvit("v1/unet", text_dim=16, num_attention_heads=2, attention_head_dim=16, in_channels=4,
         out_channels=4, num_layers=4, sample_size=8, patch_size=2, use_data_type_embedding=True,
         ).to(torch.bfloat16).save_pretrained(folder / "unet", max_shard_size="60KB")
    autoencoder("v1/vae", [8, 16, 16], latent_channels=4, layers_per_block=1, sample_size=32).to(torch.float16).save_pretrained(folder / "vae")
    old_names(folder / "vae")
    encoder = text_encoder("v1/text", 604, "quick_gelu", 1e-5)
    encoder.save_pretrained(folder / "text_encoder")
    hub_names(folder / "text_encoder", encoder)
    image_encoder("v1/image", 24, 8, "quick_gelu", 1e-5).save_pretrained(folder / "image_encoder")
    image_processor(24).save_pretrained(folder / "clip_image_processor")
    edit_json(folder / "clip_image_processor" / "preprocessor_config.json", drop=["image_processor_type"],
              feature_extractor_type="CLIPFeatureExtractor", size=24, crop_size=24)
    decoder = text_decoder("v1/caption", stop + 1, 16, 4.0, activation_function="gelu")
    save_text_decoder(decoder, folder / "text_decoder", both_names=True, buffers=True, dtype=torch.float32)
    DPMSolverMultistepScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", solver_order=3).save_pretrained(folder / "scheduler")
    write_index(folder, "unidiffuser")


def v0(folder: Path) -> None:
    """Everything else that a config may say: no data type token, no prefix, an odd depth, other sizes and solvers."""
    bpe.clip_tokenizer(folder / "hub", 90, pad="!")
    from transformers import CLIPTokenizer
    CLIPTokenizer.from_pretrained(folder / "hub").save_pretrained(folder / "clip_tokenizer")
    for file in (folder / "hub").iterdir():
        file.unlink()
    (folder / "hub").rmdir()
    stop = bpe.caption_tokenizer(folder / "text_tokenizer", 60)
    uvit("v0/unet", text_dim=CLIP_WIDTH, num_attention_heads=3, attention_head_dim=8, in_channels=2, out_channels=2,
         num_layers=3, sample_size=5, patch_size=1, attention_bias=True, use_timestep_embedding=True).save_pretrained(folder / "unet")
    autoencoder("v0/vae", [8, 8], latent_channels=2, layers_per_block=2, sample_size=10, scaling_factor=0.9).save_pretrained(folder / "vae")
    text_encoder("v0/text", 604, "gelu", 1e-4).save_pretrained(folder / "text_encoder")
    image_encoder("v0/image", 15, 5, "gelu", 1e-4).save_pretrained(folder / "image_encoder")
    image_processor(15, do_normalize=True, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.25]).save_pretrained(folder / "clip_image_processor")
    decoder = text_decoder("v0/caption", stop + 1, None, 4.2, activation_function="gelu_new", layer_norm_epsilon=1e-4, scale_attn_by_inverse_layer_idx=True)
    save_text_decoder(decoder, folder / "text_decoder", both_names=False, buffers=False, dtype=torch.float32)
    DPMSolverMultistepScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", solver_order=2, prediction_type="v_prediction",
                                timestep_spacing="leading", steps_offset=1).save_pretrained(folder / "scheduler")
    write_index(folder, "diffusers")


def rewrite(folder: Path, rename) -> None:
    """Renames a component's tensors in place."""
    from safetensors.torch import load_file
    for file in folder.glob("*.safetensors"):
        save_file({rename(name): tensor for name, tensor in load_file(file).items()}, file, {"format": "pt"})


def old_names(folder: Path) -> None:
    """The VAE's attention as files from 2022 and 2023 call it."""
    changes = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(name: str) -> str:
        for new, old in changes.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        return name

    rewrite(folder, rename)


def hub_names(folder: Path, model: CLIPTextModel) -> None:
    """transformers 5 leaves out a prefix that 4 wrote, and 4 stored the positions' indices."""
    rewrite(folder, lambda name: name if name.startswith("text_model.") else f"text_model.{name}")
    from safetensors.torch import load_file
    file = folder / "model.safetensors"
    save_file(load_file(file) | {"text_model.embeddings.position_ids": torch.arange(TEXT_TOKENS).unsqueeze(0)}, file, {"format": "pt"})
    edit_json(folder / "config.json", drop=["dtype"], torch_dtype="float32")
