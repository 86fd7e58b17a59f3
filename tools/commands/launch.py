"""`alexnet-tools launch`: a training by several processes of this machine."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

import click

from gluon_alexnet.errors import OperationFailed

from ..process import leave_dead_terminal, stop_signals

GRACE_SECONDS = 6.0  # for the others to end by themselves; a heartbeat lasts three
_DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG


@click.command("launch", context_settings={"ignore_unknown_options": True})
@click.option("--workers", type=click.IntRange(1), required=True, help="Worker processes.")
@click.option("--servers", type=click.IntRange(1), default=1, show_default=True, help="Parameter servers.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def command(workers, servers, words):
    """Train with several processes of this machine.

    \b
    Example: alexnet-tools launch --workers 2 -- train --cpus 0

    Starts a scheduler, the servers and the workers, shares the cores among the workers, and ends all of them when one
    is lost. Each batch is shared among the workers; `--kvstore dist_async` in the command lets them run without waiting
    for each other. Ctrl-C saves a checkpoint and stops.
    """
    words = _checked(words)
    address, port = "127.0.0.1", _free_port()
    environment = {
        **os.environ,
        "DMLC_PS_ROOT_URI": address,
        "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NUM_WORKER": str(workers),
        "DMLC_NUM_SERVER": str(servers),
    }
    roles = ["scheduler", *["server"] * servers, *["worker"] * workers]
    processes: list[tuple[str, subprocess.Popen]] = []
    received: list[int] = []

    def receive(number: int, _: FrameType | None) -> None:
        leave_dead_terminal()
        received.append(number)

    for number in stop_signals():
        signal.signal(number, receive)
    try:
        for role in roles:
            processes.append((role, _start(words, {**environment, "DMLC_ROLE": role}, role, workers)))
        code = _watch(processes, received)
    finally:
        _end([process for _, process in processes])
    raise SystemExit(code)


def _checked(words):
    """The command with --kvstore. Raises UsageError, before anything is started, where `train` would."""
    from .train import command as train

    if words[0] != "train":
        raise click.UsageError(f"launch starts trainings: after -- comes `train` and its options, not {words[0]!r}.")
    words = list(words)
    if train.make_context("train", words[1:]).params["kvstore"] is None:
        words += ["--kvstore", "dist_sync"]
    return words


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(words, environment, role, workers):
    share = len(os.sched_getaffinity(0)) // workers if role == "worker" else 1
    environment.setdefault("OMP_NUM_THREADS", str(max(1, share)))
    # A session of its own: Ctrl-C comes to us alone, who pass it on to the workers.
    return subprocess.Popen(
        [sys.executable, "-m", "gluon_alexnet.tools.main", *words],
        env=environment,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )


def _die_with_parent():
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)


def _watch(processes, received):
    """Wait for the workers; the exit code of the job. Raises OperationFailed where a process was lost."""
    passed_on = 0
    while True:
        for number in received[passed_on:]:
            passed_on += 1
            for role, process in processes:
                if role == "worker":
                    process.send_signal(number)
        if len(received) > 1:
            return 128 + received[-1]
        codes = [(role, process, process.poll()) for role, process in processes]
        for role, process, code in codes:
            if code is not None and code < 0:
                raise OperationFailed(
                    f"A {role} (process {process.pid}) was ended by {signal.Signals(-code).name}; the job is over. "
                    "Resume it from its last checkpoint with --resume."
                )
        failed = [code for role, _, code in codes if code and role == "worker"]
        working = [code for role, _, code in codes if code is None and role == "worker"]
        if failed and not (working and received):  # asked to stop, the others save; else they would wait for ever
            return failed[0]
        if not working:
            return 0
        time.sleep(0.1)


def _end(processes):
    """Leave no process behind."""
    deadline = time.monotonic() + GRACE_SECONDS
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
