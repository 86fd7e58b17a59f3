"""The paper's pictures of nets and runs, as functions: each writes a PNG, SVG or PDF and returns what it shows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np

from ..data.augmentation import crop_views
from ..drawing import check_format
from ..errors import InvalidRequest, OperationFailed
from ..evaluation.metrics import best_classes
from ..evaluation.predictions import Predictions
from ..model.build import first_kernels
from ..plots import confusion, curves, filters, predictions
from ..plots import views as view_plots
from ..training import checkpoint, run_folder
from .evaluate import average_predictions, evaluate
from .load import Prediction, load
from .progress import ImageProgress, silent

PathLike = Union[str, "os.PathLike[str]"]
MOST_VIEWED = 8  # images whose ten views one drawing can hold
TOP = 5


def plot_curves(runs: Sequence[PathLike], output: PathLike) -> dict[str, list[dict[str, Any]]]:
    """Draw the validation errors and the training loss of runs, or of checkpoints, over each other.

    Returns the epochs of each run, as RUN/log.jsonl has them. Raises InvalidRequest for what is no run, or a run
    without an epoch.
    """
    check_format(Path(output))
    found = {}
    for run in map(Path, runs):
        state = checkpoint.read_state(run_folder.find_checkpoint(run))
        if not state.epochs:
            raise InvalidRequest(f"{run} has not finished an epoch yet, so it has no curve.")
        found[str(run)] = state.epochs
    curves.draw_curves(found, Path(output))
    return found


def plot_filters(run: PathLike, output: PathLike) -> np.ndarray:
    """Draw the kernels of layer 1 of a run or a checkpoint, the columns apart, as in Fig. 3.

    Returns them, float32 (kernels, 3, height, width). Raises InvalidRequest for what is no run.
    """
    check_format(Path(output))
    description, _, parameters, _ = checkpoint.load_run(Path(run))
    network = description.recipe.network
    kernels = first_kernels(network, parameters)
    filters.draw_filters(kernels, getattr(network, "columns", 1), Path(output))
    return kernels


def draw_predictions(shown: Sequence[Prediction], classes: Sequence[dict[str, str]], file: Path) -> None:
    """Draw what :meth:`Model.predict` found, as in Fig. 4 left.

    An image's true class is known if it lies in a folder named like a class.
    """
    predictions.draw_predictions(
        [
            predictions.Prediction(
                one.pixels,
                true_class(one.source, classes),
                [(guess.name, guess.probability) for guess in one.guesses],
                Path(one.source).name,
            )
            for one in shown
            if one.pixels is not None
        ],
        file,
    )


def true_class(source: str, classes: Sequence[dict[str, str]]) -> str | None:
    """The name of the class in whose folder an image lies; None where its folder is none of a class."""
    folder = Path(source).resolve().parent.name
    return next((info["name"] for info in classes if info["wnid"] == folder), None)


@dataclass(frozen=True)
class Confusion:
    """What was taken for what."""

    counts: np.ndarray  # int64 (C, C): a row for each true class, a column for each first guess
    classes: list[dict[str, str]]  # wnid and name, in label order
    images: int
    views: int

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy in per cent."""
        return 100 * float(np.trace(self.counts)) / self.images


def plot_confusion(
    model: Any,
    output: PathLike,
    data: PathLike | None = None,
    *,
    split: str = "val",
    views: int = 1,
    device: Any = None,
    progress: ImageProgress = silent,
) -> Confusion:
    """Draw which classes of a split a net takes for which: a matrix of up to 20 classes, the worst pairs of more.

    model: a run, a checkpoint, an exported net, a model of ``load``, or a file of predictions that ``evaluate`` saved,
    which are counted without running a net. data: the data set (default: the model's). views: 10 or 1. Raises
    InvalidRequest where model and data set do not belong together or the split has no labels.
    """
    check_format(Path(output))
    file = None if hasattr(model, "classify") else Path(model)
    if file is not None and file.is_file():
        views = _views_of(file, views)
        found, name = average_predictions([file], progress=progress), file.name
        counter = found.mean.counters[found.description.views.index(views)]
    else:
        found = evaluate(model, data, split=split, views=[views], device=device, progress=progress)
        counter, name = found.mean.counters[0], str(getattr(model, "source", model))
    if not found.labelled:
        raise InvalidRequest(f"The images of {found.description.split} have no public labels: nothing can be confused.")
    result = Confusion(counter.confusion(), found.description.classes, found.images, views)
    confusion.draw_confusion(
        result.counts,
        [info["name"] for info in result.classes],
        f"{name} on {found.description.split}, {'ten views' if views == 10 else 'centre view'}: "
        f"{result.accuracy:.1f} % of {found.images:,} images classified correctly",
        Path(output),
    )
    return result


def _views_of(file: Path, wanted: int) -> int:
    there = Predictions(file).description.views
    if wanted in there:
        return wanted
    raise InvalidRequest(f"{file} holds predictions over {' and '.join(map(str, there))} views, not over {wanted}.")


@dataclass(frozen=True)
class ViewOpinions:
    """What a net says of the ten views of an image, and of their mean."""

    source: str
    views: list[tuple[str, float]]  # first guess of each view, and its probability
    mean: list[tuple[str, float]]  # the five best classes of the mean


def plot_views(model: Any, images: Sequence[PathLike], output: PathLike, device: Any = None) -> list[ViewOpinions]:
    """Draw the ten views of each image with each one's first guess, and the mean of all as bars (Sec. 4.1).

    model: a run, a checkpoint, an exported net or a model of ``load``. images: files or folders, at most eight images.
    Raises InvalidRequest for more, OperationFailed for a file that is no image.
    """
    check_format(Path(output))
    net = model if hasattr(model, "predict") else load(model, device)
    read = _few(images)
    drawn, told = [], []
    for one in read:
        views = crop_views(one.pixels[None], net.input_size, 10)[0]
        rows = net.classify(views)
        if not np.isfinite(rows).all():
            raise OperationFailed(f"{net.source}: an output is not a number; these weights are of no use.")
        names = [info["name"] for info in net.classes]
        opinions = [(names[int(row.argmax())], float(row.max())) for row in rows]
        mean = rows.mean(axis=0)
        best = [(names[int(k)], float(mean[k])) for k in best_classes(mean[None], TOP)[0]]
        label = true_class(one.name, net.classes)
        drawn.append(view_plots.Viewed(Path(one.name).name, label, views, opinions, best))
        told.append(ViewOpinions(one.name, opinions, best))
    view_plots.draw_views(drawn, Path(output))
    return told


def _few(images: Sequence[PathLike]) -> list[Any]:
    from .image_files import ImageFiles, load_images

    found = []
    for batch in load_images(ImageFiles([os.fspath(image) for image in images]), MOST_VIEWED + 1):
        for image in batch:
            if image.problem:
                raise OperationFailed(image.problem)
            found.append(image)
        if len(found) > MOST_VIEWED:
            raise InvalidRequest(f"The views of more than {MOST_VIEWED} images do not fit into a drawing; give fewer.")
    if not found:
        raise OperationFailed("There is not one image to draw.")
    return found
