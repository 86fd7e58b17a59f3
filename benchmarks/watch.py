"""What a process and all its children take while they run: time, processor, memory of the whole tree at its peak."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FIRST, INTERVAL = 0.02, 0.5  # seconds between two looks: each twice the last, so that what is short is seen, up to this
STOPPED = 5.0  # between two looks so many seconds do not pass, unless this process was stopped (SIGSTOP) meanwhile


class Watch:
    """Context manager: watches the children of this process, and theirs, until it is left.

    ``seconds``: without times in which this process was stopped. ``processor``: seconds of processor of the children
    that have ended. ``peak``: bytes, the sum of what is resident, memory that processes share counted once.
    """

    def __init__(self) -> None:
        self.seconds = self.processor = 0.0
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._before = _processor()
        self._last = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *failure: Any) -> None:
        self._done.set()
        self._thread.join()
        self._count()
        self.processor = _processor() - self._before

    def _look(self) -> None:
        interval = FIRST
        while not self._done.wait(interval):
            interval = min(2 * interval, INTERVAL)
            self._count()
            self.peak = max(self.peak, sum(map(_resident, descendants(os.getpid()))))

    def _count(self) -> None:
        now = time.monotonic()
        if now - self._last < STOPPED:
            self.seconds += now - self._last
        self._last = now


def descendants(process: int) -> list[int]:
    """The children of a process, theirs, and so on."""
    found = []
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found + [later for child in found for later in descendants(child)]


def _resident(process: int) -> int:
    """Bytes of a process in memory, its share of what several have (Linux's PSS); 0 of one that has ended."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
    return 0


def _processor() -> float:
    used = os.times()
    return used.children_user + used.children_system
