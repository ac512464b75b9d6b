#!/usr/bin/env bash
# What the judge says of the joint model's pictures and captions, with the floors that they are held to.
#
#   assets/pocket-joint/evidence/judge.sh build/cpu/bitreel FOLDER
#
# FOLDER is what recipe/sample_joint.py made: t2i, i2t, variation, joint. The scores are written beside them,
# judge-*.json. Every mode is judged; the script ends with 1 when one of them missed a floor.
set -uo pipefail
bitreel=${1:?the program} folder=${2:?what sample_joint.py made}
prompts=$(dirname "$0")/../../prompts
missed=0

judge() {  # judge NAME FLOORS FILES AND FLAGS
  printf '\n== %s, at least %s\n' "$1" "$2"
  "$bitreel" judge "${@:3}" --output "$folder/judge-$1.json" --at-least "$2" > "$folder/judge-$1.txt" || missed=1
  grep -A 9 '^ .*colour' "$folder/judge-$1.txt"
}

judge t2i one.colour=98,one.shape=95,one.background=98 "$folder"/t2i/*.png --prompts "$prompts/unseen-stills.json"
judge i2t one.colour=95,one.shape=95,one.all=90 "$folder"/i2t/*.txt --prompts "$prompts/unseen-pictures.json"
judge joint one.all=90 "$folder"/joint/*.png --own-captions
judge variation one.colour=85,one.shape=85 "$folder"/variation/*.png --prompts "$prompts/unseen-pictures.json"
exit $missed
