#!/usr/bin/env python3
"""Lets the disk fill up at every page that a clip writes; each time one clear error, nothing half-written.

    unshare -m python3 tests/robustness/full_disk.py build/cpu/bitreel

Mounts file systems in memory of every size from nothing to what the clip takes, so it needs a mount namespace of its
own with the right to mount; without that it says so and does nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from clips import CASES, generate, problems_of, run


def mounted(folder, kib):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder], capture_output=True).returncode == 0


def clip_on(binary, case, folder, kib):
    """Whether the clip fitted, and what was wrong."""
    if not mounted(folder, kib):
        sys.exit("skipped: mounting is not allowed here")
    try:
        made = run(generate(binary, case, folder))
        problems = problems_of(binary, case, folder, complete=made.returncode == 0)
        if made.returncode not in (0, 1):
            problems.append(f"exit code {made.returncode}")
        if made.returncode == 1 and not any(text in made.stderr for text in ("No space left", "MiB free")):
            problems.append(f"no reason: {made.stderr}")
        partial = [path.name for path in Path(folder).rglob("*") if ".partial-" in path.name or "probe" in path.name]
        if partial:
            problems.append(f"left {partial}")
        return made.returncode == 0, problems
    finally:
        subprocess.run(["umount", folder], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--step", type=int, default=os.sysconf("SC_PAGE_SIZE") // 1024, help="KiB")
    parser.add_argument("--first", type=int, default=4, help="KiB; to go on where a run of one case was stopped")
    parser.add_argument("--cases", nargs="+", default=["rename", "pictures", "encode"], choices=list(CASES))
    arguments = parser.parse_args()
    failures = sizes = 0
    with tempfile.TemporaryDirectory() as folder:
        for case in arguments.cases:
            kib, fits = arguments.first, 0
            while fits < 3:  # a little room more or less must not matter
                ok, problems = clip_on(arguments.binary, case, folder, kib)
                fits = fits + 1 if ok else 0
                sizes += 1
                for problem in problems:
                    failures += 1
                    print(f"{case} on {kib} KiB: {problem}", flush=True)
                kib += arguments.step
            print(f"{case}: fits into {kib} KiB", flush=True)
    print(f"{sizes} sizes, {failures} problems")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
