"""`alexnet-tools similar`: the nearest training images (Fig. 4 right), and short codes (Sec. 6.1)."""

from __future__ import annotations

from pathlib import Path

import click

from ..console import verbosity
from ..options import DrawingFile, OutputFolder, checkpoint_choice, devices, names_of
from ..process import exit_code

MOST_NEIGHBOURS = 12


@click.command("similar")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("files", metavar="IMAGES...", type=click.Path(path_type=Path), nargs=-1, required=True)
@checkpoint_choice("run")
@devices
@click.option("--data", type=click.Path(path_type=Path), help="Data set to search.  [default: the run's]")
@click.option("--split", default="train", show_default=True, help="Split to search.")
@click.option("--features", type=OutputFolder(), help="Folder of the vectors.  [default: RUN/features/SPLIT-…]")
@click.option("--codes", "bits", type=int, metavar="BITS", help="Search by binary codes of so many bits, too.")
@click.option(
    "--count", type=click.IntRange(1, MOST_NEIGHBOURS), default=6, show_default=True, help="Neighbours of each image."
)
@click.option(
    "--output",
    type=DrawingFile(),
    default="similar.png",
    show_default=True,
    help="File to write, .png, .svg or .pdf.",
)
@verbosity
def command(run, files, devices, data, split, features, bits, count, output):
    """Find the training images most similar to others.

    \b
    Example: alexnet-tools similar RUN --data data/ilsvrc2012 --codes 128 IMAGES

    Similar are images at a small Euclidean distance in the activations of layer fc7, as in Fig. 4 right. RUN is a
    run, a checkpoint or an exported OUT. IMAGES are files, and folders with all that is below them. The activations
    of the whole split are computed once and kept. With --codes an auto-encoder learns short binary codes of them
    (Sec. 6.1), once; how many of the nearest images they keep is reported.
    """
    from gluon_alexnet.workflows import similar

    from ..progress import advancing, say

    try:
        found = similar.find_similar(
            run,
            files,
            data,
            split=split,
            count=count,
            bits=bits,
            features=features,
            device=names_of(devices),
            reports=similar.Reports(say, advancing),
        )
    except similar.Stopped as stopped:
        click.echo(f"Stopped after {stopped.images} of {stopped.of} images; the same command goes on.", err=True)
        raise SystemExit(exit_code(stopped)) from None
    if found.codes:
        kept = " and ".join(
            f"{100 * share:.0f} % among the first {depth}" for depth, share in found.codes.shares.items()
        )
        click.echo(
            f"Codes of {bits} bits keep of the true {found.codes.neighbours} nearest {kept}: the mean over "
            f"{found.codes.judged} images of the split that the auto-encoder did not learn from."
        )
    for query in found.queries:
        _print(query, bits)
    similar.draw(found, bits, output)
    where = f"{found.searched} ({split} of {found.data})"
    click.echo(
        f"{output}: {len(found.queries)} images and the {count} nearest of {where} for each, "
        f" found in {found.seconds:.2f} s; the vectors are in {found.vectors}"
    )


def _print(query, bits):
    click.echo(f"{query.file}:")
    for line in _lines(query.by_distance):
        click.echo(line)
    if query.by_code:
        kept = sum(found.drawn.framed for found in query.by_code)
        click.echo(f"  by code of {bits} bits, {kept} of {len(query.by_distance)} the same:")
    for line in _lines(query.by_code):
        click.echo(line)


def _lines(neighbours):
    """One per neighbour: distance, class and key, in columns."""
    rows = [(one.drawn.distance, (one.drawn.label or "label unknown").split(",")[0], one.key) for one in neighbours]
    widths = [max((len(row[place]) for row in rows), default=0) for place in (0, 1)]
    return [f"  {distance:>{widths[0]}}  {label:<{widths[1]}}  {key}" for distance, label, key in rows]
