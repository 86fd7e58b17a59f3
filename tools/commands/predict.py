"""`alexnet-tools predict`: the five best classes of any image (Fig. 4 left)."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import click

from ..options import devices, open_contexts

GUESSES = 5
IMAGES_PER_PASS = {10: 16, 1: 64}  # by views; of ten views each about 2 GB for the full net
FIGURE_IMAGES = 40


class Guess(NamedTuple):
    """One file: its image and its best classes, or what is wrong with it."""

    name: str
    image: Any  # uint8 (256, 256, 3), or None
    classes: list[tuple[dict, float]]  # (class, probability), the best first
    problem: str | None


class Files:
    """Iterates over the names of image files: those named, those below named folders, and for `-` those on stdin.

    A folder is read as it is gone through, in its own order, so that a million names are never held. Hidden files and
    those that are not named like images are passed over there, and counted in `ignored`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = names
        self.ignored = 0

    def __iter__(self) -> Iterator[str]:
        for name in self._names:
            if name == "-":
                for line in click.get_binary_stream("stdin"):
                    if line.strip():
                        yield from self._file_or_folder(os.fsdecode(line.rstrip(b"\r\n")))
            else:
                yield from self._file_or_folder(name)

    def _file_or_folder(self, name):
        if os.path.isdir(name):
            yield from self._below(name)
        else:
            yield name

    def _below(self, folder):
        from gluon_alexnet.recordio.sources.class_folders import EXTENSIONS

        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._below(entry.path)
                elif not entry.name.startswith(".") and entry.name.lower().endswith(EXTENSIONS) and entry.is_file():
                    yield entry.path
                else:
                    self.ignored += 1


@click.command("predict")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@devices
@click.option(
    "--views", type=click.Choice(["10", "1"]), default="10", show_default=True, help="Ten views, or the centre."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an image.")
@click.option(
    "--figure", type=click.Path(path_type=Path, dir_okay=False), help="Draw the images as in Fig. 4, too: a PNG."
)
def command(model, images, devices, views, as_json, figure):
    """Name the five best classes of images, with probabilities.

    \b
    Example: alexnet-tools predict RUN photo.jpg holidays/
    Example: find . -name '*.png' | alexnet-tools predict OUT - --json

    MODEL is a run, a checkpoint or an exported OUT. IMAGES are files, folders with all that is below them, or `-` for
    names on stdin, one a line. A file that is no image is said on stderr, and the exit code is 1 at the end.
    """
    from gluon_alexnet.errors import OperationFailed
    from gluon_alexnet.workflows.load import open_model

    from ..progress import progress

    if figure is not None and not figure.parent.is_dir():
        raise click.UsageError(f"{figure.parent} is no folder, so the figure cannot be written there.")
    net = open_model(model, open_contexts(devices, 1)[0])
    files, shown, done, failed = Files(images), [], 0, 0
    began = time.monotonic()
    # On a terminal the lines themselves are the progress.
    bar = nullcontext() if sys.stdout.isatty() else progress(None, "images", "predict")
    with bar as shows:
        for guess in guesses(net, files, int(views)):
            if guess.problem:
                failed += 1
                click.echo(guess.problem, err=True)
            else:
                done += 1
                if figure is not None and len(shown) < FIGURE_IMAGES:
                    shown.append(guess)
            if as_json or not guess.problem:
                click.echo(_json(guess) if as_json else line(guess))
            if shows is not None:
                shows.update(1)
    seconds = time.monotonic() - began
    if shown:
        draw(shown, net, figure)
        more = f"; the figure shows the first {len(shown)}" if done > len(shown) else ""
        click.echo(f"{figure}: {len(shown)} images{more}", err=True)
    click.echo(
        f"{done} images in {seconds:.1f} s, {done / seconds:.1f} images/s; {files.ignored} other files passed over",
        err=True,
    )
    if failed:
        raise OperationFailed(f"{failed} of {done + failed} files could not be read as images.")
    if not done:
        raise OperationFailed(f"There is not one image in {', '.join(map(click.format_filename, images))}.")


def guesses(net, files: Iterable[str], views: int) -> Iterator[Guess]:
    """What the net says of each file, in their order, a batch at a time; images are decoded while it computes.

    Memory does not depend on the number of files. Raises OperationFailed where a probability is not a number.
    """
    from gluon_alexnet.evaluation.ensemble import predict

    for batch in _batches(files, IMAGES_PER_PASS[views]):
        images = [image for _, image, _ in batch if image is not None]
        best = iter(_best(net, images, views, predict))
        for name, image, problem in batch:
            yield Guess(name, image, [] if image is None else next(best), problem)


def draw(shown: list[Guess], net, file: Path) -> None:
    """Fig. 4 left as a PNG. An image's true class is known if it lies in a folder named like a class."""
    from gluon_alexnet import plots

    names = {info["wnid"]: info["name"] for info in net.classes}
    drawn = []
    for guess in shown:
        best = [(info["name"], probability) for info, probability in guess.classes]
        drawn.append(plots.Prediction(guess.image, names.get(Path(guess.name).resolve().parent.name), best))
    plots.draw_predictions(drawn, file)


def _batches(files, size):
    """Lists of (name, image or None, problem or None), `size` long but the last, decoded ahead by threads."""
    from concurrent.futures import ThreadPoolExecutor

    running: deque[tuple] = deque()  # of (name, future)
    waiting = iter(files)
    batch: list[tuple] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(thread_name_prefix="predict") as pool:
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata in images that are fine
        try:
            while True:
                while len(running) < 2 * size and (name := next(waiting, None)) is not None:
                    running.append((name, pool.submit(_read, name)))
                if not running:
                    break
                name, future = running.popleft()
                image, problem = future.result()
                batch.append((name, image, problem))
                if len(batch) == size:
                    yield batch
                    batch = []
            if batch:
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read(name):
    """(uint8 (256, 256, 3), None), or (None, what is wrong)."""
    import cv2

    from gluon_alexnet.recordio.dataset.images import ImageError, decode, shorter_side_256
    from gluon_alexnet.recordio.dataset.manifest import UNLABELLED
    from gluon_alexnet.recordio.sources.class_folders import Source

    shown = click.format_filename(name)
    try:
        return shorter_side_256(decode(Source(name, UNLABELLED, name).read())), None
    except ImageError as error:
        return None, f"{shown} is no image this program reads: {error}."
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        return None, f"{shown}: {getattr(error, 'strerror', None) or error}"
    except (MemoryError, cv2.error):
        return None, f"{shown} is too large for this machine's memory, or OpenCV cannot scale it."


def _best(net, images, views, predict):
    """The best classes of each image."""
    import numpy as np

    from gluon_alexnet.evaluation.metrics import best_classes

    if not images:
        return []
    none = np.full(len(images), -1)
    (predicted,) = predict([net], [1.0], [(np.stack(images), none, np.arange(len(images)))], [views])
    probabilities = predicted.mean[0]
    best = best_classes(probabilities, GUESSES)
    return [[(net.classes[label], float(row[label])) for label in labels] for row, labels in zip(probabilities, best)]


def line(guess: Guess) -> str:
    """Its name, its best classes and their probabilities."""
    best = (f"{info['name'].split(',')[0]} {probability:.3f}" for info, probability in guess.classes)
    return f"{click.format_filename(guess.name)}: {', '.join(best)}"


def _json(guess):
    if guess.problem:
        return json.dumps({"image": guess.name, "error": guess.problem})
    best = [{"wnid": info["wnid"], "name": info["name"], "probability": p} for info, p in guess.classes]
    return json.dumps({"image": guess.name, "guesses": best})
