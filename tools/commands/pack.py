"""`alexnet-tools pack`: ILSVRC's tars, or images in class folders → one shuffled, verified data set."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path

import click

from gluon_alexnet.recordio.dataset.manifest import ENCODINGS, ClassInfo
from gluon_alexnet.workflows.folders import DATA_DEFAULT, folder_of_year

from ..options import report_shared

MISSING_SHOWN = 10  # classes named when val or test has no image of them


class Part(click.ParamType):
    """One part of several: 2/8."""

    name = "I/N"

    def convert(self, value, param, ctx):
        match = re.fullmatch(r"(\d{1,5})/(\d{1,5})", str(value))
        if match and 1 <= int(match[1]) <= int(match[2]):
            return int(match[1]), int(match[2])
        return self.fail(f"{value!r} is not a part such as 2/8, the second of eight.", param, ctx)


@click.command("pack")
@click.option("--ilsvrc", "year", type=click.Choice(["2010", "2012"]), help="Pack that year's challenge from --source.")
@click.option("--source", metavar="DIR", help="Folder with the official tars and kit as downloaded, or unpacked.")
@click.option("--train", metavar="DIR", help="Training images: a folder or nXXXXXXXX.tar a class, or a tar of such.")
@click.option("--val", metavar="DIR", help="Validation images, the same classes.")
@click.option("--test", metavar="DIR", help="Test images, the same classes.")
@click.option("--split-half", metavar="SEED", type=click.IntRange(0, 2**63 - 1), help="Half of --train becomes val.")
@click.option("--allow-missing", is_flag=True, help="Pack what is there of an incomplete download.")
@click.option("--data", metavar="OUT", help=f"The data set's new folder.  [default: {DATA_DEFAULT}, or of the year]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the shuffle.")
@click.option("--workers", type=click.IntRange(1), help="Threads; default: one a core.")
@click.option("--shards", type=click.IntRange(1, 99_999), help="Shards a split; default: one for 32,768 images.")
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
@click.option("--part", type=Part(), default="1/1", help="Pack one part of several; alexnet-tools merge joins them.")
@click.option("--dask", metavar="ADDRESS", help="Pack on the workers of this Dask scheduler, e.g. tcp://10.0.0.1:8786.")
@click.option("--resume", is_flag=True, help="Go on with a pack that was killed; finished shards are kept.")
@click.option("--overwrite", is_flag=True, help="Replace the data set in OUT once the new one is complete.")
def command(year, source, train, val, test, split_half, allow_missing, data, dask, **options):
    """Make a data set of 256x256 images and their statistics.

    \b
    Example: alexnet-tools pack --ilsvrc 2012 --source downloads
    Example: alexnet-tools pack --train imagenet/train --val imagenet/val --data data/mine
    Example: alexnet-tools pack --train fall11_whole.tar --split-half 0 --data data/fall2011

    Tars are read where they are and never unpacked. Killed at any moment, the same command with --resume
    ends with the same bytes.
    """
    from gluon_alexnet.recordio.dataset.manifest import read_manifest
    from gluon_alexnet.recordio.packing.pack import pack

    _check(year, source, train, val, test, split_half)
    data = Path(data) if data else folder_of_year(int(year)) if year else DATA_DEFAULT
    if year:
        splits, classes, ignored = _challenge(int(year), source, allow_missing)
    else:
        splits, classes, ignored = _folders(train, val, test, split_half, allow_missing)
    with _progress("images", "pack") as update:
        report = pack(splits, classes, data, cluster=dask, progress=update, **options)
    if report.resumed:
        click.echo(f"{report.resumed} images had been done before", err=True)
    packed = ", ".join(f"{count} {name}" for name, count in report.packed.items())
    done = sum(report.packed.values()) + report.rejected - report.resumed
    if report.rejected and options["part"] == (1, 1):
        click.echo(f"Rejected images and why: {data}/rejected.tsv", err=True)
    if options["part"] == (1, 1):
        for split in read_manifest(data).splits:
            report_shared(split.name, split.images, split.also_in_train)
    click.echo(
        f"packed {packed}; rejected {report.rejected}; ignored {ignored} other files; "
        f"{report.seconds:.1f} s, {done / report.seconds:.0f} images/s; {data}"
    )


def _check(year, source, train, val, test, split_half):
    if year and not source:
        raise click.UsageError("--ilsvrc needs --source DIR, the folder with the downloaded files.")
    if year and (train or val or test or split_half is not None):
        raise click.UsageError("--ilsvrc finds its splits in --source; leave --train, --val, --test, --split-half out.")
    if source and not year:
        raise click.UsageError("--source goes with --ilsvrc 2012 or --ilsvrc 2010; which is it?")
    if not year and not train:
        raise click.UsageError("Say what to pack: --ilsvrc 2012 --source DIR, or --train DIR --val DIR.")
    if not year and (val is None) == (split_half is None):
        raise click.UsageError("Give --val DIR, or --split-half SEED to take half of --train for it.")


def _challenge(year, source, allow_missing):
    from gluon_alexnet.recordio.sources.ilsvrc import find_ilsvrc

    with _progress("classes", "scan") as update:
        found = find_ilsvrc(year, source, allow_missing, update)
    for sentence in (*found.notes, *found.missing):
        click.echo(sentence, err=True)
    return found.splits, found.classes, found.ignored


def _folders(train, val, test, split_half, allow_missing):
    from gluon_alexnet.recordio.sources.class_folders import class_folder
    from gluon_alexnet.recordio.sources.class_folders import split_half as halves

    folders = {}
    with _progress("classes", "scan") as update:
        folders["train"] = class_folder(train, allow_empty=allow_missing, progress=update)
    wnids = folders["train"].wnids
    for name, place in (("val", val), ("test", test)):
        if place is not None:
            folders[name] = class_folder(place, wnids)
            missing = folders[name].missing
            if missing:
                more = f" and {len(missing) - MISSING_SHOWN} more" if len(missing) > MISSING_SHOWN else ""
                shown = ", ".join(missing[:MISSING_SHOWN])
                click.echo(f"{place}: no images of {len(missing)} classes: {shown}{more}", err=True)
    splits = {name: folder.images for name, folder in folders.items()}
    if split_half is not None:
        splits["train"], splits["val"] = halves(splits["train"], split_half)
    return splits, _named(wnids), sum(folder.ignored for folder in folders.values())


def _named(wnids):
    """Readable names, where all classes are ones of ILSVRC-2012."""
    if not all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids):
        return [ClassInfo(wnid, wnid) for wnid in wnids]
    from gluon_alexnet.errors import OperationFailed

    try:
        from gluon_alexnet.backend import gluoncv

        attributes = gluoncv.data.ImageNet1kAttr()
    except OperationFailed:  # a machine that only packs may lack what MXNet needs
        return [ClassInfo(wnid, wnid) for wnid in wnids]
    names = dict(zip(attributes.synset, attributes.classes))
    known = all(wnid in names for wnid in wnids)
    return [ClassInfo(wnid, names[wnid] if known else wnid) for wnid in wnids]


@contextmanager
def _progress(unit, label):
    """A callback that counts on; the work tells the total, `of`, with its first call."""
    from ..progress import progress

    bars = []

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
