"""Runs a thousand tiny jobs and states what a job costs, beside a run of generate for each.

    python3 tests/app/batch/throughput.py build/cpu/bitreel --jobs 1000
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time


def timed(*command):
    begun = time.monotonic()
    subprocess.run([str(part) for part in command], check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--singles", type=int, default=10)
    parser.add_argument("--model", default="tests/golden/cog2b/model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bitreel-throughput-") as folder:
        folder = pathlib.Path(folder)
        jobs, out = folder / "jobs.yaml", folder / "out"
        seeds = ", ".join(str(seed) for seed in range(arguments.jobs))
        jobs.write_text(f"defaults: {{model: {arguments.model}, device: cpu, steps: 2}}\n"
                        f"jobs: [{{prompt: a red circle, seed: [{seeds}]}}]\noutput: \"{{seed:04}}.mp4\"\n")
        batch = timed(arguments.program, "batch", jobs, "--output", out)
        again = timed(arguments.program, "batch", jobs, "--output", out)
        counts = json.loads((out / "results.json").read_text())["counts"]
        assert counts == {"done": 0, "failed": 0, "skipped": arguments.jobs, "missing": 0}, counts
        singles = [timed(arguments.program, "generate", "--model", arguments.model, "--device", "cpu", "--steps", 2,
                         "--prompt", "a red circle", "--seed", seed, "--output", folder / f"{seed}.mp4")
                   for seed in range(arguments.singles)]
        single = sum(singles) / len(singles)
        print(f"{arguments.jobs} jobs in {batch:.1f} s: {arguments.jobs / batch:.1f} jobs/s, "
              f"{1000 * batch / arguments.jobs:.0f} ms each; generate takes {1000 * single:.0f} ms for one "
              f"({single * arguments.jobs / batch:.1f} times as long); skipping all of them takes {again:.1f} s")


if __name__ == "__main__":
    main()
