"""What kill.py and full_disk.py share: quick clips of the tiny golden model, and what may be left of them."""

import json
import subprocess
from pathlib import Path

MODEL = "tests/golden/cog2b/model"

# Where the time goes in each: named after what a signal or a full disk is likely to meet.
CASES = {
    "denoise": ["--steps", "120"],
    "decode": ["--steps", "2", "--num-frames", "161"],
    "encode": ["--steps", "2", "--num-frames", "33", "--width", "256", "--height", "256"],
    "rename": ["--steps", "1", "--num-frames", "1"],
    "pictures": ["--steps", "2"],
}


def output_of(case, folder):
    return f"{folder}/frames/" if case == "pictures" else f"{folder}/clip.mkv"


def generate(binary, case, folder):
    """The command of one clip, its final latents kept."""
    return [binary, "generate", "--model", MODEL, "--device", "cpu", "--prompt", "a red circle", "--seed", "7",
            "--output", output_of(case, folder), "--save-latents", f"{folder}/kept.safetensors", *CASES[case]]


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300, **options)


def frames_of(case):
    arguments = CASES[case]
    return int(arguments[arguments.index("--num-frames") + 1]) if "--num-frames" in arguments else 17


def tensor_bytes(path):
    """A safetensors file's tensors without its metadata, in which paths differ."""
    data = Path(path).read_bytes()
    header = int.from_bytes(data[:8], "little")
    tensors = json.loads(data[8:8 + header])
    tensors.pop("__metadata__", None)
    return json.dumps(tensors, sort_keys=True).encode() + data[8 + header:]


def problems_of(binary, case, folder, complete):
    """What must never be: a video that is not whole, a sidecar that is not JSON, a file that no command made."""
    folder = Path(folder)
    problems = []
    video = Path(output_of(case, folder))
    here = video.exists() and (case != "pictures" or (video / "frame_0001.png").exists())
    if complete and not here:
        problems.append("no video")
    if here and (case != "pictures" or complete):
        info = run([binary, "info", output_of(case, folder)])
        count = frames_of(case)
        if info.returncode != 0 or f"{count} frame" not in info.stdout:
            problems.append(f"the video is not whole: {info.stderr or info.stdout}")
    known = {"clip.mkv", "clip.mkv.json", "frames", "kept.safetensors", "clip.unfinished.safetensors",
             "frames.unfinished.safetensors", "frame.json"}
    for path in folder.rglob("*"):
        if path.suffix == ".json":
            json.loads(path.read_text())
        ours = path.name in known or ".partial-" in path.name or path.parent.name.startswith(".") or \
            path.name.startswith("frame_")
        if not ours:
            problems.append(f"unknown file {path.name}")
    return problems
