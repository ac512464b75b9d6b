"""Tiny random CogVideoX checkpoints, as folders from the hub look, with weights at which every wire carries signal.

Weights come from a generator seeded by the tensor's own name, so one case never moves another's numbers.
"""

import json
import math
import zlib
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from transformers import T5Config, T5EncoderModel, T5Tokenizer

import words

PIECES = 200
EXTRA_IDS = 100
VOCABULARY = 328  # like the hub's 32128 for 32100 tokens: some rows have no token


def fill(module: torch.nn.Module, salt: str, gains: dict[str, float] | None = None) -> None:
    """Random weights of unit gain; `gains` multiplies those whose name ends with a key."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(zlib.crc32(f"{salt}/{name}".encode())))
            gain = math.prod(g for end, g in (gains or {}).items() if name.endswith(end))
            is_norm = parameter.dim() == 1 and "norm" in name and "linear" not in name and "conv" not in name
            if is_norm:
                parameter.copy_((noise * 0.2 + (1 if name.endswith("weight") else 0)) * gain)
            elif parameter.dim() == 1:
                parameter.copy_(noise * 0.2 * gain)
            else:
                parameter.copy_(noise * gain / math.sqrt(parameter[0].numel()))


def transformer(salt: str, **config) -> CogVideoXTransformer3DModel:
    model = CogVideoXTransformer3DModel(text_embed_dim=32, **config)
    # Modulations of about 0.7, gates included; attention that picks tokens, so that the prompt matters among 226 rows.
    # Small queries and keys: their norms' epsilon shows. Large feed-forwards: so does the kind of GELU.
    fill(model, salt, {"norm1.linear.weight": 1.5, "norm2.linear.weight": 1.5, "norm_out.linear.weight": 1.5,
                       "norm1.linear.bias": 2.0, "norm2.linear.bias": 2.0, "norm_out.linear.bias": 2.0,
                       "norm_q.weight": 2.0, "to_out.0.weight": 2.0,
                       "to_q.weight": 0.1, "to_k.weight": 0.1, "to_q.bias": 0.1, "to_k.bias": 0.1,
                       "ff.net.0.proj.weight": 2.0, "ff.net.2.weight": 2.0})
    if getattr(model.patch_embed, "use_learned_positional_embeddings", False):
        table = model.patch_embed.pos_embedding
        table.copy_(torch.randn(table.shape, generator=torch.Generator().manual_seed(zlib.crc32(salt.encode()))) * 0.5)
    return model.eval()


def vae(salt: str, levels: list[int], output_gain: float = 0.4, **config) -> AutoencoderKLCogVideoX:
    model = AutoencoderKLCogVideoX(
        block_out_channels=levels, down_block_types=["CogVideoXDownBlock3D"] * len(levels),
        up_block_types=["CogVideoXUpBlock3D"] * len(levels), norm_num_groups=2, **config)
    fill(model, salt, {"decoder.conv_out.conv.weight": output_gain})
    with torch.no_grad():  # the spatial norms multiply by conv_y: around one, not around nought
        for name, parameter in model.named_parameters():
            if name.endswith("conv_y.conv.bias"):
                parameter.add_(1.0)
            if name.endswith(("conv_y.conv.weight", "conv_b.conv.weight")):
                parameter.mul_(0.5)
    return model.eval()


def text_encoder(salt: str, feed_forward: str) -> T5EncoderModel:
    model = T5EncoderModel(T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_heads=4, num_layers=2, feed_forward_proj=feed_forward,
        relative_attention_num_buckets=32, relative_attention_max_distance=128, dropout_rate=0.1,
        tie_word_embeddings=False, is_encoder_decoder=True, use_cache=True))
    # T5 does not scale its scores, its checkpoints do: a query weight carries 1/sqrt(d_kv).
    fill(model, salt, {"shared.weight": math.sqrt(32), "SelfAttention.q.weight": 1.5 / math.sqrt(8),
                       "relative_attention_bias.weight": 1.5 * 2, "wo.weight": 1.5})
    return model.eval()


def tokenizer_from_hub(folder: Path, normaliser: str) -> None:
    """spiece.model and the three JSON files beside it, as saved by transformers 4 and found on the hub."""
    folder.mkdir(parents=True)
    (folder / "spiece.model").write_bytes(words.train(PIECES, normaliser))
    extra = [f"<extra_id_{i}>" for i in range(EXTRA_IDS)]
    ids = {token: PIECES + EXTRA_IDS - 1 - i for i, token in enumerate(extra)}
    flags = {"normalized": False, "single_word": False, "special": True}
    plain = {"lstrip": False, "rstrip": False, **flags}
    wide = {"lstrip": True, "rstrip": True, **flags}
    decoder = {str(i): {"content": t, **plain} for i, t in enumerate(["<pad>", "</s>", "<unk>"])}
    decoder |= {str(ids[t]): {"content": t, **wide} for t in sorted(extra, key=ids.get)}
    write_json(folder / "added_tokens.json", dict(sorted(ids.items())))
    write_json(folder / "special_tokens_map.json", {
        "additional_special_tokens": extra, "eos_token": {"content": "</s>", **plain_map()},
        "pad_token": {"content": "<pad>", **plain_map()}, "unk_token": {"content": "<unk>", **plain_map()}})
    write_json(folder / "tokenizer_config.json", {
        "add_prefix_space": True, "added_tokens_decoder": decoder, "additional_special_tokens": extra,
        "clean_up_tokenization_spaces": True, "eos_token": "</s>", "extra_ids": EXTRA_IDS, "legacy": True,
        "model_max_length": 226, "pad_token": "<pad>", "sp_model_kwargs": {}, "tokenizer_class": "T5Tokenizer",
        "unk_token": "<unk>"})


def plain_map() -> dict:
    return {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}


def tokenizer_from_transformers_5(folder: Path, normaliser: str) -> None:
    """tokenizer.json and tokenizer_config.json only: what save_pretrained writes today."""
    hub = folder.with_name(folder.name + "_hub")
    tokenizer_from_hub(hub, normaliser)
    T5Tokenizer.from_pretrained(hub).save_pretrained(folder)
    for file in hub.iterdir():
        file.unlink()
    hub.rmdir()


def edit_json(path: Path, *, drop: list[str] = (), **changes) -> None:
    """Makes a config read as the hub's, which were written by older versions: keys of today are absent there."""
    config = json.loads(path.read_text())
    write_json(path, {k: v for k, v in (config | changes).items() if k not in drop})


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def scheduler(folder: Path, kind: str, snr_shift: float, **changes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "scheduler_config.json", {
        "_class_name": kind, "_diffusers_version": "0.30.0.dev0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "beta_start": 0.00085, "clip_sample": False, "clip_sample_range": 1.0, "num_train_timesteps": 1000,
        "prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "sample_max_value": 1.0,
        "set_alpha_to_one": True, "snr_shift_scale": snr_shift, "steps_offset": 0, "timestep_spacing": "trailing",
        "trained_betas": None, **changes})


