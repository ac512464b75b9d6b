#!/usr/bin/env bash
# One batch on a Slurm array, a shard for each task:
#
#   array=$(sbatch --parsable --array=1-4 configs/cluster/slurm-array.sh jobs.yaml /shared/out)
#   sbatch --dependency=afterany:$array --wrap "bitreel batch jobs.yaml --output /shared/out --collect"
#
# bitreel takes K and N from SLURM_ARRAY_TASK_ID, _MIN, _STEP and _COUNT: submit the same range again after changes, or
# give --shard K/N. The folder must be on a file system that all nodes share. A task that is killed, preempted or runs
# into its time limit goes on where it was: a second of denoising is lost at most.
#SBATCH --job-name=bitreel
#SBATCH --output=bitreel-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@60
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
set -uo pipefail
jobs=${1:?the file of jobs} output=${2:?the folder for clips}
shift 2

srun --kill-on-bad-exit=0 "${BITREEL:-bitreel}" batch "$jobs" --output "$output" --progress plain "$@"
code=$?
# 128 + TERM: the time limit is near, and the work so far is kept.
if ((code == 143)); then scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"; fi
exit $code
