"""`alexnet-tools pack`: ILSVRC's tars, or images in class folders → one shuffled, verified data set."""

from __future__ import annotations

import re
from contextlib import contextmanager

import click

from gluon_alexnet.workflows.default_paths import DATA_DEFAULT
from gluon_alexnet.workflows.option_choices import ENCODINGS, SMALL

from ..console import verbosity
from ..options import OutputFolder, report_shared
from ..progress import say


class Part(click.ParamType):
    """One part of several: 2/8."""

    name = "I/N"

    def convert(self, value, param, ctx):
        match = re.fullmatch(r"(\d{1,5})/(\d{1,5})", str(value))
        if match and 1 <= int(match[1]) <= int(match[2]):
            return int(match[1]), int(match[2])
        return self.fail(f"{value!r} is not a part such as 2/8, the second of eight.", param, ctx)


@click.command("pack")
@click.option("--ilsvrc", type=click.Choice(["2010", "2012"]), help="Pack that year's challenge from --source.")
@click.option("--source", metavar="DIR", help="Folder with the official tars and kit as downloaded, or unpacked.")
@click.option("--train", metavar="DIR", help="Training images: a folder or nXXXXXXXX.tar per class, or a tar of these.")
@click.option("--val", metavar="DIR", help="Validation images, the same classes.")
@click.option("--test", metavar="DIR", help="Test images, the same classes.")
@click.option(
    "--split-half",
    "half_as_val",
    metavar="SEED",
    type=click.IntRange(0, 2**63 - 1),
    help="Half of --train becomes val.",
)
@click.option("--allow-missing", is_flag=True, help="Pack what is there of an incomplete download.")
@click.option(
    "--data",
    "out",
    type=OutputFolder(),
    metavar="OUT",
    help=f"The data set's new folder.  [default: {DATA_DEFAULT}, or of the year]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Shuffle seed.")
@click.option("--workers", type=click.IntRange(1), help="Threads; default: one more than cores.")
@click.option("--shards", type=click.IntRange(1, 99_999), help="Shards per split; default: one for 32,768 images.")
@click.option(
    "--on-bad",
    type=click.Choice(["skip", "fail"]),
    default="skip",
    show_default=True,
    help="List unreadable images in rejected.tsv and go on, or stop at the first.",
)
@click.option(
    "--encoding",
    type=click.Choice(ENCODINGS),
    default=ENCODINGS[0],
    show_default=True,
    help="How records hold pixels: raw takes seven times the room and no time to decode.",
)
@click.option(
    "--small",
    type=click.Choice(SMALL),
    default=SMALL[0],
    show_default=True,
    help="Scale images below 256 pixels up, or put them in the centre of ImageNet's mean colour.",
)
@click.option("--part", type=Part(), default="1/1", help="Pack one part of several; alexnet-tools merge joins them.")
@click.option(
    "--dask", "cluster", metavar="ADDRESS", help="Pack on the workers of this Dask scheduler, e.g. tcp://10.0.0.1:8786."
)
@click.option("--resume", is_flag=True, help="Go on with a pack that was killed; finished shards are kept.")
@click.option("--overwrite", is_flag=True, help="Replace the data set in OUT once the new one is complete.")
@verbosity
def command(ilsvrc, **options):
    """Make a data set of 256x256 images and their statistics.

    \b
    Example: alexnet-tools pack --ilsvrc 2012 --source downloads
    Example: alexnet-tools pack --train imagenet/train --val imagenet/val --data data/mine
    Example: alexnet-tools pack --train fall11_whole.tar --split-half 0 --data data/fall2011

    Tars are read where they are and never unpacked. Killed at any moment, the same command with --resume
    ends with the same bytes.
    """
    from gluon_alexnet.workflows.pack import pack

    done = pack(ilsvrc=ilsvrc and int(ilsvrc), report=say, progress=_progress, **options)
    if done.resumed:
        say(f"{done.resumed} images had been done before")
    if done.rejected and options["part"] == (1, 1):
        say(f"Rejected images and why: {done.data}/rejected.tsv")
    for split, shared in done.also_in_train.items():
        report_shared(split, done.images[split], shared)
    packed = ", ".join(f"{count} {name}" for name, count in done.packed.items())
    count = sum(done.packed.values()) + done.rejected - done.resumed
    click.echo(
        f"packed {packed}; rejected {done.rejected}; ignored {done.ignored} other files; "
        f"{done.seconds:.1f} s, {count / done.seconds:.0f} images/s; {done.data}"
    )


@contextmanager
def _progress(unit, label):
    """A callback that counts on; the work tells the total, `of`, with its first call."""
    from ..progress import progress

    bars: list[progress] = []

    def update(count, of=None, earlier=False, **values):
        if not bars:
            bars.append(progress(of, unit, label, initial=count if earlier else 0))
            bars[0].__enter__()
        if not earlier:
            bars[0].update(count, **values)

    try:
        yield update
    finally:
        for bar in bars:
            bar.__exit__()
