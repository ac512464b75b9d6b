#!/usr/bin/env bash
# What a clip takes on an NVIDIA GPU, checked and measured in one command:
#
#   tests/gpu/step.sh [--results FOLDER] [PART...]      # all but `compiled` when none is named; after ./dev build --cuda
#
#   goldens   every golden of the denoiser, its kernels, 8-bit products and the decoder, on the GPU
#   step      bitreel bench step (configs/bench/step.yaml) -> step.json
#   graphs    the same recorded and launched (configs/bench/graphs.yaml) -> graphs.json, and clips whose bits have to agree
#   joint     a step of UniDiffuser (configs/bench/unidiffuser.yaml), and diffusers' -> joint.json, joint-peer.json
#   tokens    cost against tokens (configs/bench/tokens.yaml) -> tokens.json
#   vae       bitreel bench vae (configs/bench/vae.yaml) -> vae.json
#   peer      diffusers on the same shapes -> step-peer.json, vae-peer.json (BITREEL_PEER: a Python that has it)
#   compiled  diffusers compiled, with SageAttention, beside a step of 2b and 5b (configs/bench/compiled.yaml), where its
#             Python has the sageattention package -> compiled.json, compiled-peer.json; only when it is named
#   memory    a 5b clip of 720x480x49 in 12 GiB: --offload, --weights fp8, plans beside peaks (a random checkpoint of
#             21 GB is written to FOLDER and removed; BITREEL_MEMORY_MODEL: one that is there), what a step takes so
#             (configs/bench/offload.yaml) -> offload.json; how soon it comes to its first step (start.py) -> start.json
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
((${#parts[@]})) || parts=(goldens step graphs joint tokens vae peer memory clip)
mkdir -p "$results"
: >"$results/summary.txt"

part_goldens() {
  BITREEL_TEST_DEVICE=$device "$tests" --gtest_brief=1 --gtest_output="json:$results/goldens.json"
}

part_step() { "$bitreel" bench step "$step_cases" --device "$device" --output "$results/step.json"; }

# And clips of the default model, whose bits recording has to leave as they are: of one row, of several, of a guard's.
part_graphs() {
  local status=0 name how
  local -A flags=([full]="" [int8]="--attention int8" [rows]="--attention first-last:3=full,rest=int8"
    [guarded]="--attention int4 --guard --guard-bound 0.0001")
  "$bitreel" bench step "${BITREEL_GRAPH_CASES:-configs/bench/graphs.yaml}" --device "$device" --output "$results/graphs.json" || status=1
  for name in full int8 rows guarded; do
    for how in launched recorded; do
      # shellcheck disable=SC2086  # flags are words
      "$bitreel" generate --prompt "a red circle moves right on a navy background" --seed 1 --device "$device" \
        --steps "${BITREEL_STEP_STEPS:-50}" ${flags[$name]} "$([[ $how == recorded ]] && echo --cuda-graph || echo --no-cuda-graph)" --force \
        --output "$results/$name-$how.mp4" --save-latents "$results/$name-$how.safetensors" --progress plain || status=1
    done
    same_latents "$results/$name"-{launched,recorded}.safetensors || status=1
  done
  python3 -c 'import json, sys
status = 0
for name in sys.argv[2:]:
    clips = [json.load(open(f"{sys.argv[1]}/{name}-{how}.mp4.json")) for how in ("launched", "recorded")]
    for clip in clips: print(name, clip["run"]["cuda_graphs"], clip["seconds"])
    if clips[0]["attention"] != clips[1]["attention"]:
        print(name, "DIFFERS in what attended:", *(clip["attention"]["ran"] for clip in clips))
        status = 1
sys.exit(status)' "$results" full int8 rows guarded || status=1
  return "$status"
}

part_joint() {
  "$bitreel" bench step "${BITREEL_JOINT_CASES:-configs/bench/unidiffuser.yaml}" --device "$device" --output "$results/joint.json" &&
    peer_beside joint
}

part_tokens() { "$bitreel" bench step configs/bench/tokens.yaml --device "$device" --output "$results/tokens.json"; }

part_vae() { "$bitreel" bench vae "$vae_cases" --device "$device" --output "$results/vae.json"; }

part_peer() {
  local status=0
  peer_beside step || status=1
  peer_beside vae || status=1
  return "$status"
}
# peer_beside NAME [FLAG...]: diffusers on the cases of NAME.json.
peer_beside() {
  [[ -e $results/$1.json ]] || { echo "no $results/$1.json to stand beside"; return 1; }
  "$peer" tests/oracle/step_peer.py "$results/$1.json" --device "$device" --output "$results/$1-peer.json" "${@:2}"
}

part_compiled() {
  "$bitreel" bench step configs/bench/compiled.yaml --device "$device" --output "$results/compiled.json" &&
    peer_beside compiled --sage --compile CogVideoX-2b CogVideoX-5b
}

# Two steps each, of one seed: offload has to give the bits of none, and the plan has to refuse what does not fit.
part_memory() {
  local status=0 name model=${BITREEL_MEMORY_MODEL:-$results/random-5b} out=$results/memory
  local -A flags=([none]="" [layers]="--offload layers" [layers-12]="--offload layers --gpu-memory-limit 12"
    [fp8-12]="--weights fp8 --gpu-memory-limit 12" [fp8-layers-12]="--weights fp8 --offload layers --gpu-memory-limit 12 --vae-tiling auto")
  mkdir -p "$out"
  [[ -e $model/model_index.json ]] || python3 tests/gpu/random_published.py "$model" || return 1
  local clip=(generate --model "$model" --prompt "a red circle moves right" --seed 1 --device "$device" --steps 2
    --progress json)
  for name in none layers layers-12 fp8-12 fp8-layers-12; do
    # shellcheck disable=SC2086  # flags are words
    "$bitreel" "${clip[@]}" ${flags[$name]} --output "$out/$name.mp4" --save-latents "$out/$name.safetensors" \
      >"$out/$name.jsonl" || { echo "$name failed"; status=1; }
  done
  BITREEL_BINARY=$bitreel python3 tests/gpu/start.py "$model" --device "$device" --num-frames 9 --output "$results/start.json" || status=1
  if "$bitreel" "${clip[@]}" --gpu-memory-limit 12 --output "$out/refused.mp4" >/dev/null 2>"$out/refused.txt"; then
    echo "13 GiB were planned within 12"; status=1
  fi
  cat "$out/refused.txt"
  python3 tests/gpu/memory.py "$out" none layers || status=1
  python3 tests/gpu/memory.py "$out" layers-12 fp8-12 fp8-layers-12 --limit 12 || status=1
  for name in layers layers-12; do same_latents "$out/none.safetensors" "$out/$name.safetensors" || status=1; done
  same_latents "$out/fp8-12.safetensors" "$out/fp8-layers-12.safetensors" || status=1
  printf 'defaults: {model: "%s", steps: 2, num_frames: 9, device: %s, offload: model}\njobs:\n  - {prompt: ["a red circle", "a blue star", "a ring"], seed: 1}\noutput: "{index}.mp4"\n' \
    "$(realpath "$model")" "$device" >"$out/jobs.yaml"
  rm -rf "$out/batch"
  "$bitreel" batch "$out/jobs.yaml" --batch-size 1 --output "$out/batch" || status=1
  python3 -c 'import json, sys
for file in sys.argv[1:]:
    clip = json.load(open(file))
    print(file, clip["run"]["offload"], {k: round(v / 2**30, 2) for k, v in clip["phase_device_memory_bytes"].items()}, clip["seconds"])' "$out"/batch/*.mp4.json || status=1
  [[ -n ${BITREEL_MEMORY_MODEL:-} ]] || rm -rf "$model"
  "$bitreel" bench step "${BITREEL_OFFLOAD_CASES:-configs/bench/offload.yaml}" --device "$device" --output "$results/offload.json" || status=1
  return "$status"
}
# same_latents A B: the tensors' bytes, whatever the metadata says.
same_latents() {
  python3 -c 'import json, sys
def tensors(path):
    data = open(path, "rb").read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    return {name: data[8 + size:][slice(*entry["data_offsets"])] for name, entry in header.items() if name != "__metadata__"}
a, b = map(tensors, sys.argv[1:])
same = a == b
print(sys.argv[2], "has the bits of" if same else "DIFFERS from", sys.argv[1])
sys.exit(not same)' "$1" "$2"
}

part_clip() {
  local status=0 name
  local -A flags=([full]="" [composed]="--elementwise composed" [int8]="--attention int8"
    [linear-int8]="--linear int8" [linear-fp8]="--linear fp8" [linear-fp8-plain]="--linear fp8 --linear-path plain"
    [planar]="--vae-layout planar" [launched]="--no-cuda-graph")
  for name in "${!flags[@]}"; do
    # shellcheck disable=SC2086  # flags are words
    "$bitreel" generate --prompt "a red circle moves right on a navy background" --seed 1 --device "$device" \
      --steps "${BITREEL_STEP_STEPS:-50}" ${flags[$name]} --output "$results/clip-$name.mp4" --progress plain || status=1
  done
  "$bitreel" compare "$results"/clip-full.mp4 "$results"/clip-{composed,int8,linear-int8}.mp4 \
    "$results"/clip-{linear-fp8,linear-fp8-plain,planar,launched}.mp4 --output "$results/compare" || status=1
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
