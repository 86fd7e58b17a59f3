"""`alexnet-tools`: the group of commands, and the one place where errors become exit codes."""

import difflib
import importlib
import keyword
import logging
import shlex
import signal
import sys

import click

from gluon_alexnet.errors import InvalidRequest, MissingDataset, OperationFailed
from gluon_alexnet.version import __version__
from gluon_alexnet.workflows.mxnet_errors import check_threads, mxnet_sentence

from .console import has_colours
from .option_names import with_options
from .process import exit_code, open_streams, terminating
from .progress import SayLogged, say

# Commands are imported when they are called or when help is asked for; each file imports nothing
# heavy at its top, so that `--help` stays quick.
GROUPS = {
    "Data": ("pack", "merge", "verify", "stats"),
    "Training": ("recipes", "train", "launch", "lr", "doctor"),
    "Results": ("eval", "average", "score", "predict", "plot", "similar", "activations", "reproduce", "report"),
    "Deployment": ("export", "import", "identify", "serve"),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)


class CommandLine(click.Group):
    """A group that loads `tools/commands/<name>.py` on demand, lists by purpose, turns errors into sentences."""

    def parse_args(self, ctx, args):
        ctx.meta["words"] = list(args)  # as the user gave them, for what is to say how it was made
        if not has_colours():
            ctx.color = False  # Click colours what goes to a terminal alone
        return super().parse_args(ctx, args)

    def list_commands(self, ctx):
        return list(COMMANDS)

    def format_commands(self, ctx, formatter):
        for title, names in GROUPS.items():
            commands = {name: self.get_command(ctx, name) for name in names}
            with formatter.section(title):
                formatter.write_dl([(name, command.get_short_help_str(70)) for name, command in commands.items()])

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return None
        module = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
        return importlib.import_module(f"gluon_alexnet.tools.commands.{module}").command

    def resolve_command(self, ctx, args):
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            if near and "Did you mean" not in error.message:
                raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", error.ctx) from error
            raise

    def main(self, *args, **more):
        open_streams()
        with terminating():
            return super().main(*args, **more)

    def invoke(self, ctx):
        listener, library = SayLogged(), logging.getLogger("gluon_alexnet")
        library.addHandler(listener)
        ctx.call_on_close(lambda: library.removeHandler(listener))
        try:
            check_threads()
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # whoever reads our output has gone; click ends quietly
        except KeyboardInterrupt as stopped:
            code = exit_code(stopped)
            told = str(stopped) and f": {stopped}"
            say(f"Stopped by {signal.Signals(code - 128).name}{told}.")
            raise SystemExit(code) from stopped
        except InvalidRequest as error:
            raise _exit(ctx, error, 2) from error
        except (OperationFailed, OSError) as error:
            raise _exit(ctx, error, 1) from error
        except Exception as error:
            sentence = mxnet_sentence(error)
            if sentence is None:
                raise
            raise _exit(ctx, sentence, 1) from error


class Failure(click.ClickException):
    """An error of the library; its sentence is shown with a red "Error" where the terminal has colours."""

    def show(self, file=None):
        """Print it on standard error."""
        word = click.style("Error:", fg="red", bold=True)
        click.echo(f"{word} {self.message}", file=file or sys.stderr, color=self.show_color)


class WrongUse(Failure):
    """An InvalidRequest."""

    exit_code = 2


def _exit(context, error, code):
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        message = with_options(str(error), context)
    if isinstance(error, MissingDataset):
        message += f": alexnet-tools pack --train DIR --val DIR --data {shlex.quote(error.folder)}"
    return WrongUse(message) if code == 2 else Failure(message)


@click.command(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="alexnet-tools")
def main():
    """AlexNet of 2012 on MXNet: from ImageNet's images to a deployed model."""


if __name__ == "__main__":
    sys.exit(main())
