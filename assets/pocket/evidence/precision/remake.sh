#!/usr/bin/env bash
# What 8 and 4 bits cost the default model: calibration, held-out check, plans and a sweep of shares.
#
#   assets/pocket/evidence/precision/remake.sh build/cpu/bitreel out/precision [cuda]
#
# The folder gets calibration.json and held-out.json (16 prompts each, none in common), share-*.yaml, pictures, and
# sweep/: every clip of the 32 prompts of sweep-32.json, twelve of them for two objects, at every share, compare.csv, and
# the judge's scores of each.
# 4 bits are slower than 8 on CPUs, so a plan by this machine's times would hold no 4-bit cell; the shares are taken at
# the costs that SageAttention2 reports on an RTX 4090 (4b about 3x, 8b about 2.7x FlashAttention2, 2411.10958 table 9).
set -euo pipefail
bitreel=${1:?the program} out=${2:?a folder} device=${3:-cpu}
prompts=assets/prompts
mkdir -p "$out"
"$bitreel" calibrate --prompts "$prompts/calibration-16.json" --seed 1000 --precisions int8,int4,sage1-vb \
  --output "$out/calibration.json" --device "$device"
"$bitreel" calibrate --prompts "$prompts/held-out-16.json" --seed 5000 --precisions int8,int4,sage1-vb \
  --output "$out/held-out.json" --device "$device"
attentions=(--attention int4 --attention int8)
for share in 10 30 50; do
  "$bitreel" plan "$out/calibration.json" --precisions int4,int8 --costs int4=0.333,int8=0.37 --share $share% \
    --output "$out/share-$share.yaml" > "$out/share-$share.txt"
  attentions+=(--attention "$out/share-$share.yaml")
done
"$bitreel" plan "$out/calibration.json" --precisions int4,int8 --costs int4=0.333,int8=0.37 --share 30% \
  --held-out "$out/held-out.json" --pictures "$out/pictures" > "$out/plan.txt"
"$bitreel" plan "$out/calibration.json" --max-error 0.005 > "$out/plan-here.txt"
"$bitreel" compare --prompts "$prompts/sweep-32.json" --seed 7000 "${attentions[@]}" --output "$out/sweep" --device "$device"
for facts in "$out"/sweep/*/clip-000.facts.json; do  # the variants' folders, among others
  folder=$(dirname "$facts")
  "$bitreel" judge "$folder"/clip-*.mp4 --prompts "$prompts/sweep-32.json" \
    --output "$out/sweep/judge-$(basename "$folder").json"
done
