"""A checkpoint of a published CogVideoX's shape with random weights in bf16, its T5-XXL and VAE included (5b: 21 GB).

    random_published.py FOLDER [--model CogVideoX-5b] [--text-layers N] [--layers N]

Configurations are those of configs/models/, the tokenizer is the default model's, whose ids are few of the encoder's.
Weights keep activations in range: matrices and convolutions N(0, 1 / inputs), scales 1, biases 0. Needs torch and
safetensors; draws on a GPU where there is one.
"""

import argparse
import json
import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Shapes = dict[str, tuple[int, ...]]


def linear(shapes: Shapes, name: str, inputs: int, outputs: int, bias: bool = True) -> None:
    shapes[name + ".weight"] = (outputs, inputs)
    if bias:
        shapes[name + ".bias"] = (outputs,)


def norm(shapes: Shapes, name: str, features: int) -> None:
    shapes[name + ".weight"] = shapes[name + ".bias"] = (features,)


def transformer(config: dict) -> Shapes:
    shapes: Shapes = {}
    heads, head, time = config["num_attention_heads"], config["attention_head_dim"], config["time_embed_dim"]
    dim, patch = heads * head, config["patch_size"]
    patch_t = config.get("patch_size_t")
    if patch_t:
        linear(shapes, "patch_embed.proj", config["in_channels"] * patch * patch * patch_t, dim)
    else:
        shapes["patch_embed.proj.weight"] = (dim, config["in_channels"], patch, patch)
        shapes["patch_embed.proj.bias"] = (dim,)
    linear(shapes, "patch_embed.text_proj", config["text_embed_dim"], dim)
    linear(shapes, "time_embedding.linear_1", dim, time)
    linear(shapes, "time_embedding.linear_2", time, time)
    for layer in range(config["num_layers"]):
        block = f"transformer_blocks.{layer}."
        for half in ("norm1", "norm2"):
            linear(shapes, block + half + ".linear", time, 6 * dim)
            norm(shapes, block + half + ".norm", dim)
        for name in ("to_q", "to_k", "to_v", "to_out.0"):
            linear(shapes, block + "attn1." + name, dim, dim)
        for name in ("norm_q", "norm_k"):
            norm(shapes, block + "attn1." + name, head)
        linear(shapes, block + "ff.net.0.proj", dim, 4 * dim)
        linear(shapes, block + "ff.net.2", 4 * dim, dim)
    norm(shapes, "norm_final", dim)
    linear(shapes, "norm_out.linear", time, 2 * dim)
    norm(shapes, "norm_out.norm", dim)
    linear(shapes, "proj_out", dim, config["out_channels"] * patch * patch * (patch_t or 1))
    return shapes


def text_encoder(config: dict) -> Shapes:
    width, inner, hidden = config["d_model"], config["num_heads"] * config["d_kv"], config["d_ff"]
    shapes: Shapes = {"shared.weight": (config["vocab_size"], width)}
    first = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    shapes[first] = (config["relative_attention_num_buckets"], config["num_heads"])
    for layer in range(config["num_layers"]):
        block = f"encoder.block.{layer}.layer."
        for name in "qkv":
            linear(shapes, block + "0.SelfAttention." + name, width, inner, bias=False)
        linear(shapes, block + "0.SelfAttention.o", inner, width, bias=False)
        for name in ("wi_0", "wi_1"):
            linear(shapes, block + "1.DenseReluDense." + name, width, hidden, bias=False)
        linear(shapes, block + "1.DenseReluDense.wo", hidden, width, bias=False)
        for part in "01":
            shapes[block + part + ".layer_norm.weight"] = (width,)
    shapes["encoder.final_layer_norm.weight"] = (width,)
    return shapes


def vae_decoder(config: dict) -> Shapes:
    shapes: Shapes = {}
    latent = config["latent_channels"]

    def convolution(name: str, inputs: int, outputs: int, *size: int) -> None:
        shapes[name + ".weight"] = (outputs, inputs, *size)
        shapes[name + ".bias"] = (outputs,)

    def spatial_norm(name: str, channels: int) -> None:
        norm(shapes, name + ".norm_layer", channels)
        for map_of in ("conv_y", "conv_b"):
            convolution(f"{name}.{map_of}.conv", latent, channels, 1, 1, 1)

    def resnet(name: str, inputs: int, outputs: int) -> None:
        spatial_norm(name + ".norm1", inputs)
        convolution(name + ".conv1.conv", inputs, outputs, 3, 3, 3)
        spatial_norm(name + ".norm2", outputs)
        convolution(name + ".conv2.conv", outputs, outputs, 3, 3, 3)
        if inputs != outputs:
            convolution(name + ".conv_shortcut", inputs, outputs, 1, 1, 1)

    widths = config["block_out_channels"][::-1]
    convolution("decoder.conv_in.conv", latent, widths[0], 3, 3, 3)
    for i in range(2):
        resnet(f"decoder.mid_block.resnets.{i}", widths[0], widths[0])
    inputs = widths[0]
    for level, width in enumerate(widths):
        for i in range(config["layers_per_block"] + 1):
            resnet(f"decoder.up_blocks.{level}.resnets.{i}", inputs, width)
            inputs = width
        if level + 1 < len(widths):
            convolution(f"decoder.up_blocks.{level}.upsamplers.0.conv", width, width, 3, 3)
    spatial_norm("decoder.norm_out", inputs)
    convolution("decoder.conv_out.conv", inputs, config["out_channels"], 3, 3, 3)
    return shapes


def drawn(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    if len(shape) == 1:
        return (torch.ones if name.endswith("weight") else torch.zeros)(shape, dtype=torch.bfloat16)
    return torch.randn(shape, device=DEVICE, dtype=torch.bfloat16).div_(math.sqrt(math.prod(shape[1:]))).cpu()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="CogVideoX-5b")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--text-layers", type=int)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    shutil.copytree(ROOT / "configs/models" / arguments.model, arguments.folder, dirs_exist_ok=True)
    shutil.copytree(ROOT / "assets/pocket/tokenizer", arguments.folder / "tokenizer", dirs_exist_ok=True)
    for component, shapes_of, layers in (("text_encoder", text_encoder, arguments.text_layers),
                                         ("transformer", transformer, arguments.layers), ("vae", vae_decoder, None)):
        file = arguments.folder / component / "config.json"
        config = json.loads(file.read_text()) | ({"num_layers": layers} if layers else {})
        file.write_text(json.dumps(config, indent=2))
        name = "model" if component == "text_encoder" else "diffusion_pytorch_model"
        save_file({key: drawn(key, shape) for key, shape in shapes_of(config).items()},
                  arguments.folder / component / f"{name}.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
