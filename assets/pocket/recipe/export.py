"""Makes the finished checkpoint of a training folder: bf16 weights, scheduler and model_index.json.

    python export.py --model DIR --to CHECKPOINT
"""
import argparse
import json
import shutil
from pathlib import Path

import torch

import parts

INDEX = {
    "_class_name": "CogVideoXPipeline",
    "_diffusers_version": "0.42.1",
    "scheduler": ["diffusers", "CogVideoXDDIMScheduler"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "T5Tokenizer"],
    "transformer": ["diffusers", "CogVideoXTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLCogVideoX"],
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--to", required=True)
    a = arguments.parse_args()
    to = Path(a.to)
    for name in parts.CLASSES:
        parts.load(a.model, name, None).to(torch.bfloat16).save_pretrained(to / name)
        config = json.loads((to / name / "config.json").read_text())
        config.pop("_name_or_path", None)  # where it lay while it was trained
        if "dtype" in config:  # else transformers loads bf16 unasked, where diffusers loads fp32
            config["dtype"] = "float32"
        (to / name / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    parts.new_scheduler().save_pretrained(to / "scheduler")
    if Path(a.model).resolve() != to.resolve():
        shutil.copytree(Path(a.model) / "tokenizer", to / "tokenizer", dirs_exist_ok=True)
    (to / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    size = sum(f.stat().st_size for name in INDEX if name[0] != "_" for f in (to / name).iterdir())
    print(f"{size / 2**20:.1f} MiB in {to}")


if __name__ == "__main__":
    main()
