"""examples/cluster.sh and examples/slurm.sh: which process is what, and what is said where a variable is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.processes import free_port

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SLURM = {"SLURM_STEP_NUM_TASKS": "6", "SLURM_STEP_NODELIST": "n[1-3]", "SLURM_JOB_ID": "41234"}
MPI = {"OMPI_COMM_WORLD_SIZE": "4", "DMLC_PS_ROOT_URI": "10.0.0.7"}
SHOWN = ("DMLC_ROLE", "DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER")


@pytest.fixture
def call(tmp_path):
    """A function that runs a script with programs that print what they were told, and no other variables."""
    stand_ins = {
        "alexnet-tools": f'echo {" ".join(f"${name}" for name in SHOWN)} "$@"',
        "scontrol": '[ "$1" = show ] && printf "n1\\nn2\\nn3\\n" || echo "scontrol $*"',
        "srun": 'echo "srun $*; $DMLC_NUM_SERVER servers"; exit ${CODE:-0}',
    }
    for name, line in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)

    def run(script, environment, *words):
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", EXAMPLES / script, *words], env={**path, **environment}, cwd=tmp_path, capture_output=True, text=True
        )
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    return run


@pytest.mark.parametrize(
    ("rank", "role"), list(enumerate(["scheduler", "server", "server", "worker", "worker", "worker"]))
)
def test_under_slurm_the_step_says_all(call, rank, role):
    environment = {**SLURM, "SLURM_PROCID": str(rank), "DMLC_NUM_SERVER": "2"}
    code, said, _ = call("cluster.sh", environment, "--run", "runs/a b")
    assert (code, said) == (0, f"{role} n1 21234 3 2 train --kvstore dist_sync --run runs/a b")


@pytest.mark.parametrize(("rank", "role"), list(enumerate(["scheduler", "server", "worker", "worker"])))
@pytest.mark.parametrize("around", [{}, {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_ID": "3"}])
def test_mpirun_s_numbers_come_before_those_of_a_slurm_job_around_it(call, rank, role, around):
    code, said, _ = call("cluster.sh", {**MPI, **around, "OMPI_COMM_WORLD_RANK": str(rank)})
    assert (code, said.split(" train")[0]) == (0, f"{role} 10.0.0.7 {20003 if around else 20000} 2 1")


@pytest.mark.parametrize(("environment", "sentence"), [
    ({}, "neither srun nor mpirun started this process"),
    ({"SLURM_PROCID": "0"}, "neither srun nor mpirun started this process"),  # a job's script, before srun
    ({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}, "process 2: DMLC_PS_ROOT_URI (the address of"),
    ({**SLURM, "SLURM_PROCID": "0", "DMLC_NUM_SERVER": "5"}, "6 processes are too few for a scheduler, 5 server(s)"),
    ({**SLURM, "SLURM_PROCID": "0", "DMLC_NUM_SERVER": "two"}, "DMLC_NUM_SERVER is 'two'; it must be a whole number"),
])  # fmt: skip
def test_what_is_missing_is_one_sentence(call, environment, sentence):
    code, said, error = call("cluster.sh", environment)
    assert (code, said) == (2, "")
    assert error.startswith(f"Error: {sentence}") and error.count("\n") == 0


def test_a_slurm_job_begins_a_run_goes_on_with_it_and_is_queued_again(call, tmp_path):
    assert call("slurm.sh", {})[::2] == (
        2,
        "Error: RUN (the run's folder) is not set; RUN=runs/NAME sbatch examples/slurm.sh.",
    )
    job = {"RUN": "runs/a", "BEGIN": "--recipe narrow", "ALWAYS": "--cpus 0", "SLURM_JOB_NUM_NODES": "4"}
    job["SLURM_JOB_ID"] = "77"
    words = "srun sh examples/cluster.sh --run runs/a {} --cpus 0; 3 servers"
    assert call("slurm.sh", job)[:2] == (0, words.format("--recipe narrow"))
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/recipe.json").touch()
    assert call("slurm.sh", job)[:2] == (0, words.format("--resume"))
    assert call("slurm.sh", {**job, "CODE": "143"})[:2] == (143, words.format("--resume") + "\nscontrol requeue 77")
    assert call("slurm.sh", {**job, "CODE": "1"})[:2] == (1, words.format("--resume"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun (Debian: openmpi-bin)")
def test_mpirun_starts_a_training_that_learns_what_launch_learns(tmp_path):
    """The same bits: each of two workers has its seed, and two gradients have one sum."""
    import numpy as np
    from helpers.images import packed

    from gluon_alexnet.training import checkpoint

    words = ["--data", packed(tmp_path, images=10), "--recipe", "narrow", "--cpus", 0, "--batch-size", 8, "--epochs", 1]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    mpi = {"DMLC_PS_ROOT_URI": "127.0.0.1", "DMLC_PS_ROOT_PORT": str(free_port()), "OMPI_ALLOW_RUN_AS_ROOT": "1"}
    commands = {
        "launched": ["alexnet-tools", "launch", "--workers", 2, "--", "train"],
        "mpi": ["mpirun", "-n", 4, "--oversubscribe", "--bind-to", "none", "sh", EXAMPLES / "cluster.sh"],
    }
    for name, command in commands.items():
        subprocess.run(
            [str(word) for word in [*command, *words, "--run", tmp_path / name]],
            env={**environment, **(mpi if name == "mpi" else {}), "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"},
            check=True,
            timeout=200,
        )
    launched, started = (checkpoint.load((tmp_path / name / "latest").resolve())[1:] for name in commands)
    for one, other in zip(launched, started):
        for name, value in one.items():
            assert np.array_equal(other[name].asnumpy(), value.asnumpy()), name
