"""The checkpoint's parts as the peer's own classes, and the folder they live in between stages.

While training, the folder holds each part in fp32 as the peer's save_pretrained writes it, so that any stage can go on from
any CogVideoX folder of these shapes: from the last stage's, or from the finished bf16 checkpoint. export.py makes that.
"""
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from domain import DOMAIN

TEXT_TOKENS = 226
TEXT_WIDTH = 128
LATENT_CHANNELS = 8
SPATIAL, TEMPORAL, PATCH = 4, 4, 2
LATENT_FRAMES = (DOMAIN.frames - 1) // TEMPORAL + 1


def new_vae(tiny=False):
    return AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 16) if tiny else (16, 48, 96), down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3, latent_channels=LATENT_CHANNELS, layers_per_block=1, norm_num_groups=8,
        temporal_compression_ratio=TEMPORAL, sample_height=DOMAIN.size, sample_width=DOMAIN.size, scaling_factor=1.0)


def new_text_encoder(vocabulary, tiny=False):
    return T5EncoderModel(T5Config(
        vocab_size=vocabulary, d_model=TEXT_WIDTH, d_kv=32, d_ff=256, num_layers=1 if tiny else 3, num_heads=4,
        feed_forward_proj="gated-gelu", dropout_rate=0.0))


def new_transformer(tiny=False):
    model = CogVideoXTransformer3DModel(
        num_attention_heads=1 if tiny else 4, attention_head_dim=64, num_layers=2 if tiny else 8, time_embed_dim=128,
        text_embed_dim=TEXT_WIDTH, in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS, patch_size=PATCH,
        sample_height=DOMAIN.size // SPATIAL, sample_width=DOMAIN.size // SPATIAL, sample_frames=DOMAIN.frames,
        temporal_compression_ratio=TEMPORAL, max_text_seq_length=TEXT_TOKENS, use_rotary_positional_embeddings=True)
    # Blocks start as the identity and the output as zero (adaLN-Zero, arXiv 2212.09748): training starts faster.
    for block in model.transformer_blocks:
        for norm in (block.norm1, block.norm2):
            torch.nn.init.zeros_(norm.linear.weight)
            torch.nn.init.zeros_(norm.linear.bias)
    torch.nn.init.zeros_(model.proj_out.weight)
    torch.nn.init.zeros_(model.proj_out.bias)
    return model


def new_scheduler():
    return CogVideoXDDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=True,
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=3.0, timestep_spacing="trailing")


CLASSES = dict(vae=AutoencoderKLCogVideoX, text_encoder=T5EncoderModel, transformer=CogVideoXTransformer3DModel)


def load(folder, name, otherwise):
    """Part `name` of the folder in fp32, or what otherwise() makes where the folder has none yet."""
    if (Path(folder) / name / "config.json").exists():
        return CLASSES[name].from_pretrained(folder, subfolder=name, dtype=torch.float32)
    return otherwise()


def save_weights(folder, name, model, weights):
    """Part `name` as its save_pretrained would write it, with the weights named "{name}.{key}" instead of its own."""
    folder = Path(folder) / name
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder) if name == "text_encoder" else model.save_config(folder)
    file = "model.safetensors" if name == "text_encoder" else "diffusion_pytorch_model.safetensors"
    prefix = f"{name}."
    save_file({k.removeprefix(prefix): w.contiguous().cpu() for k, w in weights.items() if k.startswith(prefix)},
              folder / file, metadata={"format": "pt"})


def load_tokenizer(folder):
    return T5Tokenizer.from_pretrained(folder, subfolder="tokenizer")


def tokenize(tokenizer, captions):
    """Ids [n, 226], as the peer's pipeline makes them."""
    return tokenizer(captions, padding="max_length", max_length=TEXT_TOKENS, truncation=True, add_special_tokens=True,
                     return_tensors="pt").input_ids


def rotary_table(size, device):
    """Cosines and sines for a square clip of this size: smaller clips are stretched onto the full grid, as the peer does."""
    grid, base = size // (SPATIAL * PATCH), DOMAIN.size // (SPATIAL * PATCH)
    crop = get_resize_crop_region_for_grid((grid, grid), base, base)
    return get_3d_rotary_pos_embed(64, crop, (grid, grid), LATENT_FRAMES, device=device)
