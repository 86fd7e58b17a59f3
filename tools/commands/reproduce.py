"""`alexnet-tools reproduce`: the paper's own experiments (Fig. 1, Sec. 3.3, and its single differences)."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path

import click

from gluon_alexnet.workflows.default_paths import CIFAR, DATA_DEFAULT
from gluon_alexnet.workflows.option_choices import FIGURE_ONE, NORMALIZATION_TEST, RECIPES

from ..console import verbosity
from ..options import OutputFolder, devices, names_of
from ..progress import image_progress, progress, say
from ..reproduce_tables import table_1, table_2

FOLDER = click.Path(path_type=Path, file_okay=False)
POSITIVE = click.IntRange(min=1)


class RateList(click.ParamType):
    """Learning rates with commas between them."""

    name = "RATE,RATE"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        try:
            rates = tuple(float(part) for part in value.split(","))
        except ValueError:
            rates = ()
        if not rates or not all(0 < rate < float("inf") for rate in rates) or len(set(rates)) != len(rates):
            self.fail(f"{value!r} is not a list of different rates above 0 such as 0.001,0.002.", param, ctx)
        return rates


@click.group("reproduce")
def command():
    """Repeat the paper's experiments, ablations and tables.

    \b
    Example: alexnet-tools reproduce figure-1
    Example: alexnet-tools reproduce table-2 --plan
    """


command.add_command(table_1)
command.add_command(table_2)


def _on_cifar(name):
    """The options of the experiments on CIFAR-10."""
    options = (
        click.option(
            "--source",
            type=click.Path(path_type=Path),
            default=CIFAR,
            show_default=True,
            help="CIFAR-10, binary or python version: archive or unpacked folder.",
        ),
        click.option(
            "--out", type=OutputFolder(), default=Path("reproduced", name), show_default=True, help="Results."
        ),
        click.option("--images", type=POSITIVE, help="Use the first training images only.  [default: all]"),
        click.option("--seeds", type=POSITIVE, help=f"Trainings of each kind.  [default: {FIGURE_ONE.seeds}]"),
        devices,
        verbosity,
    )

    def decorate(function):
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _rates(rates):
    return ",".join(f"{rate:g}" for rate in rates)


@command.command("figure-1")
@_on_cifar("figure-1")
@click.option("--epochs", type=POSITIVE, help=f"Give a training up after these.  [default: {FIGURE_ONE.epochs}]")
@click.option(
    "--relu-rates",
    type=RateList(),
    help=f"Learning rates to try with ReLU.  [default: {_rates(FIGURE_ONE.relu_rates)}]",
)
@click.option(
    "--tanh-rates",
    type=RateList(),
    help=f"Learning rates to try with tanh.  [default: {_rates(FIGURE_ONE.tanh_rates)}]",
)
def figure_1(source, out, devices, **changes):
    """Count iterations to 25 % training error, as in Figure 1.

    \b
    Example: alexnet-tools reproduce figure-1 --source cifar-10-binary.tar.gz

    Ctrl-C saves; the same command goes on.
    """
    from gluon_alexnet.workflows.reproduce.cifar10 import reproduce_figure_one

    with _watching(out) as watching:
        done = reproduce_figure_one(source, out, device=names_of(devices), watching=watching, **changes)
    _show(done)


@command.command("lrn")
@_on_cifar("lrn")
@click.option(
    "--epochs", type=POSITIVE, help=f"Passes over the training images.  [default: {NORMALIZATION_TEST.epochs}]"
)
@click.option(
    "--views",
    type=click.Choice(["9,1", "9", "10,1", "10", "1"]),
    default="9,1",
    show_default=True,
    help="The 2012 code's nine views, ten as on ImageNet, the centre view.",
)
@click.option("--test-images", type=POSITIVE, help="Test on the first N test images only.  [default: all 10,000]")
def lrn(source, out, devices, views, **changes):
    """Measure test error with and without normalisation.

    \b
    Example: alexnet-tools reproduce lrn --source cifar-10-binary.tar.gz
    Example: alexnet-tools reproduce lrn --images 500 --epochs 2 --views 1 --test-images 1000

    Ctrl-C saves; the same command goes on. Each net is tested on all test images over all views: of a short trial that
    can take longer than the training, and --views and --test-images make it less.
    """
    from gluon_alexnet.workflows.reproduce.cifar10 import reproduce_normalization

    counts = [int(count) for count in views.split(",")]
    with _watching(out) as watching:
        done = reproduce_normalization(
            source, out, views=counts, device=names_of(devices), watching=watching, **changes
        )
    _show(done)


@command.command("ablations")
@click.option("--data", type=FOLDER, default=DATA_DEFAULT, show_default=True, help="Data set folder.")
@click.option("--recipe", type=click.Choice(list(RECIPES)), default="paper", show_default=True, help="Training recipe.")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    help="A change to the recipe; may be given more than once.  [default: all with a difference in the paper]",
)
@click.option("--epochs", type=POSITIVE, help="Passes over the training images.  [default: the recipe's]")
@click.option("--batch-size", type=POSITIVE, help="Images in an update.  [default: the recipe's]")
@click.option(
    "--out", type=OutputFolder(), default=Path("reproduced/ablations"), show_default=True, help="Runs and results."
)
@devices
@verbosity
def ablations(data, recipe, variants, epochs, batch_size, out, devices):
    """Train the full net and its variants, and compare them.

    \b
    Example: alexnet-tools reproduce ablations --data data/ilsvrc2012 --variant no-lrn --variant pool-2x2

    Ctrl-C saves; the same command goes on.
    """
    from gluon_alexnet.workflows.reproduce.ablations import train_and_measure

    from ..console_callbacks import ConsoleCallback, StopOnSignal

    changes = {"epochs": epochs, "batch_size": batch_size}
    stopper = StopOnSignal()
    with stopper.watching():
        results = train_and_measure(
            data,
            out,
            recipe=recipe,
            variants=variants,
            devices=names_of(devices),
            callbacks=[ConsoleCallback(), stopper],
            progress=image_progress,
            **{name: value for name, value in changes.items() if value is not None},
        )
        if results.written is None:
            raise SystemExit(128 + (stopper.received or [signal.SIGTERM])[0])
    _show(results.written)


@contextmanager
def _watching(out):
    """Progress of trainings; says how to go on when the user stops them."""
    from gluon_alexnet.workflows.reproduce.cifar10 import Interrupted, Watching

    from ..console_callbacks import StopOnSignal

    @contextmanager
    def report(name, most, done):
        with progress(most, "updates", name, initial=done) as bar:
            yield lambda count, error: bar.update(count, training_error=f"{error:.2f} %")

    with StopOnSignal().watching() as received:
        try:
            yield Watching(lambda: bool(received), report, image_progress)
        except Interrupted:
            click.echo(f"Stopped; what was done is in {out}, and the same command goes on from there.", err=True)
            raise SystemExit(128 + received[0]) from None


def _show(done):
    click.echo(done.text)
    say(f"{done.table} and {done.drawing}")
