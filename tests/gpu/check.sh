#!/usr/bin/env bash
# Everything that only a machine with an NVIDIA GPU can check or measure, in one command:
#
#   tests/gpu/check.sh [--results FOLDER] [PART...]      # all parts when none is named; ./dev test-gpu builds and runs it
#
# Each part writes what it has found to FOLDER (out/gpu) as it goes, its output to FOLDER/PART.log. The next runs whatever
# became of it, and the table at the end, FOLDER/summary.txt, says which passed. Exits with 1 when one failed or none
# could run. clocks.csv is the GPU's clock, power and memory all the while.
#
# From a built checkout, or with binaries that lie elsewhere (the repository's files are still read from here):
#   BITREEL_BINARY=F/bitreel BITREEL_TESTS=F/test_attention LD_LIBRARY_PATH=F/lib tests/gpu/check.sh
#   (bitreel-engine lies beside F/bitreel)
#   BITREEL_CUDA_PLUGIN      the kernels, when they are not beside the program
#   BITREEL_OTHER_PLUGIN     another build of them, which `bench-other` measures too
#   BITREEL_PART_SECONDS     the most that one part may take (540)
set -uo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
# whole PATH: a path of the caller's, who may be elsewhere.
whole() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
export BITREEL_HOME=${BITREEL_HOME:-$PWD}
bitreel=$(whole "${BITREEL_BINARY:-$PWD/build/cpu/bitreel}")
tests=$(whole "${BITREEL_TESTS:-$PWD/build/cpu/tests/test_attention}")
seconds=${BITREEL_PART_SECONDS:-540}
results=$PWD/out/gpu
all_parts=(tests sanitizers bench bench-tails bench-other clip calibrate calibrate-2b compare)
prompt="a red circle moves right on a navy background"

die() { printf 'check.sh: %s\n' "$*" >&2; exit 2; }

# A part's function says why it can't run by `lacking`, and is skipped.
lacking() { printf 'skipped: %s\n' "$*"; exit 77; }

# Attention's tests with all tensors on the GPU.
part_tests() {
  BITREEL_TEST_DEVICE=cuda "$tests" --gtest_brief=1 --gtest_output="json:$results/tests.json" >"$results/tests.txt" 2>&1
  local status=$?
  grep -vE '^\[ +(OK|RUN)' "$results/tests.txt" | tail -n 60
  ! grep -q 'no GPU to test on\|SKIPPED.*CudaKernels' "$results/tests.txt" || { echo "tests were skipped"; return 1; }
  return "$status"
}

# Small calls of every recipe under each tool. initcheck watches all kernels: with a filter it takes what LibTorch's
# copies write for unwritten.
part_sanitizers() {
  local sanitizer tool failed=0
  sanitizer=$(command -v compute-sanitizer) || lacking "no compute-sanitizer in PATH"
  for tool in memcheck racecheck initcheck; do
    local filter=(--kernel-regex kns=bitreel)
    [[ $tool != initcheck ]] || filter=()
    BITREEL_TEST_DEVICE=cuda "$sanitizer" --tool "$tool" "${filter[@]}" --error-exitcode 1 --log-file "$results/$tool.txt" \
      "$tests" --gtest_brief=1 --gtest_filter='CudaKernels.RunEveryRecipe*' || failed=1
    printf '%s: ' "$tool"
    tail -n 1 "$results/$tool.txt"
  done
  return "$failed"
}

part_bench() {
  "$bitreel" bench attention --device cuda --output "$results/attention.json"
}

# Lengths around a tile's end, where a call is too short to fill the GPU.
part_bench-tails() {
  "$bitreel" bench attention configs/bench/attention-cuda-tails.yaml --device cuda --output "$results/attention-tails.json"
}

part_bench-other() {
  [[ -n ${BITREEL_OTHER_PLUGIN:-} ]] || lacking "BITREEL_OTHER_PLUGIN names no other build of the kernels"
  BITREEL_CUDA_PLUGIN=$BITREEL_OTHER_PLUGIN "$bitreel" bench attention --device cuda --output "$results/attention-other.json"
}

# The default clip in every precision, and 20 steps of it on both devices, since all 50 take processors minutes: in int8 they
# may differ no more than in full precision.
part_clip() {
  local device attention failed=0
  for attention in full int8 int4; do
    clip "$results/clip-cuda-$attention" --device cuda --attention "$attention" || failed=1
  done
  for device in cuda cpu; do
    for attention in full int8; do
      clip "$results/short-$device-$attention" --device "$device" --attention "$attention" --steps 20 || failed=1
    done
  done
  ((failed == 0)) || return 1
  python3 tests/gpu/latents_differ.py "$results"/short-{cuda,cpu}-full.safetensors "$results"/short-{cuda,cpu}-int8.safetensors
}
# clip NAME FLAG...: NAME.mp4, and its latents before decoding.
clip() {
  local name=$1
  shift
  "$bitreel" generate --prompt "$prompt" --seed 1 "$@" --output "$name.mp4" --save-latents "$name.safetensors" --progress plain
}

