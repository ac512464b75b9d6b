"""Many clips of the default model by one batch, beside a run of generate for each, in turn, on one machine:

    python3 tests/app/batch/speed.py build/cpu/bitreel --rounds 2 --output configs/bench/results/batch.json
    python3 tests/app/batch/speed.py build/cpu/bitreel --rounds 2 --device cuda --output configs/bench/results/batch-cuda.json
    python3 tests/app/batch/speed.py build/cpu/bitreel --clips 2 --steps 2 --size 64x64x9      # does it run at all

Whole processes by this one's clock, from start to the last file; loading, text, decoding and encoding included. Clips
that have the same bytes either way are counted: all of them where the batch shares no transformer batch.
"""

import argparse
import datetime
import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2] / "bench"))
from result_file import ROOT, machine, portable


def timed(*command):
    begun = time.perf_counter()
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(str(part) for part in command)}: exit code {done.returncode}\n{done.stderr}")
    return time.perf_counter() - begun, [json.loads(line) for line in done.stdout.splitlines()]


def render(arguments, folder, prompts):
    """One round: (seconds of the single runs, seconds of the batch, how it did them, clips with equal bytes)."""
    settings = {"model": str(arguments.model), "device": arguments.device, "attention": arguments.attention,
                "steps": arguments.steps, "no_metadata": True}
    if arguments.size:
        settings |= dict(zip(("width", "height", "num_frames"), map(int, arguments.size.split("x"))))
    folder.mkdir()
    singles = 0
    for seed, prompt in enumerate(prompts):
        config = folder / "clip.yaml"
        config.write_text(json.dumps(settings | {"prompt": prompt, "seed": seed}))
        singles += timed(arguments.program, "generate", "--config", config, "--output", folder / f"{seed}.mp4",
                         "--progress", "json")[0]
    jobs = folder / "jobs.yaml"
    jobs.write_text(json.dumps({"defaults": settings, "output": "{seed}.mp4",
                                "jobs": [{"prompt": prompt, "seed": seed} for seed, prompt in enumerate(prompts)]}))
    batch, events = timed(arguments.program, "batch", jobs, "--output", folder / "batch", "--progress", "json",
                          *arguments.batch_flags)
    lanes = next((event for event in events if event["event"] == "lanes"), {"side_by_side": 1, "batch_size": 1})
    equal = sum((folder / f"{seed}.mp4").read_bytes() == (folder / "batch" / f"{seed}.mp4").read_bytes()
                for seed in range(len(prompts)))
    return singles, batch, {key: lanes[key] for key in ("side_by_side", "batch_size")}, equal


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "assets/pocket")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--attention", default="int8")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--size", metavar="WxHxFRAMES", help="the model's own when left out")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=pathlib.Path, help="the result file; only printed when left out")
    parser.add_argument("batch_flags", nargs="*", metavar="-- FLAG", help="of bitreel batch: -- --parallel 1")
    arguments = parser.parse_args()
    unseen = json.loads((ROOT / "assets/prompts/unseen-100.json").read_text())
    prompts = [entry["prompt"] for entry in unseen[:arguments.clips]]
    report = {"date": datetime.date.today().isoformat(),
              "command": shlex.join(portable(word) for word in sys.orig_argv), "machine": machine(),
              "device": arguments.device, "attention": arguments.attention, "clips": len(prompts),
              "steps": arguments.steps, "singles_s": [], "batch_s": []}
    if arguments.device == "cuda":
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        report["gpu"] = subprocess.run(query, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="bitreel-speed-") as folder:
        for number in range(arguments.rounds):
            singles, batch, lanes, equal = render(arguments, pathlib.Path(folder) / str(number), prompts)
            report["singles_s"].append(singles)
            report["batch_s"].append(batch)
            report |= {"batch": lanes, "equal_clips": equal}
            print(f"round {number + 1}: {singles:.1f} s one by one, {batch:.1f} s as a batch", file=sys.stderr, flush=True)
    median = {key: statistics.median(report[key]) for key in ("singles_s", "batch_s")}
    report |= {"singles_median_s": median["singles_s"], "batch_median_s": median["batch_s"],
               "times_faster": median["singles_s"] / median["batch_s"]}
    text = json.dumps(report, indent=1) + "\n"
    print(text, end="")
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
