#!/usr/bin/env bash
# What 8 and 4 bits of attention cost the joint model: calibration, a plan, and the judge's scores of each way.
#
#   assets/pocket-joint/evidence/precision.sh build/cpu/bitreel out/joint-precision
#   MODEL=folder PROMPTS=4 STEPS=2 DEVICE=cpu assets/pocket-joint/evidence/precision.sh ...      # a small trial
#
# The folder gets calibration.json (score and CosSim of every layer and step, on the prompts for two objects), plan.yaml
# (three cells of ten in 8 bits, the others in 4), pictures of both, and for full, int8, int4 and plan the pictures of the
# 100 unseen prompts for one object, the same seed for a prompt in each way, with judge-WAY.json. Prompts that calibrate
# are none that judge.
# 4 bits are slower than 8 on CPUs; the share is taken at the costs that SageAttention2 reports on an RTX 4090
# (2411.10958 table 9), as the default model's evidence does.
set -euo pipefail
bitreel=${1:?the program} out=${2:?a folder}
assets=$(dirname "$0")/../..
model=${MODEL:-$assets/pocket-joint} device=${DEVICE:-cpu} steps=${STEPS:-50} count=${PROMPTS:-100}
mkdir -p "$out"
python3 - "$assets/prompts/unseen-stills.json" "$out" "$count" <<'SPLIT'
import csv, json, sys
file, out, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
entries = json.load(open(file))
one = [entry for entry in entries if len(entry["objects"]) == 1][:count]
two = [entry for entry in entries if len(entry["objects"]) == 2][:min(count, 16)]
for name, part in [("one", one), ("two", two)]:
    with open(f"{out}/{name}.json", "w") as written:
        json.dump(part, written)
with open(f"{out}/one.csv", "w", newline="") as written:
    csv.writer(written).writerows([["prompt", "seed"], *([entry["prompt"], i] for i, entry in enumerate(one))])
SPLIT

"$bitreel" calibrate --model "$model" --prompts "$out/two.json" --seed 1000 --steps "$steps" --device "$device" \
  --output "$out/calibration.json" --plan "$out/calibrated.yaml"
"$bitreel" plan "$out/calibration.json" --costs int4=0.333,int8=0.37 --share 30% --pictures "$out/pictures" \
  --output "$out/plan.yaml" > "$out/plan.txt"

for way in full int8 int4 plan; do
  attention=$way
  if [ "$way" = plan ]; then attention=$(realpath "$out/plan.yaml"); fi
  cat > "$out/jobs-$way.yaml" <<JOBS
defaults: {model: "$(realpath "$model")", steps: $steps, device: $device, attention: "$attention"}
prompts_file: "$(realpath "$out")/one.csv"
output: "{index:03}.png"
JOBS
  "$bitreel" batch "$out/jobs-$way.yaml" --output "$out/$way"
  "$bitreel" judge "$out/$way"/*.png --prompts "$out/one.json" --output "$out/judge-$way.json" > "$out/judge-$way.txt"
  printf '\n== %s\n' "$way"
  grep -A 9 '^ .*colour' "$out/judge-$way.txt"
done
