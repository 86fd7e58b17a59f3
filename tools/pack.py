"""`alexnet-tools pack`: pictures in class folders → one shuffled, verified data set."""

from __future__ import annotations

import click

from gluon_alexnet.recordio.dataset import ClassInfo


@click.command("pack")
@click.option("--train", required=True, metavar="DIR", help="Training pictures, one sub-folder a class.")
@click.option("--val", required=True, metavar="DIR", help="Validation pictures, the same classes.")
@click.option("--test", metavar="DIR", help="Test pictures, the same classes.")
@click.option("--data", default="data/ilsvrc2012", show_default=True, metavar="OUT", help="The data set's new folder.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the shuffle.")
@click.option("--workers", type=click.IntRange(1), help="Threads; default: one a core.")
@click.option("--shards", type=click.IntRange(1, 99_999), help="Shards a split; default: one for 32,768 pictures.")
@click.option(
    "--on-bad",
    type=click.Choice(["skip", "fail"]),
    default="skip",
    show_default=True,
    help="List unreadable pictures in rejected.tsv and go on, or stop at the first.",
)
@click.option("--overwrite", is_flag=True, help="Replace the data set in OUT once the new one is complete.")
def command(train, val, test, data, seed, workers, shards, on_bad, overwrite):
    """Pack pictures into a data set: 256x256, shuffled once, with the training statistics.

    \b
    Example:
      alexnet-tools pack --train imagenet/train --val imagenet/val --data data/ilsvrc2012
    """
    from gluon_alexnet.recordio.pack import pack
    from gluon_alexnet.recordio.sources import class_folder

    from .progress import progress

    folders = {"train": class_folder(train)}
    wnids = folders["train"].wnids
    for name, folder in (("val", val), ("test", test)):
        if folder is not None:
            folders[name] = class_folder(folder, wnids)
            if folders[name].missing:
                missing = folders[name].missing
                click.echo(f"{folder}: no pictures of {len(missing)} classes: {', '.join(missing)}", err=True)
    pictures = {name: folder.pictures for name, folder in folders.items()}
    with progress(sum(map(len, pictures.values())), "images", "pack") as bar:
        report = pack(
            pictures,
            [ClassInfo(wnid, wnid) for wnid in wnids],
            data,
            seed=seed,
            workers=workers,
            shards=shards,
            on_bad=on_bad,
            overwrite=overwrite,
            progress=bar.update,
        )
    packed = ", ".join(f"{count} {name}" for name, count in report.packed.items())
    ignored = sum(folder.ignored for folder in folders.values())
    rate = sum(report.packed.values()) / report.seconds
    if report.rejected:
        click.echo(f"Rejected pictures and why: {data}/rejected.tsv", err=True)
    click.echo(
        f"packed {packed}; rejected {len(report.rejected)}; ignored {ignored} other files; "
        f"{report.seconds:.1f} s, {rate:.0f} images/s; {data}"
    )
