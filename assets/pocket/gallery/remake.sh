#!/usr/bin/env bash
# The gallery: the default model in full precision, int8, 30 % of the cells in 8 bits, and int4, over eight prompts.
#
#   assets/pocket/gallery/remake.sh build/cpu/bitreel out/gallery         # then copy out/gallery/page here
#   DEVICE=cuda ...                                                       # OUT/compare is not rendered again when it is whole
#   PROMPTS=2 STEPS=4 assets/pocket/gallery/remake.sh build/cpu/bitreel out/try
#
# OUT/page/ is what is committed: index.html with what it shows, and screenshot.png of its first screen (Chromium through
# chromedriver, Debian: chromium-driver; the pages are driven as a person would on the way). It has to stay below 3 MiB.
# The plan is of the default model's own weights: after training, remake assets/pocket/evidence/precision first.
set -euo pipefail
bitreel=${1:?the program} out=${2:?a folder} most_kib=3072
here=$(dirname "${BASH_SOURCE[0]}")
mkdir -p "$out"
python3 - "$here" "$out" "${PROMPTS:-8}" "${STEPS:-}" "${DEVICE:-cpu}" <<'END'
import json, pathlib, sys
here, out, count, steps, device = sys.argv[1:]
prompts = json.loads((pathlib.Path(here) / "prompts.json").read_text())[:int(count)]
few = pathlib.Path(out, "prompts.json")
few.write_text(json.dumps(prompts))
lines = (pathlib.Path(here) / "compare.yaml").read_text().splitlines()
text = "\n".join(f"prompts: {json.dumps(str(few))}" if line.startswith("prompts:") else line for line in lines) + "\n"
pathlib.Path(out, "compare.yaml").write_text(text + f"defaults: {{device: {device}" + (f", steps: {steps}" if steps else "") + "}\n")
END
[[ -e $out/compare/index.html ]] || "$bitreel" compare "$out/compare.yaml" --output "$out/compare"
rm -rf "$out/page"
cp -r "$out/compare" "$out/page"
find "$out/page" \( -name '*.facts.json' -o -name '*.mp4.json' \) -delete  # what the page does not show
sed -i "s#$PWD/##g" "$out"/page/{index.html,compare.json}
python3 tests/browser/compare_page.py "$out/page/index.html" --screenshots "$out/screens"
cp "$out/screens/compare-desk-light-top.png" "$out/page/screenshot.png"
kib=$(du --summarize --apparent-size --block-size=1024 "$out/page" | cut -f1)
echo "$out/page: $kib KiB"
((kib <= most_kib)) || { echo "more than $most_kib KiB" >&2; exit 1; }
