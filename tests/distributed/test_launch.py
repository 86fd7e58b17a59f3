"""Trainings by several processes: what the environment must say, `launch`, and what happens when one is lost."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.images import packed
from helpers.processes import Processes, free_port
from helpers.runner import run

from gluon_alexnet.distributed import process_group as jobs
from gluon_alexnet.distributed.collectives import SingleWorker, WorkerGroup
from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.recipes import presets

TOOLS = [sys.executable, "-m", "gluon_alexnet.tools.main"]
GOOD = {
    "DMLC_ROLE": "worker",
    "DMLC_PS_ROOT_URI": "127.0.0.1",
    "DMLC_PS_ROOT_PORT": "9091",
    "DMLC_NUM_WORKER": "2",
    "DMLC_NUM_SERVER": "1",
}


@pytest.fixture
def environment(monkeypatch):
    for name in ("DMLC_NODE_HOST", "PS_HEARTBEAT_INTERVAL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    yield monkeypatch
    for name in ("DMLC_NODE_HOST", "PS_HEARTBEAT_INTERVAL"):
        os.environ.pop(name, None)


def test_the_variables_of_a_job(environment):
    environment.setenv("DMLC_PS_ROOT_URI", "localhost")
    assert jobs.read_job() == jobs.Job("worker", "127.0.0.1", 9091, 2, 1)


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_variable_is_named(environment, name):
    environment.delenv(name)
    with pytest.raises(InvalidRequest, match=rf"^{name} \(.*\) is not set"):
        jobs.read_job()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DMLC_ROLE", "master"),
        ("DMLC_PS_ROOT_PORT", "70000"),
        ("DMLC_PS_ROOT_PORT", "http"),
        ("DMLC_NUM_WORKER", "0"),
        ("DMLC_NUM_SERVER", "-1"),
        ("DMLC_PS_ROOT_URI", "no.such.host.invalid"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(InvalidRequest, match=f"^{name} .*is '{value}'"):
        jobs.read_job()


def test_a_scheduler_that_is_not_there_is_a_sentence(environment):
    environment.setenv("DMLC_PS_ROOT_PORT", str(free_port()))
    environment.setattr(jobs, "REACH_SECONDS", 0.5)
    with (
        pytest.raises(OperationFailed, match=r"No scheduler answers at 127\.0\.0\.1:\d+ .*Connection refused"),
        jobs.joined(jobs.read_job(), "dist_sync", print),
    ):
        pass
    assert jobs.REACH_SECONDS + jobs.HEARTBEAT_SECONDS < 60


def test_a_scheduler_whose_port_is_taken_says_so(environment):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment.setenv("DMLC_PS_ROOT_PORT", str(taken.getsockname()[1]))
        environment.setenv("DMLC_ROLE", "scheduler")
        with pytest.raises(OperationFailed, match=r"cannot listen at .*Address already in use"):
            jobs.serve(jobs.read_job(), print)


@pytest.mark.parametrize(("role", "silent", "sentence"), [
    ("worker", "scheduler", "The scheduler at 127.0.0.1:9091 is gone"),
    ("server", "scheduler", "The scheduler at 127.0.0.1:9091 is gone"),
    ("scheduler", "worker", "1 of 2 workers gave no sign of life for 18 s; the job ends"),
    ("scheduler", "server", "1 of 1 servers gave no sign of life for 18 s; the job ends"),
    ("worker", "worker", None),  # that is the scheduler's business, whose end is seen then
    ("worker", None, None),
])  # fmt: skip
def test_who_is_lost_is_said_and_the_process_ends(monkeypatch, role, silent, sentence):
    """With a clock and heartbeats of our own: MXNet's own tell only after half a minute."""
    groups = {1: "scheduler", 2: "server", 4: "worker", 7: "all"}  # ps-lite's numbers
    now, said, codes = [100.0], [], []
    monkeypatch.delenv("PS_HEARTBEAT_TIMEOUT", raising=False)
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(jobs, "os", SimpleNamespace(environ=os.environ, _exit=codes.append))
    watch = jobs._Watch(jobs.Job(role, "127.0.0.1", 9091, 2, 1), said.append, handle=object())
    present = [False]
    monkeypatch.setattr(watch, "_silent", lambda group, seconds: (
        int(present[0]) if groups[group] == "all" else int(groups[group] == silent and now[0] > 200)
    ))  # fmt: skip
    watch.look()
    assert not watch.joined
    present[0] = True
    watch.look()
    assert watch.joined
    now[0] = 150.0  # all are alive
    watch.look()
    assert (said, codes) == ([], [])
    now[0] = 250.0
    watch.look()
    if sentence is None:
        assert (said, codes) == ([], [])
        return
    assert codes == [1]
    assert said[0].startswith(f"Error: {sentence}") and "from its last checkpoint" in said[0]


