"""The whole recipe in one command: words and autoencoder side by side, then the U-ViT, then the checkpoint.

    python train.py --model work --to .. --seconds 540              # all of it, within so many seconds of one GPU
    python train.py --model work --first --seconds 200              # or the parts before the U-ViT ...
    python train.py --model work --to .. --unet --seconds 400       # ... and the U-ViT from what they left, again at will

What each takes beside training (imports, drawing, compilation) is taken off; the U-ViT gets all that is left. Everything is
in the folder `work` between commands, in files of a few MiB but for the U-ViT's 30.
"""
import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIRST_SECONDS = 110                      # of training, of each of the two
UNET_EXTRA, UNET_ENCODING, EXPORT = 55, 40, 25  # seconds: imports, compilation and saving; drawing and encoding; export.py


def start(name, *arguments, tiny):
    command = [sys.executable, HERE / f"{name}.py", *map(str, arguments), *(["--tiny"] if tiny else [])]
    return subprocess.Popen([str(c) for c in command])


def wait(*processes):
    codes = [p.wait() for p in processes]
    if any(codes):
        raise SystemExit(f"a stage failed: {codes}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--to", help="where the finished checkpoint goes")
    arguments.add_argument("--seconds", type=float, required=True, help="of the whole command")
    arguments.add_argument("--first", action="store_true", help="only what comes before the U-ViT")
    arguments.add_argument("--unet", action="store_true", help="only the U-ViT and the checkpoint")
    arguments.add_argument("--learning-rate", nargs=2, default=["2e-3", "0"], metavar=("FROM", "TO"), help="of the U-ViT")
    arguments.add_argument("--first-seconds", type=float, default=FIRST_SECONDS)
    arguments.add_argument("--tiny", action="store_true", help="a toy of the same form, to try the recipe on a CPU")
    a = arguments.parse_args()
    begin = time.time()
    model = Path(a.model)
    model.mkdir(parents=True, exist_ok=True)
    extra = (UNET_EXTRA, UNET_ENCODING, EXPORT) if not a.tiny else (0, 0, 0)
    if not a.unet:
        wait(start("words", "--model", model, "--seconds", a.first_seconds, "--log", model / "words.csv", tiny=a.tiny),
             start("autoencoder", "--model", model, "--seconds", a.first_seconds, "--log", model / "autoencoder.csv",
                   tiny=a.tiny))
        print(f"words and autoencoder: {time.time() - begin:.0f} s", flush=True)
    if not a.first:
        left = a.seconds - (time.time() - begin) - sum(extra)
        if left < 2:
            raise SystemExit(f"{a.seconds:.0f} s leave no time for the U-ViT")
        wait(start("uvit", "--model", model, "--seconds", f"{left:.0f}", "--encode-seconds", extra[1] or 60,
                   "--learning-rate", *a.learning_rate, "--log", model / "uvit.csv", tiny=a.tiny))
        if a.to:
            wait(subprocess.Popen([sys.executable, str(HERE / "export_joint.py"), "--model", str(model), "--to", a.to]))
    print(f"all: {time.time() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
