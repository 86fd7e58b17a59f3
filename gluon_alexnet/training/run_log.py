"""RUN/log.jsonl: what happened in a run, one JSON object a line; who holds it open is training the run."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from .. import safe_json
from ..errors import InvalidRequest
from ..safe_files import opened, read_text


class Log:
    """RUN/log.jsonl. What a killed run wrote after its last checkpoint is cut off: it happens again.

    log_bytes: length of the log when that checkpoint was saved.

    Raises InvalidRequest where another process has the run's log open: two trainings would spoil each other's run.
    """

    def __init__(self, run: Path, log_bytes: int):
        self._file = open(run / "log.jsonl", "ab")  # noqa: SIM115  closed by __exit__
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise InvalidRequest(f"{run} is being trained by another process; stop that one first.") from error
        self._file.truncate(log_bytes)
        self._file.seek(0, os.SEEK_END)  # else `bytes` is the old length until something is written

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *failure: object) -> None:
        self._file.close()

    @property
    def bytes(self) -> int:
        """Length of the file."""
        return self._file.tell()

    def write(self, event: str, **values: object) -> None:
        """Add one line: the event, the time, and the values."""
        record = {"event": event, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **values}
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()


def last_start(run: Path) -> dict[str, Any]:
    """The last event "start" of a run's log; empty where there is none to be read."""
    found: dict[str, Any] = {}
    try:
        lines = read_text(run / "log.jsonl", "replace").splitlines()
    except OSError:
        return found
    for line in lines:
        if '"event": "start"' in line:
            try:
                event = safe_json.parse(line)
            except ValueError:
                continue
            found = event if isinstance(event, dict) else found
    return found


def is_running(run: Path) -> bool:
    """Whether a process is training this run at the moment."""
    try:
        with opened(run / "log.jsonl") as log:
            fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
