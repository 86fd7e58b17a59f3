#!/bin/sh
# One process of a training on several machines, started by srun or mpirun, which number the processes:
#
#     srun --nodes=2 --ntasks-per-node=2 --distribution=cyclic sh examples/cluster.sh --data DATA --run RUN --gpus 0,1
#
# Process 0 is the scheduler, the next DMLC_NUM_SERVER (1) are servers, the others workers. Under Slurm all else is taken
# from the step; under mpirun export DMLC_PS_ROOT_URI, the address of process 0's machine. The words are train's.
set -u

wrong() {
    echo "Error: $*" >&2
    exit 2
}

# Inside a Slurm job mpirun's processes have Slurm's variables, too, with other numbers: mpirun's come first.
rank=${OMPI_COMM_WORLD_RANK:-${SLURM_PROCID:-}}
count=${OMPI_COMM_WORLD_SIZE:-${SLURM_STEP_NUM_TASKS:-}}
if [ -z "$rank" ] || [ -z "$count" ]; then
    wrong "neither srun nor mpirun started this process (OMPI_COMM_WORLD_RANK and SLURM_STEP_NUM_TASKS are not set);" \
        "start it by one of them, or one machine's processes with alexnet-tools launch."
fi

servers=${DMLC_NUM_SERVER:-1}
case $servers in '' | *[!0-9]* | 0) wrong "DMLC_NUM_SERVER is '$servers'; it must be a whole number, 1 or more." ;; esac
workers=$((count - 1 - servers))
if [ "$workers" -lt 1 ]; then
    wrong "$count processes are too few for a scheduler, $servers server(s) and a worker; start at least $((servers + 2))."
fi

if [ -z "${DMLC_PS_ROOT_URI:-}" ]; then
    if [ -n "${OMPI_COMM_WORLD_RANK:-}" ] || [ -z "${SLURM_STEP_NODELIST:-}" ]; then
        wrong "process $rank: DMLC_PS_ROOT_URI (the address of process 0's machine) is not set; export it, and hand it" \
            "on with mpirun -x DMLC_PS_ROOT_URI."
    fi
    DMLC_PS_ROOT_URI=$(scontrol show hostnames "$SLURM_STEP_NODELIST" | head -n 1)
fi
# Two jobs may share a machine: each has a port of its own, below those that the system gives away.
DMLC_PS_ROOT_PORT=${DMLC_PS_ROOT_PORT:-$((20000 + ${SLURM_JOB_ID:-0} % 10000))}

if [ "$rank" -eq 0 ]; then
    DMLC_ROLE=scheduler
elif [ "$rank" -le "$servers" ]; then
    DMLC_ROLE=server
else
    DMLC_ROLE=worker
fi
DMLC_NUM_SERVER=$servers
DMLC_NUM_WORKER=$workers
export DMLC_ROLE DMLC_PS_ROOT_URI DMLC_PS_ROOT_PORT DMLC_NUM_SERVER DMLC_NUM_WORKER
exec alexnet-tools train --kvstore dist_sync "$@"
