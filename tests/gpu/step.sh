#!/usr/bin/env bash
# What a clip takes on an NVIDIA GPU, checked and measured in one command:
#
#   tests/gpu/step.sh [--results FOLDER] [PART...]      # all parts when none is named; after ./dev build --cuda
#
#   goldens   every golden of the denoiser, its kernels, 8-bit products and the decoder, on the GPU
#   step      bitreel bench step (configs/bench/step.yaml) -> step.json
#   tokens    cost against tokens (configs/bench/tokens.yaml) -> tokens.json
#   vae       bitreel bench vae (configs/bench/vae.yaml) -> vae.json
#   peer      diffusers on the same shapes -> step-peer.json, vae-peer.json (BITREEL_PEER: a Python that has it)
#   clip      the default clip in every kind of arithmetic, beside full precision on the CPU -> clip-*.mp4.json
#
# Each part writes to FOLDER (out/gpu-step) as it goes, its output to FOLDER/PART.log; the next runs whatever became of it.
# Exits with 1 when one failed, and FOLDER/summary.txt says which. Builds nothing. BITREEL_BINARY and
# BITREEL_CLIP_TESTS name binaries that lie elsewhere than in build/cpu.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
bitreel=${BITREEL_BINARY:-build/cpu/bitreel}
tests=${BITREEL_CLIP_TESTS:-build/cpu/tests/test_pipelines_cogvideox}
device=${BITREEL_STEP_DEVICE:-cuda}  # cpu: to try the script itself, with cases of few tokens
step_cases=${BITREEL_STEP_CASES:-configs/bench/step.yaml}
vae_cases=${BITREEL_VAE_CASES:-configs/bench/vae.yaml}
peer=${BITREEL_PEER:-.deps/peer/bin/python}
results=out/gpu-step
if [[ ${1:-} == --results ]]; then
  results=$2
  shift 2
fi
parts=("$@")
((${#parts[@]})) || parts=(goldens step tokens vae peer clip)
mkdir -p "$results"
: >"$results/summary.txt"

part_goldens() {
  BITREEL_TEST_DEVICE=$device "$tests" --gtest_brief=1 --gtest_output="json:$results/goldens.json"
}

part_step() { "$bitreel" bench step "$step_cases" --device "$device" --output "$results/step.json"; }

part_tokens() { "$bitreel" bench step configs/bench/tokens.yaml --device "$device" --output "$results/tokens.json"; }

part_vae() { "$bitreel" bench vae "$vae_cases" --device "$device" --output "$results/vae.json"; }

part_peer() {
  local phase status=0
  for phase in step vae; do
    [[ -e $results/$phase.json ]] || { echo "no $results/$phase.json to stand beside"; status=1; continue; }
    "$peer" tests/oracle/step_peer.py "$results/$phase.json" --device "$device" --output "$results/$phase-peer.json" ||
      status=1
  done
  return "$status"
}

part_clip() {
  local status=0 name
  local -A flags=([full]="" [composed]="--elementwise composed" [int8]="--attention int8"
    [linear-int8]="--linear int8" [linear-fp8]="--linear fp8" [linear-fp8-plain]="--linear fp8 --linear-path plain"
    [channels-last]="--vae-layout channels-last")
  for name in "${!flags[@]}"; do
    # shellcheck disable=SC2086  # flags are words
    "$bitreel" generate --prompt "a red circle moves right on a navy background" --seed 1 --device "$device" \
      --steps "${BITREEL_STEP_STEPS:-50}" ${flags[$name]} --output "$results/clip-$name.mp4" --progress plain || status=1
  done
  "$bitreel" compare "$results"/clip-full.mp4 "$results"/clip-{composed,int8,linear-int8}.mp4 \
    "$results"/clip-{linear-fp8,linear-fp8-plain,channels-last}.mp4 --output "$results/compare" || status=1
  return "$status"
}

failed=0
for part in "${parts[@]}"; do
  if ! declare -F "part_$part" >/dev/null; then
    echo "step.sh: no part is called $part" >&2
    exit 2
  fi
  begun=$SECONDS
  if "part_$part" >"$results/$part.log" 2>&1; then verdict=passed; else verdict=FAILED failed=1; fi
  printf '%-8s %s, %d s\n' "$part" "$verdict" $((SECONDS - begun)) | tee -a "$results/summary.txt"
  tail -n 25 "$results/$part.log"
done
exit $failed
