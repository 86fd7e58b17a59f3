"""Progress of long work on stderr: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import Any

SECONDS_PER_LINE = 30.0


class progress:  # noqa: N801 (used as the function of contextlib's kind that it could be)
    """Context manager; `update(n, name=value, …)` counts n units and shows the values beside the count.

    A `total` of None is not known beforehand. `initial` units were done earlier, by a run that this one continues.
    """

    def __init__(self, total: int | None, unit: str, label: str, initial: int = 0) -> None:
        self._total, self._unit, self._label = total, unit, label
        self._initial = self._done = initial
        self._bar: Any = None

    def __enter__(self) -> progress:
        self._began = self._said = time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._total,
                initial=self._initial,
                unit=f" {self._unit}",
                desc=self._label,
                dynamic_ncols=True,
                smoothing=0.05,
            )
        return self

    def update(self, n: int = 1, **postfix: Any) -> None:
        """Count `n` units; `postfix` values are shown as they are, floats with four digits."""
        self._done += n
        if self._bar is not None:
            self._bar.set_postfix(postfix, refresh=False)
            self._bar.update(n)
        elif time.monotonic() - self._said >= SECONDS_PER_LINE:
            self._said = time.monotonic()
            print(self._line(postfix), file=sys.stderr, flush=True)

    def __exit__(self, *failure: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _line(self, postfix):
        rate = (self._done - self._initial) / (self._said - self._began)
        values = "".join(
            f", {name} {value:.4g}" if isinstance(value, float) else f", {name} {value}"
            for name, value in postfix.items()
        )
        if self._total is None:
            return f"{self._label}: {self._done} {self._unit}, {rate:.1f} {self._unit}/s{values}"
        left = (self._total - self._done) / rate if rate else float("inf")
        done = f"{self._label}: {self._done}/{self._total} {self._unit}"
        return f"{done}, {rate:.1f} {self._unit}/s, {left:.0f} s left{values}"


@contextmanager
def advancing(total, unit, what):
    """Progress of a workflow; gives a function of how many units more are done, and of values to show beside them."""
    with progress(total, unit, what) as bar:
        yield bar.update


def image_progress(total, what):
    """The same for a workflow that counts images."""
    return advancing(total, "images", what)
