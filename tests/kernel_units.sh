#!/usr/bin/env bash
# kernel_units.sh NM UNITS LIBRARY...: whether the units that are compiled once for each instruction set keep their code
# to themselves (attention/cpu/kernels.h). A weak symbol in one of them could be what the linker gives to all others,
# and a processor without its instructions would stop there. UNITS: how many there have to be.
set -euo pipefail
nm=$1 units=$2
shift 2
symbols=$("$nm" -A -C --defined-only "$@" | grep -E ':(kernels|rows|products)_[a-z0-9_]+\.cpp\.o:')
found=$(cut -d: -f2 <<<"$symbols" | sort -u | wc -l)
[[ $found == "$units" ]] || { echo "expected $units units of kernels, found $found in $*"; exit 1; }
shared=$(grep -vE ' [a-z] |kernels\(\)$' <<<"$symbols" || true)
[[ -z $shared ]] || { echo "not static, nor a template over the unit's own type:"; echo "$shared"; exit 1; }
