"""`alexnet-tools similar`: the nearest training images (Fig. 4 right), and short codes (Sec. 6.1)."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ..options import devices, drawing, open_context

IMAGES_PER_PASS = 64
MOST_IMAGES = 40  # rows that a drawing can hold and a person can read
MOST_NEIGHBOURS = 12


@click.command("similar")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("files", metavar="IMAGES...", type=click.Path(path_type=Path), nargs=-1, required=True)
@devices
@click.option("--data", type=click.Path(path_type=Path), help="Data set to search.  [default: the run's]")
@click.option("--split", default="train", show_default=True, help="Split to search.")
@click.option(
    "--features", type=click.Path(path_type=Path), help="Folder of the vectors.  [default: RUN/features/SPLIT-…]"
)
@click.option("--codes", "bits", type=int, metavar="BITS", help="Search by binary codes of so many bits, too.")
@click.option(
    "--count", type=click.IntRange(1, MOST_NEIGHBOURS), default=6, show_default=True, help="Neighbours of each image."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default="similar.png",
    show_default=True,
    callback=drawing,
    help="File to write, .png or .svg.",
)
def command(run, files, devices, data, split, features, bits, count, output):
    """Find the training images most similar to others.

    \b
    Example: alexnet-tools similar RUN --data data/ilsvrc2012 --codes 128 IMAGES

    Similar are images at a small Euclidean distance in the activations of layer fc7, as in Fig. 4 right. RUN is a
    run, a checkpoint or an exported OUT. The activations of the whole split are computed once and kept. With --codes an
    auto-encoder learns short binary codes of them (Sec. 6.1), once; how many of the nearest images they keep is
    reported.
    """
    if len(files) > MOST_IMAGES:
        raise click.UsageError(f"{len(files)} images at a time are too many to read; give {MOST_IMAGES} or fewer.")
    if bits is not None:
        from gluon_alexnet.features.binary_codes import check_bits

        check_bits(bits)
    from gluon_alexnet.recordio.reading.reader import Reader
    from gluon_alexnet.workflows.load import data_of_run

    images = _read(files)
    folder = data or data_of_run(run)
    with Reader(folder, split) as reader:
        if len(reader) < count:
            raise click.UsageError(f"{folder} ({split}) has {len(reader)} images: too few for --count {count}.")
        fc7, place = _open_fc7(run, open_context(devices))
        vectors = _vectors(features, place, fc7, reader)
        queries = fc7.of_images(images)
        began = time.monotonic()
        ids, distances = vectors.nearest(queries, count)
        took = time.monotonic() - began
        captions = _captions(files, reader.manifest)
        by_distance = [
            [_neighbour(reader, number, f"distance {distance:.2f}") for number, distance in zip(*found)]
            for found in zip(ids.tolist(), distances.tolist())
        ]
        by_code = [[] for _ in files]
        if bits is not None:
            by_code = _by_code(vectors, bits, queries, ids, reader)
        _print(files, by_distance, by_code, bits)
        _draw(images, captions, by_distance, by_code, bits, output)
    click.echo(
        f"{output}: {len(files)} images and the {count} nearest of {len(vectors)} ({split} of {folder}) for each, "
        f"found in {took:.2f} s; the vectors are in {vectors.folder}"
    )


def _read(files):
    """uint8 (N, 256, 256, 3)."""
    import numpy as np

    from gluon_alexnet.recordio.dataset.images import ImageError, decode, shorter_side_256
    from gluon_alexnet.recordio.dataset.manifest import DatasetError

    images = []
    for file in files:
        try:
            images.append(shorter_side_256(decode(file.read_bytes())))
        except ImageError as error:
            raise DatasetError(f"{file} is no image this program reads: {error}.") from error
    return np.stack(images)


def _open_fc7(path, context):
    """The net up to fc7, and the folder below which its vectors are kept."""
    from gluon_alexnet.exporters import symbol
    from gluon_alexnet.features import activations
    from gluon_alexnet.training import checkpoint
    from gluon_alexnet.workflows.load import no_model, open_run

    if symbol.is_export(path):
        return activations.of_export(path, context), path.with_name(f"{path.name}-features")
    if not path.is_dir():
        raise no_model(path)
    classifier, description, _ = open_run(path, context)
    run = checkpoint.run_of(checkpoint.find_checkpoint(path))
    return activations.of_classifier(classifier, description.recipe.network, context), run / "features"


def _vectors(folder, place, fc7, reader):
    """The vectors of the split, computed now where they are not there."""
    from gluon_alexnet.features.store import Contents, Features, write

    from ..progress import progress

    contents = Contents(fc7.digest, reader.manifest.digest, reader.split.name, len(reader), fc7.width)
    folder = folder or place / contents.name
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        return Features(folder, contents)
    click.echo(f"fc7 of {len(reader)} images goes to {folder} ({contents.bytes / 1e6:.1f} MB), once.", err=True)
    done = 0

    def batches(start):
        return reader.batches(IMAGES_PER_PASS, start=start)

    with progress(len(reader), "images", "fc7") as bar:

        def report(images):
            nonlocal done
            done += images
            bar.update(images)

        try:
            return write(folder, contents, fc7, batches, report)
        except KeyboardInterrupt:
            click.echo(f"Stopped after {done} of {len(reader)} images; the same command goes on.", err=True)
            raise SystemExit(130) from None


def _captions(images, manifest):
    names = {c.wnid: c.name for c in manifest.classes}
    return [names.get(image.resolve().parent.name, image.name).split(",")[0] for image in images]


def _neighbour(reader, number, distance, framed=False):
    """Its key, and what is drawn of it."""
    from gluon_alexnet.plots import Neighbour

    image, label = reader.read(number)
    name = reader.manifest.classes[label].name if label >= 0 else None
    return reader.key(number), Neighbour(image, name, distance, framed)


def _by_code(vectors, bits, queries, true, reader):
    """The nearest of each image by code, those that are true neighbours framed."""
    from gluon_alexnet.features import binary_codes
    from gluon_alexnet.features.config import AUTO_ENCODER

    from ..progress import progress

    if binary_codes.exist(vectors, bits):
        made = binary_codes.Codes(vectors, bits)
    else:
        with progress(AUTO_ENCODER.updates, "updates", f"codes of {bits} bits") as bar:
            made = binary_codes.learn(
                vectors, bits, AUTO_ENCODER, report=lambda count, loss: bar.update(count, loss=loss)
            )
    shares = " and ".join(f"{100 * share:.0f} % among the first {depth}" for depth, share in made.kept.items())
    click.echo(
        f"Codes of {bits} bits keep of the true {binary_codes.TRUE_NEIGHBOURS} nearest {shares}: the mean over "
        f"{made.judged} images of the split that the auto-encoder did not learn from."
    )
    ids, distances = made.nearest(made.encode(queries), true.shape[1])
    return [
        [_neighbour(reader, number, f"{distance} bits", number in own) for number, distance in zip(*found)]
        for *found, own in zip(ids.tolist(), distances.tolist(), true.tolist())
    ]


def _print(images, by_distance, by_code, bits):
    for image, nearest, coded in zip(images, by_distance, by_code):
        click.echo(f"{image}:")
        for line in _lines(nearest):
            click.echo(line)
        if coded:
            kept = sum(found.framed for _, found in coded)
            click.echo(f"  by code of {bits} bits, {kept} of {len(nearest)} the same:")
        for line in _lines(coded):
            click.echo(line)


def _lines(neighbours):
    """One a neighbour: distance, class and key, in columns."""
    rows = [(found.distance, (found.label or "label unknown").split(",")[0], key) for key, found in neighbours]
    widths = [max((len(row[place]) for row in rows), default=0) for place in (0, 1)]
    return [f"  {distance:>{widths[0]}}  {label:<{widths[1]}}  {key}" for distance, label, key in rows]


def _draw(images, captions, by_distance, by_code, bits, output):
    from gluon_alexnet.plots import Similar, draw_similar

    rows = []
    for image, caption, nearest, coded in zip(images, captions, by_distance, by_code):
        rows.append(Similar(image, caption, [found for _, found in nearest]))
        if coded:
            rows.append(Similar(None, f"by code\nof {bits} bits\n(framed:\nas above)", [found for _, found in coded]))
    draw_similar(rows, output)
