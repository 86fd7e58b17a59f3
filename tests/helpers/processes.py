"""The processes of a job with a parameter server, started by hand on this machine's loopback."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

KILLER = Path(__file__).with_name("killer.py")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Processes:
    """The processes of one job started by hand; none outlives the test."""

    def __init__(self, words, workers=2, servers=1, **more):
        self.workers = []
        self.others = []
        self._environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "DMLC_PS_ROOT_URI": "127.0.0.1",
            "DMLC_PS_ROOT_PORT": str(free_port()),
            "DMLC_NUM_WORKER": str(workers),
            "DMLC_NUM_SERVER": str(servers),
            **more,
        }
        for role, count in (("scheduler", 1), ("server", servers), ("worker", workers)):
            for number in range(count):
                process = self._start(words(number) if callable(words) else words, role)
                (self.workers if role == "worker" else self.others).append(process)

    def _start(self, words, role):
        return subprocess.Popen(
            [str(word) for word in words],
            env={**self._environment, "DMLC_ROLE": role},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for process in self.workers + self.others:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def ended(self, seconds):
        """(exit code, output) of each worker, then of the scheduler and the servers."""
        deadline = time.monotonic() + seconds
        found = []
        for process in self.workers + self.others:
            output, _ = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
            found.append((process.returncode, output))
        return found


def killer(out, old, reference, how, *arguments):
    """Number of kills that were survived; the sentence of the first that was not fails the test."""
    done = subprocess.run(
        [sys.executable, KILLER, *map(str, (out, old, reference, *how)), "--", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)