def test_processes_that_do_not_come_are_waited_for_and_then_given_up(monkeypatch):
    now, said, codes = [0.0], [], []
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(jobs, "os", SimpleNamespace(environ=os.environ, _exit=codes.append))
    watch = jobs._Watch(jobs.Job("worker", "127.0.0.1", 9091, 2, 1), said.append)
    for now[0] in (10.0, jobs.NOTICE_SECONDS + 1):
        watch.look()
    sentence = "Not all of the job's 2 workers and 1 servers have come to 127.0.0.1:9091"
    assert (said, codes) == ([f"{sentence}; waiting."], [])
    now[0] = jobs.JOIN_SECONDS + 1
    watch.look()
    assert codes == [1] and said[1].startswith(f"Error: {sentence} after 300 s")


def refused(*words):
    return run(*words, code=2)


def test_train_says_what_a_job_needs(monkeypatch):
    for name in GOOD:
        monkeypatch.delenv(name, raising=False)
    assert "DMLC_ROLE (scheduler, server or worker) is not set" in refused("train", "--kvstore", "dist_sync")
    monkeypatch.setenv("DMLC_ROLE", "server")
    assert "say dist_sync as --kvstore, or unset DMLC_ROLE" in refused("train")


def test_more_workers_than_images_in_a_batch_are_refused(environment, tmp_path):
    data = packed(tmp_path, images=2)
    words = ["train", "--kvstore", "dist_sync", "--data", data, "--recipe", "narrow", "--cpus", 0, "--batch-size", 4]
    environment.setenv("DMLC_NUM_WORKER", "5")
    environment.setattr(jobs, "reach", lambda job: None)
    assert "more workers (5) than images in a batch of 4" in refused(*words)


def test_launch_checks_the_command_before_it_starts_anything():
    assert "after -- comes `train`" in refused("launch", "--workers", 2, "--", "eval")
    assert "No such option" in refused("launch", "--workers", 2, "--", "train", "--wrokers", 3)
    assert "--workers" in refused("launch", "--workers", 0, "--", "train")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """30 training and 6 validation images of three classes."""
    return packed(tmp_path_factory.mktemp("data"), images=10)


def train_words(data, run, *more):
    words = ["--data", data, "--run", run, "--recipe", "narrow", "--variant", "no-dropout", "--cpus", "0"]
    return ["train", *words, "--batch-size", "8", "--lr", "0.001", *more]


