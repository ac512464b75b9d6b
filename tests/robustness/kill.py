#!/usr/bin/env python3
"""Kills bitreel with SIGKILL at random points; what it leaves must be whole, and go on to the same bytes.

    python3 tests/robustness/kill.py build/cpu/bitreel --kills 200

After each kill: a video that has its name is whole, sidecars are JSON, and what is unfinished resumes (or the same
command is run again) to latents that are bit-identical to those of a run that nothing stopped.
"""

import argparse
import collections
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clips import CASES, generate, problems_of, run, tensor_bytes


def whole_run(binary, case):
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        made = run(generate(binary, case, folder))
        assert made.returncode == 0, made.stderr
        return time.monotonic() - begun, tensor_bytes(f"{folder}/kept.safetensors")


def kill_once(binary, case, seconds, expected, left):
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen(generate(binary, case, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, seconds))
        child.kill()
        child.wait()
        problems = problems_of(binary, case, folder, complete=False)
        unfinished = next(Path(folder).glob("*.unfinished.safetensors"), None)
        left["video" if child.returncode == 0 else "unfinished" if unfinished else
             "latents" if Path(folder, "kept.safetensors").exists() else "nothing"] += 1
        if unfinished and not Path(folder, "kept.safetensors").exists():
            again = run([binary, "resume", str(unfinished)])
            if again.returncode != 0:
                return problems + [f"resume: {again.stderr}"]
            if tensor_bytes(f"{folder}/kept.safetensors") != expected:
                problems.append("resumed to other latents")
            problems += problems_of(binary, case, folder, complete=True)
        elif Path(folder, "kept.safetensors").exists() and tensor_bytes(f"{folder}/kept.safetensors") != expected:
            problems.append("kept other latents")
        return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    whole = {case: whole_run(arguments.binary, case) for case in CASES}
    failures = 0
    left = collections.Counter()
    for kill in range(arguments.kills):
        case = list(CASES)[kill % len(CASES)]
        for problem in kill_once(arguments.binary, case, *whole[case], left):
            failures += 1
            print(f"kill {kill}, {case}: {problem}", flush=True)
    print(f"{arguments.kills} kills, {failures} problems; left behind: {dict(left)}")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