part_calibrate() {
  rm -f "$results"/{calibration.json,plan.yaml}  # it would go on with what it finds
  "$bitreel" calibrate --device cuda --output "$results/calibration.json" --plan "$results/plan.yaml" &&
    "$bitreel" generate --prompt "$prompt" --seed 1 --device cuda --attention "$results/plan.yaml" \
      --output "$results/clip-cuda-plan.mp4"
}

# 17,776 tokens through 30 layers of 30 heads: the default model's other parts bring a picture of 360x240 there.
part_calibrate-2b() {
  local model=$results/random-2b
  rm -f "$results"/{calibration-2b.json,plan-2b.yaml}
  [[ -e $model/model_index.json ]] || python3 tests/gpu/random_2b.py "$model" || return 1
  printf '%s\n' "$prompt" "a blue square moves up on a grey background" >"$results/two-prompts.txt"
  "$bitreel" calibrate --model "$model" --device cuda --width 360 --height 240 --num-frames 49 --steps 2 \
    --prompts "$results/two-prompts.txt" --output "$results/calibration-2b.json" --plan "$results/plan-2b.yaml"
  local status=$?
  rm -rf "$model"
  return "$status"
}

part_compare() {
  rm -rf "$results/compare"
  printf '%s\n' "$prompt" "a green triangle moves up on a grey background" >"$results/prompts.txt"
  "$bitreel" compare --prompts "$results/prompts.txt" --attention full --attention int8 --attention int4 --device cuda \
    --output "$results/compare"
}

# Why nothing can run here; empty when something can.
obstacle() {
  [[ -x $bitreel ]] || { echo "$bitreel is not there: build it, or name it by BITREEL_BINARY"; return; }
  [[ -x $tests ]] || { echo "$tests is not there: build it, or name it by BITREEL_TESTS"; return; }
  command -v nvidia-smi >/dev/null || { echo "no nvidia-smi, so no NVIDIA driver"; return; }
  nvidia-smi -L 2>&1 | grep -q '^GPU ' || echo "no GPU: $(nvidia-smi -L 2>&1 | head -n 1)"
}

parts=()
while (($#)); do
  case $1 in
    --results)
      (($# >= 2)) || die "--results needs a folder"
      results=$(whole "$2")
      shift 2
      ;;
    -*) die "unknown flag $1; flags: --results FOLDER" ;;
    *)
      [[ " ${all_parts[*]} " == *" $1 "* ]] || die "no part is called $1; parts: ${all_parts[*]}"
      parts+=("$1")
      shift
      ;;
  esac
done
((${#parts[@]})) || parts=("${all_parts[@]}")
mkdir -p "$results" || die "$results can't be made"

summary=$results/summary.txt
: >"$summary"
report() { printf '%-14s %-8s %5s s  %s\n' "$@" | tee -a "$summary"; }

missing=$(obstacle)
if [[ -n $missing ]]; then
  for part in "${parts[@]}"; do report "$part" skipped 0 "$missing"; done
  exit 1
fi

nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit,memory.total --format=csv | tee "$results/gpu.csv"
nvidia-smi --query-gpu=timestamp,clocks.sm,power.draw,temperature.gpu,memory.used,clocks_throttle_reasons.active \
  --format=csv -lms 200 >"$results/clocks.csv" 2>/dev/null &
watching=$!
trap 'kill "$watching" 2>/dev/null' EXIT

# Functions and settings, for the shell that `timeout` bounds.
export bitreel tests results prompt
for part in "${all_parts[@]}"; do export -f "part_$part"; done
export -f lacking clip

failed=0 ran=0
for part in "${parts[@]}"; do
  printf '\n== %s (%s)\n' "$part" "$(date -u +%H:%M:%S)"
  start=$SECONDS
  timeout --kill-after=10 "$seconds" bash -uo pipefail -c "part_$part" 2>&1 | tee "$results/$part.log"
  status=${PIPESTATUS[0]}
  took=$((SECONDS - start))
  last=$(grep -v '^$' "$results/$part.log" | tail -n 1 | cut -c 1-100)
  case $status in
    0) ran=1; report "$part" passed "$took" "" ;;
    77) report "$part" skipped "$took" "${last#skipped: }" ;;
    124 | 137) ran=1 failed=1; report "$part" FAILED "$took" "not done within $seconds s" ;;
    *) ran=1 failed=1; report "$part" FAILED "$took" "exit $status: $last" ;;
  esac
done
printf '\n== summary (%s)\n' "$results"
cat "$summary"
((ran && !failed))
