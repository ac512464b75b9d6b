#!/usr/bin/env bash
# A batch on a real Slurm of one node, one array task killed and requeued on the way: every job is done, exactly once.
#
#   tests/app/batch/slurm.sh [build/cpu/bitreel]         # root; Debian: apt-get install slurm-wlm munge
#
# munged, slurmctld and slurmd run from a folder under /tmp with keys, ports and logs of their own; they are stopped at
# the end and touch no other Slurm. Not part of ./dev test. Exit code 77 where there is no Slurm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
BITREEL=$(realpath "${1:-build/cpu/bitreel}")
export BITREEL
for tool in munged slurmctld slurmd sbatch; do
  command -v $tool >/dev/null && continue
  echo "skipped: there is no $tool (Debian: apt-get install slurm-wlm munge)"
  exit 77
done
((EUID == 0)) || { echo "skipped: slurmd wants root"; exit 77; }

work=$(mktemp -d /tmp/bitreel-slurm-XXXXXX)
daemons=()
cleanup() {
  local code=$?
  ((code == 0)) || tail -n 20 "$work"/*.log >&2
  ((${#daemons[@]} == 0)) || kill "${daemons[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  ((code == 0)) && rm -rf "$work" || echo "logs are in $work" >&2
}
trap cleanup EXIT

step() { printf '== %s\n' "$*"; }
wait_for() {  # wait_for SECONDS WHAT COMMAND...
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { echo "no $what" >&2; exit 1; }
    sleep 0.2
  done
}

step "a cluster of one node"
mkdir "$work"/{munge,state,spool}
chmod 755 "$work"
dd if=/dev/urandom of="$work/munge/key" bs=1024 count=1 status=none
chmod 400 "$work/munge/key"
munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge/socket" \
  --pid-file="$work/munge/pid" --log-file="$work/munged.log" --seed-file="$work/munge/seed" 2>>"$work/munged.log" &
daemons+=($!)
node=$(hostname -s)
port=$((20000 + RANDOM % 20000))
cat >"$work/slurm.conf" <<END
ClusterName=bitreel
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ReturnToService=2
KillWait=5
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF=$work/slurm.conf
wait_for 20 "munge socket" test -S "$work/munge/socket"
slurmctld -D -c &>>"$work/slurmctld.log" &
daemons+=($!)
slurmd -D -c &>>"$work/slurmd.log" &
daemons+=($!)
wait_for 60 "idle node" bash -c 'sinfo -h -o %t | grep -q idle'

step "eight jobs in two shards"
cat >"$work/jobs.yaml" <<END
defaults: {model: $PWD/tests/golden/cog2b/model, steps: 400, device: cpu, no_metadata: true}
jobs:
  - {name: circle, prompt: "a red circle", seed: [1, 2, 3, 4]}
  - {name: star, prompt: "a blue star", seed: [1, 2, 3, 4]}
output: "{name}-{seed}.mkv"
END
out=$work/out
array=$(sbatch --parsable --array=1-2 --cpus-per-task=1 --mem=0 --chdir="$work" \
  configs/cluster/slurm-array.sh "$work/jobs.yaml" "$out")

step "task 2 is killed in the middle of a clip, and requeued"
wait_for 120 "started job in shard 2" grep -q '"started"' "$out/ledger.2-of-2.jsonl"
sleep 1
scontrol requeue "${array}_2"
# Slurm gives a requeued job two minutes to rest, for its node to forget the killed one; some seconds will do.
wait_for 60 "requeued task" bash -c "squeue -h -j ${array}_2 -o %T | grep -q PENDING"
scontrol update JobId="${array}_2" StartTime=now+10
restarted() { [[ $(squeue -h -j "${array}_2" -o %T) != PENDING ]]; }
wait_for 180 "restart" restarted
finished() { [[ -z $(squeue -h -j "$array" -o %T) ]]; }
wait_for 600 "end of the array" finished

step "one result of both"
"$BITREEL" batch "$work/jobs.yaml" --output "$out" --collect
grep -H '"taken up again\|already\|done by an earlier run' "$work"/bitreel-*.log || true
python3 - "$out" <<'END'
import collections, json, pathlib, sys
out = pathlib.Path(sys.argv[1])
lines = [json.loads(line) for ledger in sorted(out.glob("ledger.*.jsonl")) for line in ledger.read_text().splitlines()]
done = collections.Counter(line["key"] for line in lines if line["state"] == "done")
started = collections.Counter(line["key"] for line in lines if line["state"] == "started")
counts = json.loads((out / "results.json").read_text())["counts"]
assert counts == {"done": 8, "failed": 0, "skipped": 0, "missing": 0}, counts
assert len(done) == 8 and set(done.values()) == {1}, f"every job is done exactly once: {done}"
assert sum(started.values()) == 9, f"one job was begun twice, as its task was killed: {started}"
pids = {(line["host"], line["pid"]) for line in lines}
assert len(pids) == 3, f"two tasks and the second one again: {pids}"
print(f"8 jobs done exactly once by {len(pids)} processes; the killed one was begun twice")
END
