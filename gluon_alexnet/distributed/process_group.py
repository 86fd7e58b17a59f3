"""The processes of a job with MXNet's parameter server: who this one is, joining, serving, and noticing who is gone.

MXNet waits for ever for a process that is not there. Here each process looks for the scheduler before it joins, and
once it has joined watches the heartbeats: the scheduler sees those of servers and workers, and these see the
scheduler's. The first that misses one says so and ends, and the others follow, within a minute in all.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ..errors import InvalidRequest, OperationFailed
from .collectives import ASYNCHRONOUS, FIRST_WEIGHT, WorkerGroup

ROLES = ("scheduler", "server", "worker")
REACH_SECONDS = 45.0  # how long a process looks for the scheduler
JOIN_SECONDS = 300.0  # how long it then waits for the other processes
NOTICE_SECONDS = 20.0  # between two sentences that say so
HEARTBEAT_SECONDS = 3  # between two signs of life
TIMEOUT_SECONDS = 18  # without a sign a process is gone; the scheduler's end takes as long again to be seen

_SCHEDULER, _SERVERS, _WORKERS = 1, 2, 4  # ps-lite's groups of processes


@dataclass(frozen=True)
class Job:
    """What the DMLC_* variables say of the job and of this process."""

    role: str  # one of ROLES
    address: str  # of the scheduler, numeric
    port: int
    workers: int
    servers: int


def read_job() -> Job:
    """The job that the environment describes, made ready for MXNet.

    Raises InvalidRequest, naming the variable, where one is missing or no use.
    """
    role = _variable("DMLC_ROLE", "scheduler, server or worker")
    if role not in ROLES:
        raise InvalidRequest(f"DMLC_ROLE is {role!r}; it must be scheduler, server or worker.")
    host = _variable("DMLC_PS_ROOT_URI", "the scheduler's address")
    try:
        address = socket.gethostbyname(host)
    except OSError as error:
        raise InvalidRequest(
            f"DMLC_PS_ROOT_URI is {host!r}, which is no address known here ({error.strerror})."
        ) from error
    job = Job(
        role,
        address,
        _number("DMLC_PS_ROOT_PORT", "the scheduler's port", 65535),
        _number("DMLC_NUM_WORKER", "the number of workers"),
        _number("DMLC_NUM_SERVER", "the number of servers"),
    )
    os.environ["DMLC_PS_ROOT_URI"] = address  # MXNet's sockets take no names
    os.environ.pop("DMLC_RANK", None)  # ps-lite sets it, and forgets its own number where it finds one
    if address.startswith("127.") and "DMLC_INTERFACE" not in os.environ:
        os.environ.setdefault("DMLC_NODE_HOST", address)
    os.environ.setdefault("PS_HEARTBEAT_INTERVAL", str(HEARTBEAT_SECONDS))
    return job


@contextmanager
def joined(job: Job, kind: str, say: Callable[[str], None]) -> Iterator[WorkerGroup]:
    """This worker's place in the job, for as long as the context lasts.

    say: prints a sentence. Raises OperationFailed where the scheduler cannot be reached. Where a process of the job is
    lost while this one waits inside MXNet, the process ends, with exit code 1.
    """
    reach(job)
    from ..backend import mx

    watch = _Watch(job, say)
    watch.start()
    with _interruptible():
        store = mx.kv.create(kind)
    watch.handle = store.handle
    group = WorkerGroup(kind, store)
    del store  # closing the group frees it
    try:
        yield group
        group.wait_for_others()  # still watched: the end that follows is not
        group.together = True
    finally:
        watch.stop()
        group.close()


def serve(job: Job, say: Callable[[str], None]) -> None:
    """Be the job's scheduler, or a server of it, until its workers are done.

    Raises OperationFailed where the scheduler cannot be reached; where a process of the job is lost, this one ends,
    with exit code 1. The first SIGINT, SIGTERM or SIGHUP is left to the workers, which need their servers till they
    have saved.
    """
    if job.role == "scheduler":
        _check_port(job)
    else:
        reach(job)
    from ..backend import mx

    store = mx.kv.create("dist")
    served = threading.Thread(target=_run_server, args=(mx, store, job), daemon=True)
    watch = _Watch(job, say, store.handle)
    received = []

    def receive(number: int, _: FrameType | None) -> None:
        received.append(number)
        if not watch.joined or len(received) > 1:
            os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
            signal.signal(number, receive)
    served.start()
    while served.is_alive():
        served.join(0.2)
        watch.look()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the process at once, though it waits inside MXNet."""
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _run_server(mx: Any, store: Any, job: Job) -> None:
    pushes: dict[int, int] = {}

    def rule(key: int, received: Any, stored: Any) -> None:
        # A sum's first part replaces the last sum.
        if key < FIRST_WEIGHT and pushes.get(key, 0) % job.workers == 0:
            stored[:] = received
        else:
            stored += received
        pushes[key] = pushes.get(key, 0) + 1

    def controller(_command: int, body: bytes, _: Any) -> None:
        if body == ASYNCHRONOUS.encode():
            store._set_updater(rule)

    prototype = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    mx.base.check_call(mx.base._LIB.MXKVStoreRunServer(store.handle, prototype(controller), None))


