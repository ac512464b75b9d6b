"""Kills a batch at random moments, starts it again, and compares what comes of it with an undisturbed run.

    python3 tests/app/batch/kills.py build/cpu/bitreel --kills 50 --lanes 2

The undisturbed run makes one clip after the other, the killed ones as many side by side as --lanes says. Every clip has to have the same bytes, and every job to be done exactly once. ./dev test kills at a few chosen moments
(tests/app/batch_test.cpp); this takes some minutes.
"""

import argparse
import collections
import json
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

JOBS = """
defaults: {{model: {model}, device: cpu, no_metadata: true, steps: {steps}}}
jobs:
  - {{name: circle, prompt: a red circle, seed: [1, 2], scheduler: [ddim, dpm]}}
  - {{name: star, prompt: a blue star, seed: [1, 2], attention: int8, guard: 5, guard_bound: 1e-7}}
output: "{{name}}/{{seed}}-{{scheduler}}.mkv"
"""


def clips(out):
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.glob("*/*"))}


def ledger(out):
    return [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]


def batch(program, jobs, out, lanes):
    return subprocess.Popen([program, "batch", jobs, "--output", out, "--progress", "json", "--parallel", str(lanes)],
                            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finish(process):
    output, errors = process.communicate()
    assert process.returncode == 0, f"exit code {process.returncode}: {errors}"
    return output


def check(out, reference):
    now = clips(out)
    assert now.keys() == reference.keys(), f"{sorted(now)} instead of {sorted(reference)}"
    for name, expected in reference.items():
        assert now[name] == expected, f"{name} differs from the undisturbed run's"
    done = collections.Counter(line["key"] for line in ledger(out) if line["state"] == "done")
    assert len(done) == len(reference) and set(done.values()) == {1}, f"done more than once: {done}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--model", default="tests/golden/cog2b/model")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="bitreel-kills-") as folder:
        folder = pathlib.Path(folder)
        jobs = folder / "jobs.yaml"
        jobs.write_text(JOBS.format(model=arguments.model, steps=arguments.steps))
        begun = time.monotonic()
        finish(batch(arguments.program, jobs, folder / "whole", lanes=1))
        whole = time.monotonic() - begun
        reference = clips(folder / "whole")
        print(f"undisturbed: {len(reference)} clips in {whole:.1f} s", flush=True)

        out, killed, rounds, torn, taken_up = folder / "killed", 0, 0, 0, 0
        while killed < arguments.kills:
            process = batch(arguments.program, jobs, out, arguments.lanes)
            try:
                output, errors = process.communicate(timeout=chance.uniform(0.02, whole / 3))
            except subprocess.TimeoutExpired:
                process.kill()
                output, errors = process.communicate()
                killed += 1
            else:
                assert process.returncode == 0, errors
                check(out, reference)
                shutil.rmtree(out)
                rounds += 1
            taken_up += output.count("taken up again after step")
            if (out / "ledger.jsonl").exists() and chance.random() < 0.2:  # what a crash of the machine would do
                with open(out / "ledger.jsonl", "a") as lines:
                    lines.write('{"time": "2026-')
                torn += 1
        output = finish(batch(arguments.program, jobs, out, arguments.lanes))
        taken_up += output.count("taken up again after step")
        check(out, reference)
        print(f"{killed} kills in {rounds + 1} batches, {torn} torn lines, {taken_up} clips taken up again: "
              f"all {len(reference)} clips equal the undisturbed run's, bit for bit, each done once")


if __name__ == "__main__":
    main()
