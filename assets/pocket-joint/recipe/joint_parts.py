"""The checkpoint's parts as the peer's own classes, their sizes, and the folder they live in between stages.

    vae = load("work", "vae", lambda: new_vae())

Between stages each part is in fp32 as its save_pretrained writes it; export_joint.py makes the finished folder in bf16.

Budget, in parameters: U-ViT 7.6 M, VAE 1.8 M, caption decoder 1.0 M, image encoder 0.9 M, text encoder 0.9 M: 12.2 M,
23.3 MiB in bf16 (`python joint_parts.py` counts).
"""
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler
from diffusers.pipelines.deprecated.unidiffuser import UniDiffuserModel, UniDiffuserTextDecoder
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from world import DOMAIN

TEXT_TOKENS = 77           # CLIP's
CLIP_WIDTH = 128
TEXT_DIM = 32              # of a token's latent: what the U-ViT denoises
CLIP_IMAGE_DIM = 64
LATENT_CHANNELS, DOWNSAMPLING = 4, 4
CAPTION_TOKENS = 67        # that the peer decodes at most
STEPS = 1000               # of the noise schedule
WEIGHTS = dict(text_encoder="model.safetensors", image_encoder="model.safetensors")


def new_vae(tiny=False):
    return AutoencoderKL(
        block_out_channels=(8, 8, 16) if tiny else (32, 64, 96), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, latent_channels=LATENT_CHANNELS, layers_per_block=1, norm_num_groups=8,
        sample_size=DOMAIN.size, scaling_factor=1.0)


def new_text_encoder(vocabulary, tiny=False):
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=CLIP_WIDTH, intermediate_size=4 * CLIP_WIDTH, num_hidden_layers=1 if tiny else 4,
        num_attention_heads=4, max_position_embeddings=TEXT_TOKENS, bos_token_id=vocabulary - 2, pad_token_id=vocabulary - 1,
        eos_token_id=vocabulary - 1, projection_dim=CLIP_IMAGE_DIM))


def new_image_encoder(tiny=False):
    return CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=CLIP_WIDTH, intermediate_size=4 * CLIP_WIDTH, num_hidden_layers=1 if tiny else 4, num_attention_heads=4,
        image_size=DOMAIN.size, patch_size=16, projection_dim=CLIP_IMAGE_DIM))


def new_text_decoder(vocabulary, tiny=False):
    """encode_prefix takes the first channels of a state as they are. The peer draws the noise of texts at CLIP's width and
    passes it through encode_prefix: so it has unit deviation, independently, as the noise schedule expects."""
    model = UniDiffuserTextDecoder(
        prefix_length=TEXT_TOKENS, prefix_inner_dim=CLIP_WIDTH, prefix_hidden_dim=TEXT_DIM, vocab_size=vocabulary,
        n_positions=TEXT_TOKENS + CAPTION_TOKENS + 1, n_embd=CLIP_WIDTH, n_layer=1 if tiny else 4, n_head=4,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    with torch.no_grad():
        model.encode_prefix.weight.copy_(torch.eye(TEXT_DIM, CLIP_WIDTH))
        model.encode_prefix.bias.zero_()
    model.encode_prefix.requires_grad_(False)
    return model


def new_unet(tiny=False):
    """Norms before attention and feed-forward, in their branches: trains at high rates without a long warm-up."""
    return UniDiffuserModel(
        text_dim=TEXT_DIM, clip_img_dim=CLIP_IMAGE_DIM, num_text_tokens=TEXT_TOKENS, num_attention_heads=1 if tiny else 4,
        attention_head_dim=64, in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS, num_layers=3 if tiny else 9,
        sample_size=DOMAIN.size // DOWNSAMPLING, patch_size=2, activation_fn="gelu", block_type="branches",
        pre_layer_norm=True, ff_final_dropout=False)


def new_scheduler():
    """UniDiffuser's solver. Its betas end at 0.02 instead of 0.012: else the last step still shows how bright a picture
    is, and plain backgrounds come out grey where generation starts from noise alone."""
    return DPMSolverMultistepScheduler(num_train_timesteps=STEPS, beta_start=0.00085, beta_end=0.02,
                                       beta_schedule="scaled_linear", solver_order=3)


def image_processor():
    return CLIPImageProcessor(size={"shortest_edge": DOMAIN.size}, crop_size={"height": DOMAIN.size, "width": DOMAIN.size},
                              image_mean=[0.5] * 3, image_std=[0.5] * 3)


CLASSES = dict(vae=AutoencoderKL, text_encoder=CLIPTextModel, image_encoder=CLIPVisionModelWithProjection,
               text_decoder=UniDiffuserTextDecoder, unet=UniDiffuserModel)


def has(folder, name):
    return (Path(folder) / name / "config.json").exists()


def load(folder, name, otherwise=None):
    """Part `name` of the folder in fp32, or what otherwise() makes where the folder has none yet."""
    if not has(folder, name) and otherwise:
        return otherwise()
    if name != "text_decoder":
        return CLASSES[name].from_pretrained(folder, subfolder=name, dtype=torch.float32)
    model = UniDiffuserTextDecoder.from_config(UniDiffuserTextDecoder.load_config(folder, subfolder=name))
    model.load_state_dict(load_file(Path(folder) / name / "diffusion_pytorch_model.safetensors"), strict=False)
    model.encode_prefix.requires_grad_(False)
    return model.float()


def save(folder, name, model, dtype=torch.float32):
    """As save_pretrained does, which cannot write the caption decoder's tied weights: both names are in its file."""
    to = Path(folder) / name
    to.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(to) if name in WEIGHTS else model.save_config(to)
    weights = {key: w.detach().to("cpu", dtype).clone().contiguous() for key, w in model.state_dict().items()}
    if name == "text_decoder":
        weights["transformer.lm_head.weight"] = weights["transformer.transformer.wte.weight"].clone()
    save_file(weights, to / WEIGHTS.get(name, "diffusion_pytorch_model.safetensors"), metadata={"format": "pt"})


def averaged(model, averages):
    """The model with the optimiser's running averages for weights, in fp32."""
    model.float()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in averages:
                weight.copy_(averages[name])
    return model


if __name__ == "__main__":
    total = 0
    for part, model in dict(unet=new_unet(), vae=new_vae(), text_decoder=new_text_decoder(600),
                            image_encoder=new_image_encoder(), text_encoder=new_text_encoder(850)).items():
        count = sum(w.numel() for w in model.parameters())
        total += count
        print(f"{part:14} {count / 1e6:6.2f} M")
    print(f"{'all':14} {total / 1e6:6.2f} M, {total * 2 / 2**20:.1f} MiB in bf16")
