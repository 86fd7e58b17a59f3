"""The process around a command: its standard streams, and the signals that end it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: what is begun is left as Ctrl-C leaves it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def stop_signals() -> tuple[int, ...]:
    """The signals that ask a command to stop; SIGHUP is none where it is ignored, as nohup wants it."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))


def exit_code(stopped: BaseException | None) -> int:
    """The shell's code for what was ended by a signal; ``stopped``: the KeyboardInterrupt, or what it caused."""
    while stopped is not None and not isinstance(stopped, Terminated):
        stopped = stopped.__cause__ or stopped.__context__
    return 128 + (stopped.number if isinstance(stopped, Terminated) else signal.SIGINT)


@contextmanager
def terminating() -> Iterator[None]:
    """Within it, SIGTERM and SIGHUP raise :class:`Terminated`, so that files half-written are removed."""

    def receive(number: int, _: FrameType | None) -> None:
        leave_dead_terminal()
        raise Terminated(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [one for one in stop_signals() if signal.getsignal(one) is signal.SIG_DFL]  # SIGINT is Python's own
    for number in ours:
        signal.signal(number, receive)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def leave_dead_terminal() -> None:
    """Let go of a terminal that was closed: writing to it would raise an error instead of saving what is there."""
    for number in (1, 2):
        try:
            termios.tcgetattr(number)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)


def open_streams() -> None:
    """Open what is closed of the standard streams: the next file would get its number, and messages would go there."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = os.fdopen(0)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w")
