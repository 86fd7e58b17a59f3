"""Batches prepared by a thread while the net learns from the last one."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def prefetched(batches: Iterable, depth: int = 2) -> Iterator[Iterator]:
    """The same batches, prepared by a thread up to ``depth`` ahead; its exceptions come out here."""
    ready: queue.Queue = queue.Queue(depth)
    closed = threading.Event()

    def fill() -> None:
        try:
            for batch in batches:
                if not _put(ready, closed, (batch, None)):
                    return
            _put(ready, closed, (None, None))
        except BaseException as error:
            _put(ready, closed, (None, error))

    def drain() -> Iterator:
        while True:
            batch, error = ready.get()
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch

    thread = threading.Thread(target=fill, name="prefetch", daemon=True)
    thread.start()
    try:
        yield drain()
    finally:
        closed.set()
        thread.join()


def _put(ready: queue.Queue, closed: threading.Event, item: tuple) -> bool:
    """Whether there was room before the end."""
    while not closed.is_set():
        with contextlib.suppress(queue.Full):
            ready.put(item, timeout=0.1)
            return True
    return False
