"""`alexnet-tools reproduce`: the paper's own experiments (Fig. 1, Sec. 3.3, and its single differences)."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from gluon_alexnet.experiments.config import FIGURE_ONE, NORMALIZATION_TEST
from gluon_alexnet.recipes.presets import RECIPES
from gluon_alexnet.workflows.folders import DATA_DEFAULT

from ..options import OutputFolder, devices, names_of, open_contexts
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
    """Repeat the paper's small experiments, its ablations, and the rows of its tables.

    \b
    Example: alexnet-tools reproduce figure-1
    Example: alexnet-tools reproduce table-2 --plan
    """


command.add_command(table_1)
command.add_command(table_2)


def _on_cifar(name):
    """The options of the experiments on CIFAR-10."""
    source = Path("data/cifar-10-binary.tar.gz")
    options = (
        click.option(
            "--source",
            type=click.Path(path_type=Path),
            default=source,
            show_default=True,
            help="CIFAR-10, binary or python version: archive or unpacked folder.",
        ),
        click.option(
            "--out", type=OutputFolder(), default=Path("reproduced", name), show_default=True, help="Results."
        ),
        click.option("--images", type=POSITIVE, help="Use the first training images only.  [default: all]"),
        click.option("--seeds", type=POSITIVE, help=f"Trainings of each kind.  [default: {FIGURE_ONE.seeds}]"),
        devices,
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
    from gluon_alexnet.experiments import cifar, config, plots, tables

    images, numbers = _changed(config.FIGURE_ONE, changes)
    data = _data(source, images, numbers.descent.batch_size)
    net = config.FourLayers()
    settings = {"experiment": "figure-1", "images": len(data.train), "descent": numbers.descent, "net": net}
    with _trial_context(out, devices, data, settings) as place:
        results = cifar.figure_one(place, numbers, data)
    plots.draw_figure_one(results, numbers, len(data.train), out / "figure-1.png")
    _finish(out, "figure-1", tables.figure_one(results, numbers, len(data.train)))


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
def lrn(source, out, devices, views, **changes):
    """Measure test error with and without normalisation.

    \b
    Example: alexnet-tools reproduce lrn --source cifar-10-binary.tar.gz

    Ctrl-C saves; the same command goes on.
    """
    from gluon_alexnet.experiments import cifar, config, plots, tables

    counts = [int(count) for count in views.split(",")]
    images, numbers = _changed(config.NORMALIZATION_TEST, changes)
    data = _data(source, images, numbers.descent.batch_size)
    settings = {
        "experiment": "lrn",
        "images": len(data.train),
        "epochs": numbers.epochs,
        "descent": numbers.descent,
        "augmentation": numbers.augmentation,
    }
    with _trial_context(out, devices, data, settings) as place:
        results = cifar.normalization_test(place, numbers, data, counts)
    plots.draw_normalization_test(results, numbers, len(data.train), out / "lrn.png")
    _finish(out, "lrn", tables.normalization_test(results, numbers, len(data.train)))


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
def ablations(data, recipe, variants, epochs, batch_size, out, devices):
    """Train the full net and its variants, and compare them.

    \b
    Example: alexnet-tools reproduce ablations --data data/ilsvrc2012 --variant no-lrn --variant pool-2x2

    Ctrl-C saves; the same command goes on.
    """
    from gluon_alexnet.experiments import plots, tables
    from gluon_alexnet.workflows.reproduce import train_and_measure

    from ..console_callbacks import ConsoleCallback, StopOnSignal
    from ..progress import image_progress

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
        if stopper.received:
            raise SystemExit(128 + stopper.received[0])
    plots.draw_ablations(results.ablations, str(data), out / "ablations.png")
    _finish(out, "ablations", tables.ablations(results.ablations, results.images, str(data)))


def _changed(numbers, changes):
    """(images to use, the numbers with the options given)."""
    images = changes.pop("images")
    return images, replace(numbers, **{name: value for name, value in changes.items() if value is not None})


def _data(source, images, batch_size):
    from gluon_alexnet.experiments.trials import Data
    from gluon_alexnet.recordio.sources.cifar10 import read_cifar

    cifar = read_cifar(source)
    if images is not None and not batch_size <= images <= len(cifar.train):
        raise click.BadParameter(
            f"{images}; {source} has {len(cifar.train)} training images, and a batch {batch_size}.",
            param_hint="--images",
        )
    data = Data(cifar.train, cifar.train_labels, cifar.test, cifar.test_labels)
    return data if images is None else data.first(images)


@contextmanager
def _trial_context(out, chosen, data, settings):
    """Where the trials run; says how to go on when the user stops them."""
    from gluon_alexnet.experiments import trials

    from ..console_callbacks import StopOnSignal
    from ..progress import progress

    contexts = open_contexts(chosen, 1)
    if len(contexts) != 1:
        raise click.UsageError(f"These small nets run on 1 device, not on {len(contexts)}.")

    @contextmanager
    def report(name, most, done):
        with progress(most, "updates", name, initial=done) as bar:
            yield lambda count, error: bar.update(count, training_error=f"{error:.2f} %")

    with trials.claimed(out, data, settings), StopOnSignal().watching() as received:
        try:
            yield trials.TrialContext(out, contexts[0], lambda: bool(received), report)
        except trials.Interrupted:
            click.echo(f"Stopped; what was done is in {out}, and the same command goes on from there.", err=True)
            raise SystemExit(128 + received[0]) from None


def _finish(out, name, table):
    from gluon_alexnet.atomic_files import write_text

    text = f"{_machine()}\n{table}"
    write_text(out / f"{name}.txt", text + "\n")
    click.echo(text)
    click.echo(f"{out / name}.txt and {out / name}.png", err=True)


def _machine():
    """Day, processor, cores, threads and versions, in a line."""
    import datetime
    import platform

    from gluon_alexnet import backend

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.machine()
    versions = ", ".join(f"{name} {version}" for name, version in backend.versions().items() if "mxnet" in name)
    return (
        f"{datetime.date.today()}, {processor}, cores: {backend.usable_cores()}, threads: {backend.threads()}, "
        f"Python {platform.python_version()}, {versions}"
    )
