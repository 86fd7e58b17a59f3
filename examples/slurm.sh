#!/bin/sh
# A training that Slurm may stop and start again: it goes on from its last checkpoint.
#
#     RUN=runs/big BEGIN="--recipe paper --batch-size 256" ALWAYS="--data DATA --gpus 0,1" sbatch examples/slurm.sh
#
# BEGIN: options of train that a run keeps. ALWAYS: options that each start is told. With two processes a node, dealt out
# in turn, each node has a worker and beside it a server, or the scheduler.
#SBATCH --job-name=alexnet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --distribution=cyclic
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120
set -u

if [ -z "${RUN:-}" ]; then
    echo "Error: RUN (the run's folder) is not set; RUN=runs/NAME sbatch examples/slurm.sh." >&2
    exit 2
fi
export DMLC_NUM_SERVER="${DMLC_NUM_SERVER:-$((SLURM_JOB_NUM_NODES - 1))}"
if [ -e "$RUN/recipe.json" ]; then
    set -- --resume
else
    set -- ${BEGIN:-}
fi
srun sh examples/cluster.sh --run "$RUN" "$@" ${ALWAYS:-}
code=$?
# 143: SIGTERM, two minutes before the end of the job's time; the workers have saved, and there is more to learn.
if [ "$code" -eq 143 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
