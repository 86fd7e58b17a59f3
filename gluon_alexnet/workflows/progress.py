"""Progress of a workflow, for whoever wants to show it; nothing is shown unless the caller says how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

# Called with (total, what) around a piece of work; gives a function of the number of images done since the last call.
ImageProgress = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def silent(*_about: object) -> Iterator[Callable[..., None]]:
    """Shows nothing, whatever the workflow tells."""
    yield lambda *_done, **_values: None
