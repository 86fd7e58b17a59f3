"""The commands and their parameters, for tests that walk all of them."""

from __future__ import annotations

import click

from gluon_alexnet.tools.main import COMMANDS, main


def commands() -> list[str]:
    """Names of all commands, those of groups as "plot filters"."""
    return sorted(_found())


def all_parameters(name: str) -> list[click.Parameter]:
    """The parameters of a command."""
    return _found()[name].params


def _found() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        parts = command.commands if isinstance(command, click.Group) else None
        found.update({f"{name} {part}": one for part, one in parts.items()} if parts else {name: command})
    return found
