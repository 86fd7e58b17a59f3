"""Progress of a workflow, for whoever wants to show it; nothing is shown unless the caller says how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Optional

# Called with (total, what) around a piece of work; gives a function of the number of images done since the last call.
# A total of None is not known beforehand.
ImageProgress = Callable[[Optional[int], str], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def silent(*_about: object) -> Iterator[Callable[..., None]]:
    """Shows nothing, whatever the workflow tells."""
    yield lambda *_done, **_values: None
