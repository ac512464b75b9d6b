"""Lets the disk fill up in the middle of a batch, makes room, and compares what comes of it with an undisturbed run.

    unshare -m python3 tests/app/batch/full_disk.py build/cpu/bitreel --lanes 2

The batch's folder is a file system in memory, of many sizes from what the first clip takes to what all take, so this
needs a mount namespace of its own with the right to mount; without that it says so and exits with 77. A full disk has
to end in exit code 1 with an error that says so; the same command with room in ends in the same files, bit for bit.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

from kills import JOBS, batch, check, clips, finish


def mount(folder, kib):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder], capture_output=True).returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--sizes", type=int, default=10)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--model", default="tests/golden/cog2b/model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bitreel-full-disk-") as folder:
        folder = pathlib.Path(folder)
        jobs = folder / "jobs.yaml"
        jobs.write_text(JOBS.format(model=arguments.model, steps=arguments.steps))
        finish(batch(arguments.program, jobs, folder / "whole", lanes=1))
        reference = clips(folder / "whole")
        most = sum(len(clip) for clip in reference.values()) // 1024 + 64
        out, filled = folder / "out", 0
        out.mkdir()
        for number in range(arguments.sizes):
            kib = most * (number + 1) // (arguments.sizes + 1) + 8
            if not mount(out, kib):
                print("skipped: mounting is not allowed here")
                sys.exit(77)
            try:
                process = batch(arguments.program, jobs, out, arguments.lanes)
                errors = process.communicate()[1]
                assert process.returncode in (0, 1), f"{kib} KiB: exit code {process.returncode}: {errors}"
                if process.returncode == 1:
                    filled += 1
                    assert "No space left" in errors or "space" in errors, f"{kib} KiB: {errors}"
                assert not list(out.rglob(".*partial*")), f"{kib} KiB: something half-written is left"
                subprocess.run(["mount", "-o", "remount,size=64m", out], check=True)
                finish(batch(arguments.program, jobs, out, arguments.lanes))
                check(out, reference)
            finally:
                subprocess.run(["umount", out], check=True)
        assert filled, "no size was too small"
        print(f"{arguments.sizes} sizes, {filled} of them too small: with room all {len(reference)} clips equal the "
              f"undisturbed run's, bit for bit")


if __name__ == "__main__":
    main()
