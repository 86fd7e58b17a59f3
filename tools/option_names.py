"""The library's sentences name parameters as `batch_size`; on the command line they are options: --batch-size."""

from __future__ import annotations

import re

import click

_NAMED = re.compile(r"`([a-z]\w*)`")
DEVICES = {"device": "--cpus", "devices": "--cpus"}  # what lacks GPUs is sent there


def with_options(sentence: str, context: click.Context | None = None) -> str:
    """The sentence with an option in place of each parameter in backquotes; other words in backquotes stay.

    An option's destination is the library's name of it. The command that was called is asked first, then the others:
    a sentence may say how to do it with another command.
    """
    if not _NAMED.search(sentence):
        return sentence
    context = context or click.get_current_context(silent=True)
    names = dict(DEVICES)
    if context is not None:
        group = context.find_root().command
        for command in _commands(group, context.find_root()):
            names = {**_options(command), **names}  # the first command that knows it
        called = context.command if context.command is not group else _called(context)
        if called is not None:
            names.update(_options(called))
    return _NAMED.sub(lambda found: names.get(found[1], found[0]), sentence)


def _called(root):
    name = root.invoked_subcommand
    return None if name is None else root.command.get_command(root, name)


def _commands(group, context):
    names = group.list_commands(context) if isinstance(group, click.Group) else []
    for command in (group.get_command(context, name) for name in names):
        if command is not None:
            yield command


def _options(command):
    """Name of a parameter → how a user writes it, of a command and those below it."""
    found = {}
    for one in getattr(command, "commands", {}).values():
        found.update(_options(one))
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            found[parameter.name] = max(parameter.opts, key=len)
        else:
            found[parameter.name] = parameter.make_metavar(click.Context(command)).strip("[].")
    return found
