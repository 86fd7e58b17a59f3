"""Progress of long work on stderr: a bar on a terminal, a plain line now and then in a log; sentences beside both."""

from __future__ import annotations

import logging
import shutil
import sys
import textwrap
import time
from contextlib import contextmanager
from typing import Any

import click

from .console import has_colours, is_quiet
from .option_names import with_options

SECONDS_PER_LINE = 30.0
BAR = "{desc}: {percentage:3.0f} %|{bar}| {n_fmt}/{total_fmt}, {remaining} left, {rate_fmt}{postfix}"
_bars: list[Any] = []  # those on the terminal, the topmost first


def tell(sentence: str, colour: str | None = None) -> None:
    """A sentence for the user on standard error: above the bars that are there, in lines of the terminal's width.

    A parameter of the library that it names becomes the command's option.
    """
    sentence = with_options(sentence)
    if not sys.stderr.isatty():
        click.echo(sentence, err=True)
        return
    width = shutil.get_terminal_size().columns
    lines = textwrap.wrap(sentence, width, break_long_words=False, break_on_hyphens=False) or [""]
    text = click.style("\n".join(lines), fg=colour) if colour and has_colours() else "\n".join(lines)
    if not _bars:
        click.echo(text, err=True)
        return
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


def say(sentence: str) -> None:
    """The same about the work; -q leaves it out."""
    if not is_quiet():
        tell(sentence)


def warn(sentence: str) -> None:
    """The same, in yellow, where something is odd."""
    if not is_quiet():
        tell(sentence, "yellow")


class SayLogged(logging.Handler):
    """What the library logs, said as everything else is: what is odd, and with -v what is done."""

    def emit(self, record: logging.LogRecord) -> None:
        (warn if record.levelno >= logging.WARNING else say)(record.getMessage())


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
        self._quiet = is_quiet()
        self._bar = open_bar(self._total, self._label, self._initial, f" {self._unit}", BAR if self._total else None)
        return self

    def update(self, n: int = 1, **postfix: Any) -> None:
        """Count `n` units; `postfix` values are shown as they are, floats with four digits."""
        self._done += n
        if self._bar is not None:
            self._bar.set_postfix_str(_values(postfix), refresh=False)
            self._bar.update(n)
        elif not self._quiet and time.monotonic() - self._said >= SECONDS_PER_LINE:
            self._said = time.monotonic()
            print(self._line(postfix), file=sys.stderr, flush=True)

    def __exit__(self, *failure: object) -> None:
        close_bar(self._bar)

    def _line(self, postfix):
        rate = (self._done - self._initial) / (self._said - self._began)
        values = f", {_values(postfix)}" if postfix else ""
        if self._total is None:
            return f"{self._label}: {self._done} {self._unit}, {rate:.1f} {self._unit}/s{values}"
        left = duration((self._total - self._done) / rate if rate else float("inf"))
        done = f"{self._label}: {self._done}/{self._total} {self._unit}"
        return f"{done}, {rate:.1f} {self._unit}/s, {left} left{values}"


def open_bar(
    total: int | None,
    label: str,
    initial: int,
    unit: str,
    form: str | None,
    smoothing: float = 0.05,
    leave: bool = True,
) -> Any:
    """A bar below those that are there, or None where standard error is no terminal."""
    if not sys.stderr.isatty() or is_quiet():
        return None
    from tqdm import tqdm

    bar = tqdm(
        total=total,
        initial=initial,
        unit=unit,
        desc=label,
        bar_format=form,
        dynamic_ncols=True,
        smoothing=smoothing,
        position=len(_bars),
        leave=leave and not _bars,
        file=sys.stderr,
    )
    _bars.append(bar)
    return bar


def close_bar(bar: Any) -> None:
    """Take a bar of :func:`open_bar` from the terminal."""
    if bar is not None:
        bar.close()
        _bars.remove(bar)


def duration(seconds: float) -> str:
    """Minutes and seconds, 1:02, or hours, 2:31:05."""
    if not seconds < 1e9:
        return "?"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _values(postfix):
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.4g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in postfix.items()
    )


@contextmanager
def advancing(total, unit, what):
    """Progress of a workflow; gives a function of how many units more are done, and of values to show beside them."""
    with progress(total, unit, what) as bar:
        yield bar.update


def image_progress(total, what):
    """The same for a workflow that counts images."""
    return advancing(total, "images", what)
