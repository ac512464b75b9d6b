#!/usr/bin/env bash
# What the default model can do, and what 8 and 4 bits cost it: all of this folder but the training curves.
#
#   assets/pocket/evidence/remake.sh build/cpu/bitreel out/evidence                    # on a quiet machine: hours on two cores
#   assets/pocket/evidence/remake.sh build/cpu/bitreel out/evidence cuda
#   cp -r out/evidence/{judge.json,contact-sheet.png,precision} assets/pocket/evidence/
#
# The folder gets unseen/ (every clip of assets/prompts/unseen-100.json, its place as seed), judge.json, contact-sheet.png
# (sixteen of them) and precision/ (precision/remake.sh says what). The clips' scores have floors: lower ones
# end the script with 1.
# Of what else hangs on the weights, `python ../recipe/curve.py` draws the curves from the logs, and `./dev bench` times
# the default clip.
set -euo pipefail
bitreel=${1:?the program} out=${2:?a folder} device=${3:-cpu}
prompts=assets/prompts/unseen-100.json
mkdir -p "$out"
python3 - "$prompts" > "$out/unseen.csv" <<'END'
import csv, json, sys
rows = csv.writer(sys.stdout)
rows.writerow(["prompt", "seed"])
rows.writerows([entry["prompt"], place] for place, entry in enumerate(json.load(open(sys.argv[1]))))
END
cat > "$out/unseen.yaml" <<END
defaults: {device: $device}
prompts_file: "$out/unseen.csv"
output: "unseen/{index:03}.mp4"
END
"$bitreel" batch "$out/unseen.yaml" --output "$out"
shown=()
for place in 0 8 16 25 33 41 50 58 66 75 83 91 102 110 118 126; do
  shown+=("$out/unseen/$(printf %03d "$place").mp4")
done
"$bitreel" judge "${shown[@]}" --prompts "$prompts" --sheet "$out/contact-sheet.png" > /dev/null
"$(dirname "$0")/precision/remake.sh" "$bitreel" "$out/precision" "$device"
"$bitreel" judge "$out"/unseen/*.mp4 --prompts "$prompts" --output "$out/judge.json" --at-least one.all=98,two.all=60
