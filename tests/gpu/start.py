"""How long a clip takes from the program's start to its first step, and on what.

    start.py MODEL [--rounds N] [--device cuda] [--output FILE] [FLAG...]     # further flags are generate's

Runs `bitreel generate --steps 2` so many times and notes when its events come: the plan (files are hashed by then, in the
first round unless they were before), the beginning of the text, that of denoising, and the first step. Files are in memory
from the second round on. BITREEL_BINARY names the program.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path


def arrivals(command: list[str]) -> dict[str, float]:
    begun = time.monotonic()
    seconds = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        for line in program.stdout:
            event = json.loads(line)
            what = event["event"] if event["event"] in ("plan", "done") else f"{event['event']} {event.get('phase', '')}"
            seconds.setdefault(what, time.monotonic() - begun)
    if program.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {program.returncode}")
    return {name: seconds[key] for name, key in (("plan", "plan"), ("text", "phase text"), ("denoise", "phase denoise"),
                                                 ("first step", "step denoise"), ("done", "done"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--output", type=Path)
    arguments, flags = parser.parse_known_args()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        command = [os.environ.get("BITREEL_BINARY", "build/cpu/bitreel"), "generate", "--model", arguments.model, "--prompt",
                   "a red circle moves right", "--seed", "1", "--steps", "2", "--device", arguments.device, "--progress", "json",
                   "--force", "--output", f"{folder}/clip.mp4", *flags]
        for _ in range(arguments.rounds):
            rounds.append(arrivals(command))
            print(", ".join(f"{name} {at:.2f} s" for name, at in rounds[-1].items()), flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps({"command": command[1:], "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