def call(*words, code=0):
    done = subprocess.run(
        [*TOOLS, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def epochs(run):
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == "epoch"]


def same_parameters(left, right):
    from gluon_alexnet.training import checkpoint

    for one, other in zip(
        checkpoint.load((left / "latest").resolve())[1:], checkpoint.load((right / "latest").resolve())[1:]
    ):
        assert set(one) == set(other)
        for name, value in one.items():
            largest = np.abs(value.asnumpy()).max()
            np.testing.assert_allclose(
                other[name].asnumpy(), value.asnumpy(), rtol=0, atol=2e-3 * largest, err_msg=name
            )


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("alone") / "run"
    call(*train_words(data, run, "--epochs", 2))
    return run


class Nth(SingleWorker):
    """A worker's part of the data, without a job."""

    def __init__(self, rank, count):
        self.rank, self.count = rank, count

    part = WorkerGroup.part


@pytest.mark.parametrize("position", [0, 8, 29, 30])
def test_the_workers_read_each_batch_between_them(data, position):
    """From any position; of 30 images in batches of 8 the last has 6, and a worker of four may have none."""
    from gluon_alexnet.workflows.training_data import TrainingData

    narrow = presets.RECIPES["narrow"]
    one = dataclasses.replace(narrow, learning=dataclasses.replace(narrow.learning, batch_size=8))
    whole, *readers = (
        TrainingData(data, one, 3, "stop", worker).data for worker in (SingleWorker(), *(Nth(n, 4) for n in range(4)))
    )
    expected = list(whole.epoch(1, position))
    assert sum(len(labels) for _, labels, _ in expected) == 30 - position
    found = [list(reader.epoch(1, position)) for reader in readers]
    for number, (crops, labels, skipped) in enumerate(expected):
        parts = [batches[number] for batches in found]
        assert np.concatenate([part[0] for part in parts]).tobytes() == crops.tobytes()
        assert np.concatenate([part[1] for part in parts]).tolist() == labels.tolist()
        assert [part[2] for part in parts] == [skipped] * 4 == [0] * 4
    assert {len(batches) for batches in found} == {len(expected)}
    ids = np.concatenate([batch.ids for reader in readers for batch in reader.validation()])
    assert sorted(ids.tolist()) == list(range(6))


@pytest.mark.slow
def test_launched_workers_train_what_one_process_trains(data, alone, tmp_path):
    said = call("launch", "--workers", 2, "--", *train_words(data, tmp_path / "run", "--epochs", 2))
    assert said.count("epoch 1/2: loss ") == 1  # the first worker speaks
    assert "with 2 workers" in said
    same_parameters(alone, tmp_path / "run")
    for one, other in zip(epochs(alone), epochs(tmp_path / "run")):
        assert (one["images"], one["validation_images"]) == (30, 6)
        for name in ("images", "validation_images", "step", "skipped"):
            assert one[name] == other[name], name
        assert other["training_loss"] == pytest.approx(one["training_loss"], rel=1e-4)


@pytest.mark.slow
def test_a_job_that_was_stopped_goes_on_with_another_number_of_workers(data, alone, tmp_path):
    """Stopped through one worker, both stop at one step, and the whole is as if one process had done it."""
    run = tmp_path / "run"
    words = [*TOOLS, *train_words(data, run, "--epochs", 2), "--kvstore", "dist_sync"]
    with Processes(words) as job:
        while not (run / "latest").exists():  # of the first update's start
            assert job.workers[0].poll() is None
            time.sleep(0.05)
        job.workers[0].send_signal(signal.SIGTERM)
        ended = job.ended(60)
    assert [code for code, _ in ended] == [143, 143, 0, 0], ended
    assert sum("continue with: alexnet-tools train --resume" in output for _, output in ended) == 1
    call("train", "--resume", "--run", run, "--cpus", 0)
    same_parameters(alone, run)
    assert [epoch["images"] for epoch in epochs(run)] == [30, 30]


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["a worker", "a server"])
def test_a_killed_process_ends_a_job_started_by_hand_within_a_minute(data, tmp_path, victim):
    run = tmp_path / "run"
    with Processes([*TOOLS, *train_words(data, run, "--epochs", 400), "--kvstore", "dist_sync"]) as job:
        while not (run / "latest").exists():
            time.sleep(0.05)
        killed = job.workers[1] if victim == "a worker" else job.others[1]
        killed.kill()
        began = time.monotonic()
        ended = job.ended(60)
    print(f"{time.monotonic() - began:.1f} s")
    codes = [code for code, _ in ended]
    assert codes == ([1, -9, 1, 1] if victim == "a worker" else [1, 1, 1, -9]), ended
    said = ended[2][1]  # the scheduler's
    assert f"1 of {2 if victim == 'a worker' else 1} {victim.split()[1]}s gave no sign of life" in said
    assert "is gone, as it is when another process of the job was lost" in ended[0][1]
    assert "Traceback" not in "".join(output for _, output in ended)
    call("train", "--resume", "--run", run, "--cpus", 0, "--epochs", 1)


@pytest.mark.slow
def test_launch_ends_everything_when_a_worker_is_killed(data, tmp_path):
    run = tmp_path / "run"
    words = ["launch", "--workers", 2, "--", *train_words(data, run, "--epochs", 400)]
    launched = subprocess.Popen([*TOOLS, *map(str, words)], stderr=subprocess.PIPE, text=True)
    try:
        while not (run / "latest").exists():
            time.sleep(0.05)
        children = Path(f"/proc/{launched.pid}/task/{launched.pid}/children").read_text().split()
        assert len(children) == 4
        os.kill(int(children[-1]), signal.SIGKILL)
        _, said = launched.communicate(timeout=60)
    finally:
        launched.kill()
    assert launched.returncode == 1
    assert f"A worker (process {children[-1]}) was ended by SIGKILL; the job is over." in said
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    call("launch", "--workers", 2, "--", "train", "--resume", "--run", run, "--cpus", 0, "--epochs", 1)
    assert epochs(run)


@pytest.mark.slow
def test_workers_with_different_recipes_are_refused(data, tmp_path):
    def words(number):
        return [
            *TOOLS, *train_words(data, tmp_path / "run", "--epochs", 2 + number), "--seed", number,
            "--kvstore", "dist_sync",
        ]  # fmt: skip

    with Processes(words) as job:
        ended = job.ended(60)
    assert [code for code, _ in ended] == [2, 2, 0, 0], ended
    for _, output in ended[:2]:
        assert "The workers of this job differ in the recipe, the seed; start all of them" in output
    assert not (tmp_path / "run").exists()
