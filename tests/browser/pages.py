"""Makes a comparison and a batch of a tiny model, one of its jobs without a model, and uses their pages as a person would.

    python3 tests/browser/pages.py build/cpu/bitreel [--screenshots DIR]

Exit code 77 where there is no chromedriver (Debian: chromium-driver).
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import batch_page
import browser as chromium
import compare_page

TINY = "tests/golden/cog2b/model"


def bitreel(program, *arguments, code=0):
    done = subprocess.run([program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == code, f"{arguments}: exit code {done.returncode}\n{done.stderr}"


def comparison(program, folder):
    variants = {"full": {}, "int8": {"attention": "int8"}, "plan": {"attention": "first-last:1=full,layers:0=int8,rest=int4"},
                "fewer": {"steps": 4}}
    file = folder / "compare.yaml"
    file.write_text(json.dumps({"prompts": ["a red circle moves right", "a blue star spins"], "variants": variants,
                                "baseline": "full", "defaults": {"model": TINY, "device": "cpu", "steps": 6}}))
    bitreel(program, "compare", file, "--output", folder / "compare")
    return folder / "compare" / "index.html"


def batch(program, folder):
    file = folder / "jobs.yaml"
    jobs = [{"name": "circle", "prompt": "a red circle", "seed": [1, 2, 3]}, {"name": "lost", "prompt": "x", "model": "no/model"}]
    file.write_text(json.dumps({"defaults": {"device": "cpu", "steps": 2}, "output": "{name}/{seed}.mp4",
                                "jobs": [{"model": TINY} | job for job in jobs]}))
    bitreel(program, "batch", file, "--output", folder / "batch", code=1)
    return folder / "batch" / "index.html"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--screenshots", type=pathlib.Path)
    arguments = parser.parse_args()
    if not chromium.is_there():
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="bitreel-pages-") as folder:
        folder = pathlib.Path(folder)
        chromium.drive(comparison(arguments.program, folder), "compare", compare_page.check, arguments.screenshots)
        chromium.drive(batch(arguments.program, folder), "batch", batch_page.check, arguments.screenshots)


if __name__ == "__main__":
    main()
