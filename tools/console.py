"""How much a command says: the options -q and -v, and the colours."""

from __future__ import annotations

import logging
import os
from functools import partial

import click

_LEVEL = "gluon_alexnet.verbosity"  # in the context's meta: below 0 is quiet, above 0 tells details


def has_colours() -> bool:
    """Whether colours are wanted where there is a terminal: not if NO_COLOR says no (no-color.org)."""
    return not os.environ.get("NO_COLOR")


def is_quiet() -> bool:
    """Whether the user wants results and errors alone."""
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(_LEVEL, 0) < 0


def verbosity(command):
    """The options -v and -q of a command; they are no arguments of it."""

    def choose(context: click.Context, parameter: click.Parameter, given: bool) -> None:
        if not given:
            return
        if _LEVEL in context.meta:
            raise click.UsageError("Give -v or -q, not both.", context)
        context.meta[_LEVEL] = 1 if parameter.name == "verbose" else -1
        if parameter.name == "verbose":
            # Let the library's log tell what is done, not only what is odd; `tools.main` prints it.
            log = logging.getLogger("gluon_alexnet")
            # The root is closed also where this command's own words are wrong.
            context.find_root().call_on_close(partial(log.setLevel, log.level))
            log.setLevel(logging.INFO)

    for words, text in (
        (("-q", "--quiet"), "Print results and errors alone."),
        (("-v", "--verbose"), "Tell what is done in detail."),
    ):
        command = click.option(*words, is_flag=True, expose_value=False, callback=choose, help=text)(command)
    return command
