"""`launch` starts the processes of a job and ends them; stand-ins take the place of trainings, so that this is quick.

What real workers learn together is in tests/distributed.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers import stand_in

from gluon_alexnet.tools.commands import launch
from gluon_alexnet.tools.main import main

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder in which the stand-ins leave their notes; handlers of signals are put back afterwards."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {stand_in.__file__} "$@"\n')
    program.chmod(0o755)
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setattr(launch.sys, "executable", str(program))
    monkeypatch.setattr(launch, "GRACE_SECONDS", 1.0)
    monkeypatch.setenv("STAND_IN", str(notes))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = [signal.getsignal(number) for number in SIGNALS]
    yield notes
    for number, handler in zip(SIGNALS, before):
        signal.signal(number, handler)


def launched(*words, code=0):
    """(what was printed, the notes of all processes); none of them is left."""
    folder = Path(os.environ["STAND_IN"])
    result = CliRunner().invoke(main, ["launch", *map(str, words)])
    assert result.exit_code == code, (result.output, result.exception)
    notes = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    assert not any(Path(f"/proc/{note['process']}").exists() for note in notes)
    return result.output, notes


def test_a_job_is_a_scheduler_servers_and_workers_that_find_each_other(place, monkeypatch):
    monkeypatch.setenv("STAND_IN_WORKER", "0")
    _, notes = launched("--workers", 2, "--servers", 2, "--", "train", "--cpus", 0, "--epochs", 3)
    assert sorted(note["role"] for note in notes) == ["scheduler", "server", "server", "worker", "worker"]
    expected = ["-m", "gluon_alexnet.tools.main", *["train", "--cpus", "0", "--epochs", "3", "--kvstore", "dist_sync"]]
    for note in notes:
        assert note["words"] == expected
        assert note["DMLC_ROLE"] == note["role"]
        assert (note["DMLC_NUM_WORKER"], note["DMLC_NUM_SERVER"]) == ("2", "2")
        assert note["DMLC_PS_ROOT_URI"] == "127.0.0.1"
        share = max(1, len(os.sched_getaffinity(0)) // 2) if note["role"] == "worker" else 1
        assert note["OMP_NUM_THREADS"] == str(share)
    assert len({note["DMLC_PS_ROOT_PORT"] for note in notes}) == 1


def test_the_way_to_work_together_and_the_threads_can_be_chosen(place, monkeypatch):
    monkeypatch.setenv("STAND_IN_WORKER", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    _, notes = launched("--workers", 1, "--", "train", "--kvstore", "dist_async", "--cpus", 0)
    for note in notes:
        assert note["words"][2:] == ["train", "--kvstore", "dist_async", "--cpus", "0"]
        assert note["OMP_NUM_THREADS"] == "7"


def test_a_worker_that_fails_ends_the_job_with_its_code(place, monkeypatch):
    monkeypatch.setenv("STAND_IN_WORKER", "3")
    _, notes = launched("--workers", 2, "--", "train", code=3)  # the servers, who would wait for ever, are ended
    assert len(notes) == 4


def test_a_worker_that_is_lost_is_named_and_everything_ends(place, monkeypatch):
    monkeypatch.setenv("STAND_IN_WORKER", "SIGKILL")
    said, notes = launched("--workers", 1, "--", "train", code=1)
    (worker,) = (note["process"] for note in notes if note["role"] == "worker")
    assert f"A worker (process {worker}) was ended by SIGKILL; the job is over. Resume it from its last" in said


def test_a_signal_goes_to_the_workers_who_save_and_end(place, monkeypatch):
    monkeypatch.setenv("STAND_IN_WORKER", "waits")

    def when_all_are_there():
        while len(list(place.glob("*.json"))) < 4:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=when_all_are_there, daemon=True).start()
    began = time.monotonic()
    launched("--workers", 2, "--", "train", code=143)
    assert len(list(place.glob("worker-*.ended"))) == 2
    assert time.monotonic() - began < 60
