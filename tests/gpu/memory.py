"""Holds what clips took of a GPU's memory against what their plans said, and against each other.

    memory.py FOLDER NAME...

For each NAME: FOLDER/NAME.jsonl, the events of `bitreel generate --progress json`, and FOLDER/NAME.mp4.json, its sidecar.
Prints a row for each phase; exits with 1 when one is more than 15 % off its plan. With --limit GIB no peak may exceed it.
"""

import argparse
import json
import sys
from pathlib import Path

TOLERANCE = 0.15
GIB = 1 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--limit", type=float)
    arguments = parser.parse_args()
    failed = False
    print(f"{'clip':<16} {'phase':<8} {'planned':>8} {'measured':>8} {'ratio':>6}  seconds")
    for name in arguments.names:
        events = [json.loads(line) for line in (arguments.folder / f"{name}.jsonl").read_text().splitlines()]
        plan = next(event for event in events if event["event"] == "plan")
        sidecar = json.loads((arguments.folder / f"{name}.mp4.json").read_text())
        for phase, measured in sidecar.get("phase_device_memory_bytes", {}).items():
            planned = plan["expected_phase_bytes"][phase]
            ratio = planned / measured
            verdict = "" if abs(ratio - 1) <= TOLERANCE else "  OFF"
            if arguments.limit and measured > arguments.limit * GIB:
                verdict += "  OVER THE LIMIT"
            failed = failed or bool(verdict)
            print(f"{name:<16} {phase:<8} {planned / GIB:8.2f} {measured / GIB:8.2f} {ratio:6.2f}  "
                  f"{sidecar['seconds'][phase]:.1f}{verdict}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
