"""One clip, or of a UniDiffuser one picture, by bitreel and by diffusers, in turn, each in a process of its own, on the same checkpoint folder:

    python3 tests/oracle/side_by_side.py assets/pocket --bitreel build/cpu/bitreel --peer .deps/peer/bin/python \\
        --attention full int8 --output results.json
    ... tests/gpu/random_unidiffuser.py out/unidiffuser && ... side_by_side.py out/unidiffuser --device cuda ...

Writes one JSON object: every run, and the ratios of the medians for each --attention. Needs only Python's standard
library; --peer is a Python that has tests/oracle/requirements.txt. Seconds by this process's clock: bitreel's events
are dated as they come.
"""

import argparse
import datetime
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).absolute().parents[1] / "bench"))
from result_file import machine, portable

PROMPT = "a red circle moves right on a navy background"


def run_bitreel(arguments: argparse.Namespace, attention: str) -> dict:
    still = json.loads((arguments.model / "model_index.json").read_text())["_class_name"] == "UniDiffuserPipeline"
    with tempfile.TemporaryDirectory() as folder:
        command = [arguments.bitreel, "generate", "--model", arguments.model, "--prompt", PROMPT, "--seed", "42",
                   "--dtype", arguments.dtype, "--steps", str(arguments.steps), "--device", arguments.device,
                   "--progress", "json", "--attention", attention, "--output", f"{folder}/{'picture.png' if still else 'clip.mp4'}"]
        started = time.perf_counter()
        ends, done = [], None
        with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "step" and event["phase"] == "denoise":
                    ends.append(time.perf_counter())
                if event["event"] == "done":
                    done = event
        ended = time.perf_counter()
        if process.returncode != 0:
            sys.exit(f"bitreel failed with exit code {process.returncode}")
    steps = [b - a for a, b in zip(ends, ends[1:])]
    median = statistics.median(steps)
    return {
        "process_s": ended - started, "clip_s": sum(done["seconds"].values()), "denoise_s": done["seconds"]["denoise"],
        "phases_s": done["seconds"],
        # The first step's own time is not seen from outside: a median one is taken off.
        "start_to_first_step_s": ends[0] - median - started, "step_median_s": median, "step_min_s": min(steps),
        "steps": len(ends), "peak_rss_mib": done["peak_memory_bytes"] / 2**20}


def run_peer(arguments: argparse.Namespace) -> dict:
    command = [arguments.peer, Path(__file__).with_name("bench.py"), arguments.model, "--dtype", arguments.dtype,
               "--steps", str(arguments.steps), "--prompt", PROMPT, "--device", arguments.device]
    started = time.perf_counter()
    output = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True).stdout
    ended = time.perf_counter()
    report = json.loads(output)
    clip = report["clips"][0]
    return {
        "process_s": ended - started, "clip_s": clip["whole_clip_s"], "denoise_s": clip["denoise_s"],
        "phases_s": {phase: clip[f"{phase}_s"] for phase in ("text", "denoise", "decode", "export")},
        "start_to_first_step_s": report["start_to_first_step_s"], "step_median_s": clip["step_median_s"],
        "step_min_s": clip["step_min_s"], "steps": clip["steps"], "peak_rss_mib": report["peak_rss_mib"],
        "versions": {name: report[name] for name in ("diffusers", "transformers", "torch")}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--bitreel", type=Path, required=True)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--attention", nargs="+", default=["full", "int8"],
                        help="precisions or plans of bitreel's runs")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    command = shlex.join(portable(word) for word in sys.orig_argv)
    report = {"date": datetime.date.today().isoformat(), "command": command, "machine": machine(),
              "model": arguments.model.name, "device": arguments.device, "dtype": arguments.dtype,
              "bitreel": {attention: [] for attention in arguments.attention}, "diffusers": []}
    for _ in range(arguments.repeats):
        for attention, runs in report["bitreel"].items():
            runs.append(run_bitreel(arguments, attention))
        report["diffusers"].append(run_peer(arguments))
    median = lambda runs, what: statistics.median(run[what] for run in runs)
    report["times_faster"] = {
        attention: {what: median(report["diffusers"], f"{what}_s") / median(runs, f"{what}_s")
                    for what in ("step_median", "step_min", "denoise", "clip", "process", "start_to_first_step")}
        for attention, runs in report["bitreel"].items()}
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["times_faster"], indent=1))


if __name__ == "__main__":
    main()