def model_index(folder: Path, scheduler_kind: str) -> None:
    write_json(folder / "model_index.json", {
        "_class_name": "CogVideoXPipeline", "_diffusers_version": "0.30.0.dev0",
        "scheduler": ["diffusers", scheduler_kind], "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"], "transformer": ["diffusers", "CogVideoXTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLCogVideoX"]})


def cog2b(folder: Path) -> None:
    """As THUDM/CogVideoX-2b: F16 transformer, sin-cos positions; both big parts in shards; bf16 VAE, as some mirrors hold."""
    tokenizer_from_hub(folder / "tokenizer", "nmt_nfkc")
    text_encoder("cog2b/text", "gated-gelu").save_pretrained(folder / "text_encoder", max_shard_size="48KB")
    transformer("cog2b/transformer", num_attention_heads=4, attention_head_dim=16, in_channels=8, out_channels=8,
                time_embed_dim=32, num_layers=2, sample_width=6, sample_height=4, sample_frames=17,
                spatial_interpolation_scale=1.875).half().save_pretrained(folder / "transformer", max_shard_size="150KB")
    vae("cog2b/vae", [4, 8, 8, 8], latent_channels=8, layers_per_block=2, sample_height=32, sample_width=48,
        scaling_factor=1.15258426).bfloat16().save_pretrained(folder / "vae")
    scheduler(folder / "scheduler", "CogVideoXDDIMScheduler", 3.0)
    model_index(folder, "CogVideoXDDIMScheduler")
    edit_json(folder / "transformer/config.json",
              drop=["patch_size_t", "patch_bias", "ofs_embed_dim", "use_learned_positional_embeddings"])
    edit_json(folder / "vae/config.json", drop=["invert_scale_latents"])
    edit_json(folder / "text_encoder/config.json", drop=["dtype"], torch_dtype="float32")


def cog5b(folder: Path) -> None:
    """As THUDM/CogVideoX-5b: RoPE over a cropped grid, head_dim 64, bf16 weights; three VAE levels; saved sizes not the clip's."""
    tokenizer_from_hub(folder / "tokenizer", "identity")
    text_encoder("cog5b/text", "gated-gelu").bfloat16().save_pretrained(folder / "text_encoder")
    transformer("cog5b/transformer", num_attention_heads=2, attention_head_dim=64, in_channels=8, out_channels=8,
                time_embed_dim=16, num_layers=1, sample_width=10, sample_height=14, sample_frames=49,
                use_rotary_positional_embeddings=True).bfloat16().save_pretrained(folder / "transformer")
    vae("cog5b/vae", [4, 8, 8], 0.15, latent_channels=8, layers_per_block=1, sample_height=48, sample_width=40,
        scaling_factor=0.7).bfloat16().save_pretrained(folder / "vae")
    scheduler(folder / "scheduler", "CogVideoXDPMScheduler", 1.0)
    model_index(folder, "CogVideoXDPMScheduler")
    edit_json(folder / "transformer/config.json",
              drop=["patch_size_t", "patch_bias", "ofs_embed_dim", "use_learned_positional_embeddings"])
    edit_json(folder / "vae/config.json", drop=["invert_scale_latents"])


def cog15(folder: Path) -> None:
    """As THUDM/CogVideoX1.5-5B: pairs of latent frames to a token, RoPE by slices; tokenizer.json only."""
    tokenizer_from_transformers_5(folder / "tokenizer", "nmt_nfkc")
    text_encoder("cog15/text", "gated-gelu").save_pretrained(folder / "text_encoder")
    transformer("cog15/transformer", num_attention_heads=4, attention_head_dim=16, in_channels=8, out_channels=8,
                time_embed_dim=16, num_layers=2, sample_width=12, sample_height=10, sample_frames=81, patch_size_t=2,
                patch_bias=False, use_rotary_positional_embeddings=True
                ).bfloat16().save_pretrained(folder / "transformer", max_shard_size="200KB")
    vae("cog15/vae", [4, 8, 8, 8], latent_channels=8, layers_per_block=1, sample_height=80, sample_width=96,
        scaling_factor=0.7, invert_scale_latents=True).bfloat16().save_pretrained(folder / "vae")
    scheduler(folder / "scheduler", "CogVideoXDDIMScheduler", 1.0)
    model_index(folder, "CogVideoXDDIMScheduler")