class _Watch(threading.Thread):
    """Looks after the other processes of the job, and ends this one where one of them is lost."""

    def __init__(self, job: Job, say: Callable[[str], None], handle: Any = None) -> None:
        super().__init__(name="watch", daemon=True)
        self.handle = handle
        self._job, self._say = job, say
        self._timeout = int(os.environ.get("PS_HEARTBEAT_TIMEOUT", TIMEOUT_SECONDS))
        self._began = self._told = time.monotonic()
        self._joined: float | None = None
        self._stopped = threading.Event()

    @property
    def joined(self) -> bool:
        """Whether all processes of the job were there."""
        return self._joined is not None

    def run(self) -> None:
        while not self._stopped.wait(0.2):
            self.look()

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def look(self) -> None:
        now = time.monotonic()
        if self._joined is None:
            self._wait(now)
        elif now - self._joined > self._timeout + 2:  # before that nobody can be late
            self._joined = now - self._timeout - 1  # again in a second
            self._look_for_dead()

    def _wait(self, now: float) -> None:
        # A process is late by less than no time as soon as there is one: so they are all here.
        if self.handle is not None and self._silent(_SCHEDULER | _SERVERS | _WORKERS, -(10**6)):
            self._joined = now
        elif now - self._began > JOIN_SECONDS:
            self._end(f"{self._missing()} after {JOIN_SECONDS:.0f} s; start them all, or look at what they say.")
        elif now - self._told > NOTICE_SECONDS:
            self._told = now
            self._say(f"{self._missing()}; waiting.")

    def _missing(self) -> str:
        return (
            f"Not all of the job's {self._job.workers} workers and {self._job.servers} servers have come to "
            f"{self._job.address}:{self._job.port}"
        )

    def _look_for_dead(self) -> None:
        if self._job.role == "scheduler":
            for group, count, name in (
                (_WORKERS, self._job.workers, "worker"),
                (_SERVERS, self._job.servers, "server"),
            ):
                silent = self._silent(group, self._timeout)
                if silent:
                    self._end(
                        f"{silent} of {count} {name}s gave no sign of life for {self._timeout} s; the job ends. "
                        "Resume it from its last checkpoint with `resume`."
                    )
        elif self._silent(_SCHEDULER, self._timeout):
            self._end(
                f"The scheduler at {self._job.address}:{self._job.port} is gone, as it is when another process of the "
                "job was lost; this one ends, too. Resume the job from its last checkpoint with `resume`."
            )

    def _silent(self, group: int, seconds: int) -> int:
        """How many processes of the group gave no sign for so long."""
        from ..backend import mx

        count = ctypes.c_int()
        failed = mx.base._LIB.MXKVStoreGetNumDeadNode(self.handle, group, ctypes.byref(count), ctypes.c_int(seconds))
        return 0 if failed else count.value  # it fails only where the job is over, and its processes are forgotten

    def _end(self, sentence: str) -> None:
        self._say(f"Error: {sentence}")
        os._exit(1)  # the main thread may wait inside MXNet, for ever


def reach(job: Job) -> None:
    """Return once the scheduler's port is open; raises OperationFailed where it stays closed."""
    deadline = time.monotonic() + REACH_SECONDS
    while True:
        try:
            socket.create_connection((job.address, job.port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise OperationFailed(
                    f"No scheduler answers at {job.address}:{job.port} (DMLC_PS_ROOT_URI, DMLC_PS_ROOT_PORT) after "
                    f"{REACH_SECONDS:.0f} s ({error.strerror or error}); start it there, or correct the variables."
                ) from error
        time.sleep(0.2)


def _check_port(job: Job) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((job.address, job.port))
    except OSError as error:
        raise OperationFailed(
            f"The scheduler cannot listen at {job.address}:{job.port} ({error.strerror}); DMLC_PS_ROOT_URI must be an "
            "address of its machine, and DMLC_PS_ROOT_PORT free."
        ) from error


def _variable(name: str, meaning: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise InvalidRequest(
            f"{name} ({meaning}) is not set; `kvstore` needs DMLC_ROLE, DMLC_PS_ROOT_URI, DMLC_PS_ROOT_PORT, "
            "DMLC_NUM_WORKER and DMLC_NUM_SERVER, or `alexnet-tools launch`, which sets them."
        )
    return value


def _number(name: str, meaning: str, most: int = 10_000) -> int:
    value = _variable(name, meaning)
    if not value.isdecimal() or not 1 <= int(value) <= most:
        raise InvalidRequest(f"{name} ({meaning}) is {value!r}; it must be a whole number from 1 to {most}.")
    return int(value)
