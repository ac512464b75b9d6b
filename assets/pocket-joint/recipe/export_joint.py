"""Makes the finished checkpoint of a training folder: bf16 weights, tokenizers, processor, scheduler, model_index.json.

    python export_joint.py --model DIR --to CHECKPOINT
"""
import argparse
import json
import shutil
from pathlib import Path

import torch

import joint_parts as parts

INDEX = {
    "_class_name": "UniDiffuserPipeline",
    "_diffusers_version": "0.42.1",
    "clip_image_processor": ["transformers", "CLIPImageProcessor"],
    "clip_tokenizer": ["transformers", "CLIPTokenizer"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
    "text_decoder": ["diffusers", "UniDiffuserTextDecoder"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_tokenizer": ["transformers", "GPT2Tokenizer"],
    "unet": ["diffusers", "UniDiffuserModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def export(model, to):
    to = Path(to)
    for name in parts.CLASSES:
        parts.save(to, name, parts.load(model, name), torch.bfloat16)
        config = json.loads((to / name / "config.json").read_text())
        config.pop("_name_or_path", None)  # where it lay while it was trained
        if "dtype" in config:  # else transformers loads bf16 unasked, where diffusers loads fp32
            config["dtype"] = "float32"
        (to / name / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    parts.new_scheduler().save_pretrained(to / "scheduler")
    parts.image_processor().save_pretrained(to / "clip_image_processor")
    if Path(model).resolve() != to.resolve():
        for name in ("clip_tokenizer", "text_tokenizer"):
            shutil.copytree(Path(model) / name, to / name, dirs_exist_ok=True)
    (to / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    size = sum(f.stat().st_size for name in INDEX if name[0] != "_" for f in (to / name).iterdir())
    print(f"{size / 2**20:.1f} MiB in {to}", flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--to", required=True)
    a = arguments.parse_args()
    export(a.model, a.to)
