"""`alexnet-tools predict`: the five best classes of any image (Fig. 4 left)."""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import click

from ..console import verbosity
from ..options import DrawingFile, checkpoint_choice, devices, names_of

FIGURE_IMAGES = 40


@click.command("predict")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@checkpoint_choice("model")
@devices
@click.option(
    "--views", type=click.Choice(["10", "1"]), default="10", show_default=True, help="Ten views, or the centre."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an image.")
@click.option(
    "--figure",
    type=DrawingFile(),
    help="Draw the images as in Fig. 4, too: .png, .svg or .pdf.",
)
@verbosity
def command(model, images, devices, views, as_json, figure):
    """Name the five best classes of images, with probabilities.

    \b
    Example: alexnet-tools predict RUN photo.jpg holidays/
    Example: find . -name '*.png' | alexnet-tools predict OUT - --json

    MODEL is a run, a checkpoint or an exported OUT. IMAGES are files, folders with all that is below them, or `-` for
    names on standard input, one per line. A file that is not an image is reported on standard error, and the exit
    code is 1 at the end.
    """
    from gluon_alexnet.errors import OperationFailed
    from gluon_alexnet.workflows.figures import draw_predictions
    from gluon_alexnet.workflows.image_files import ImageFiles
    from gluon_alexnet.workflows.load import Prediction, load

    from ..progress import progress, say, tell

    net = load(model, names_of(devices))
    files, done, failed = ImageFiles(images), 0, 0
    shown: list[Prediction] = []
    began = time.monotonic()
    # On a terminal the lines themselves are the progress.
    bar = nullcontext() if sys.stdout.isatty() else progress(None, "images", "predict")
    with bar as shows:
        for prediction in net.predictions(iter(files), int(views)):
            if prediction.problem:
                failed += 1
                tell(prediction.problem)
            else:
                done += 1
                if figure is not None and len(shown) < FIGURE_IMAGES:
                    shown.append(prediction)
            if as_json or not prediction.problem:
                click.echo(_json(prediction) if as_json else line(prediction))
            if shows is not None:
                shows.update(1)
    seconds = time.monotonic() - began
    if shown:
        draw_predictions(shown, net.classes, figure)
        more = f"; the figure shows the first {len(shown)}" if done > len(shown) else ""
        say(f"{figure}: {len(shown)} images{more}")
    say(f"{done} images in {seconds:.1f} s, {done / seconds:.1f} images/s; {files.ignored} other files passed over")
    if failed:
        raise OperationFailed(f"{failed} of {done + failed} files could not be read as images.")
    if not done:
        raise OperationFailed(f"There is not one image in {', '.join(map(click.format_filename, images))}.")


def line(prediction) -> str:
    """The image's name, its best classes and their probabilities."""
    best = (f"{guess.name.split(',')[0]} {guess.probability:.3f}" for guess in prediction.guesses)
    return f"{click.format_filename(prediction.source)}: {', '.join(best)}"


def _json(prediction):
    if prediction.problem:
        return json.dumps({"image": prediction.source, "error": prediction.problem})
    best = [{"wnid": g.wnid, "name": g.name, "probability": g.probability} for g in prediction.guesses]
    return json.dumps({"image": prediction.source, "guesses": best})
