"""Error rates of one net, or of several averaged, on a split of a data set (Sec. 6)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.recordio.sources.ilsvrc_submission import GUESSES, Submission

from ..errors import InvalidRequest, OperationFailed
from ..evaluation.ensemble import average, predict
from ..evaluation.metrics import ErrorCounter, Score, best_classes
from ..evaluation.predictions import Description, Net, Predictions, PredictionsWriter, compatible
from ..training.run_folder import newest_run
from .default_paths import RUNS
from .progress import ImageProgress, silent

VIEWS_PER_PASS = 160  # shared among the nets, each of which keeps its own buffers
LEAST_VIEWS = 80  # of each net: below, the weights of its large layers are read too often (40 views: 87 % of the rate)
ROWS_PER_PASS = 256  # of saved predictions


@dataclass(frozen=True)
class EvaluationFiles:
    """What is written beside the errors."""

    predictions: Path | None = None  # probabilities of each image, which `average_predictions` reads
    precision: str = "float32"  # of them, or "float16"
    submission: Path | None = None  # the challenge's own file: five classes per image


@dataclass(frozen=True)
class NetErrors:
    """Errors of one net, or of a mean of nets, for each number of views, in the order asked for."""

    name: str
    parameters: int
    counters: list[ErrorCounter]  # errors in all, per class, and the confused pairs

    @property
    def scores(self) -> list[Score]:
        """Errors in all."""
        return [counter.score for counter in self.counters]


@dataclass(frozen=True)
class Evaluation:
    """Errors on a split. ``nets``: each net alone; ``mean``: their mean, or the only net."""

    description: Description  # data set, classes, views, weights
    images: int  # each counted once
    skipped: int  # damaged records that were left out
    damaged: list[str]  # a sentence for each of these
    also_in_train: int | None  # images of the split that training images equal; None: not known
    seconds: float
    nets: list[NetErrors]
    mean: NetErrors
    labelled: bool  # False: the split has no public labels, and there are no errors

    @property
    def scores(self) -> list[Score]:
        """Errors of the mean, for each number of views."""
        return self.mean.scores


def evaluate(
    models: Any = None,
    data: str | os.PathLike[str] | None = None,
    *,
    split: str = "val",
    views: Sequence[int] = (10, 1),
    weights: Sequence[float] | None = None,
    device: Any = None,
    on_damaged: str = "stop",
    files: EvaluationFiles = EvaluationFiles(),
    progress: ImageProgress = silent,
) -> Evaluation:
    """Top-1 and top-5 error of a net, or of the weighted mean of several nets' probabilities (Sec. 4.1, 6).

    models: a path of a run, a checkpoint or an exported net, a model of :func:`load`, or a list of these, all of the
    same classes (default: the newest run in runs/). data: data set folder (default: the first model's). views: 10, the
    four corners and the centre with their reflections, 1, the centre, or both. weights: of the models, positive
    (default: equal). device: "gpu(0)", "cpu(0)". on_damaged: "stop" at a damaged record, or "skip" and count it.
    progress(total, what): around the work; gives a function of the number of images done.

    Every image is counted once. Raises InvalidRequest where models and data set do not belong together,
    OperationFailed where a probability is not a number, a record is damaged, or the counts do not match.
    """
    from .load import as_models
    from .run_data import check_model, data_of

    _check_views(views)
    if files.submission and on_damaged == "skip":
        raise InvalidRequest("`submission` needs a line for each image, so no record can be skipped.")
    given = list(models) if isinstance(models, (list, tuple)) else [newest_run(RUNS) if models is None else models]
    for path in (one for one in given if not hasattr(one, "classify")):
        check_model(Path(path))
    folder = data_of(given[0]) if data is None else Path(data)
    manifest = read_manifest(folder)
    part = manifest.split(split)
    nets = as_models(given, device)
    weights = _weights(weights, len(nets), "models")
    ours, theirs = [c["wnid"] for c in nets[0].classes], [c.wnid for c in manifest.classes]
    if ours != theirs:
        raise InvalidRequest(
            f"{nets[0].source} knows {len(ours)} classes and {folder} has {len(theirs)}, and they are not the same; "
            "name the data set it was trained on with `data`."
        )
    description = Description(
        str(folder),
        manifest.digest,
        split,
        [{"wnid": c.wnid, "name": c.name, "devkit_id": c.devkit_id} for c in manifest.classes],
        tuple(views),
        tuple(
            Net(net.source, weight, net.parameters, net.variants, getattr(net, "recipe", ""))
            for net, weight in zip(nets, weights)
        ),
    )
    began = time.monotonic()
    reader = Reader(folder, split, on_damaged=on_damaged)
    counts = _Counts(description, [net.source for net in nets], not part.unlabelled)
    batches = (batch for batch in reader.batches(images_per_pass(len(nets), views)) if len(batch.ids))
    keys = (reader.key(number) for number in range(len(reader)))
    outputs = _Outputs(files, description, keys, not part.unlabelled)
    with outputs, progress(part.images, f"eval {split}") as bar:
        for labels, ids, each, mean in predict(nets, weights, batches, views):
            counts.add(labels, each, mean)
            names = [reader.key(number) for number in ids.tolist()] if files.predictions else []
            outputs.add(ids, names, labels, mean)
            bar(len(ids))
    return counts.evaluation(
        [net.parameters for net in nets], part.images, list(reader.damaged.values()), part.also_in_train, began
    )


def images_per_pass(nets: int, views: Sequence[int]) -> int:
    """Images that so many nets see in one pass, over the largest of these numbers of views."""
    return max(VIEWS_PER_PASS // nets, LEAST_VIEWS) // max(views)


def average_predictions(
    paths: Sequence[Path],
    weights: Sequence[float] | None = None,
    files: EvaluationFiles = EvaluationFiles(),
    progress: ImageProgress = silent,
) -> Evaluation:
    """The errors of the mean of saved predictions, and of each file alone; nothing is computed again (Sec. 6).

    paths: what :func:`evaluate` wrote, of the same split of the same data set. weights: of the files (default: as many
    as nets were averaged in each). Raises InvalidRequest for files that do not belong together, OperationFailed for
    damaged ones.
    """
    began = time.monotonic()
    opened = [Predictions(path) for path in paths]
    compatible(opened)
    weights = _weights(weights or [one.description.weight for one in opened], len(opened), "files")
    first = opened[0]
    nets = [
        replace(net, weight=net.weight * weight / one.description.weight)
        for one, weight in zip(opened, weights)
        for net in one.description.nets
    ]
    description = replace(first.description, nets=tuple(nets))
    labelled = not (first.labels < 0).any()
    counts = _Counts(description, [str(path) for path in paths], labelled)
    done = 0
    with _Outputs(files, description, first.keys, labelled) as outputs, progress(len(first), "average") as bar:
        for rows in zip(*(one.rows(ROWS_PER_PASS) for one in opened)):
            each = [row.probabilities for row in rows]
            mean = [average([one[v] for one in each], weights) for v in range(len(description.views))]
            count = len(rows[0].keys)
            counts.add(rows[0].labels, each, mean)
            outputs.add(range(done, done + count), rows[0].keys, rows[0].labels, mean)
            done += count
            bar(count)
    parameters = [sum(net.parameters for net in one.description.nets) for one in opened]
    return counts.evaluation(parameters, len(first), [], None, began)


class _Counts:
    """Errors of each net and of their mean."""

    def __init__(self, description: Description, names: list[str], labelled: bool) -> None:
        self._description, self._labelled, self._names = description, labelled, names
        self._images, classes = 0, len(description.classes)
        rows = len(names) + 1 if len(names) > 1 else 1
        self._counters = [[ErrorCounter(views, classes) for views in description.views] for _ in range(rows)]

    def add(self, labels: np.ndarray, each: Sequence[Sequence[np.ndarray]], mean: Sequence[np.ndarray]) -> None:
        """Count N images: labels, (N, classes) of each net and of the mean, by views."""
        if self._labelled:
            for counters, by_views in zip(self._counters, [*each, mean] if len(each) > 1 else [mean]):
                for counter, probabilities in zip(counters, by_views):
                    counter.add(probabilities, labels)
        self._images += len(labels)

    def evaluation(
        self, parameters: Sequence[int], images: int, damaged: list[str], shared: int | None, began: float
    ) -> Evaluation:
        """Everything, once all ``images`` images of the split were added or skipped."""
        if self._images + len(damaged) != images:
            raise OperationFailed(
                f"{self._images} images were counted and {len(damaged)} skipped where there are {images}."
            )
        nets = [NetErrors(*one) for one in zip(self._names, parameters, self._counters)]
        mean = nets[0] if len(nets) == 1 else NetErrors(self._mean_name, sum(parameters), self._counters[-1])
        seconds = time.monotonic() - began
        return Evaluation(
            self._description, self._images, len(damaged), damaged, shared, seconds, nets, mean, self._labelled
        )

    @property
    def _mean_name(self) -> str:
        weights = [net.weight for net in self._description.nets]
        equal = len(set(weights)) == 1
        return f"mean of {len(weights)}" + ("" if equal else f" ({':'.join(f'{weight:g}' for weight in weights)})")


class _Outputs:
    """The files that are asked for: each whole, or absent."""

    def __init__(self, files: EvaluationFiles, description: Description, keys: Iterable[str], labelled: bool) -> None:
        self._files = files
        if not labelled and not files.predictions and not files.submission:
            raise InvalidRequest(
                "The images of this split have no public labels, so there is no error to measure; write a `submission` "
                "for the challenge's own server, or `predictions`."
            )
        self._submission = None
        if files.submission:
            if not files.submission.parent.is_dir():
                raise InvalidRequest(
                    f"{files.submission.parent} is no folder, so the submission cannot be written there."
                )
            self._submission = Submission(keys, [c["devkit_id"] for c in description.classes])
        self._writer = PredictionsWriter(files.predictions, description, files.precision) if files.predictions else None
        self._open = ExitStack()

    def __enter__(self) -> _Outputs:
        if self._writer:
            self._open.enter_context(self._writer)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._open.__exit__(kind, error, trace)
        if kind is None and self._submission is not None:
            self._submission.write(self._files.submission)

    def add(self, ids: Iterable[int], keys: Sequence[str], labels: np.ndarray, mean: Sequence[np.ndarray]) -> None:
        """N images: places in the split, keys, labels, and the mean's (N, classes) by views."""
        if self._writer:
            self._writer.add(keys, labels, mean)
        if self._submission is not None:
            self._submission.add(ids, best_classes(mean[0], GUESSES))


def _check_views(views: Sequence[int]) -> None:
    if not views or len(set(views)) != len(views) or not set(views) <= {1, 10}:
        raise InvalidRequest(f"There are 10 views or 1, not {', '.join(map(str, views)) or 'none'}.")


def _weights(weights: Sequence[float] | None, count: int, what: str) -> list[float]:
    weights = list(weights) if weights else [1.0] * count
    if len(weights) != count:
        raise InvalidRequest(f"`weights` has {len(weights)} numbers for {count} {what}.")
    if min(weights) <= 0 or not sum(weights) < float("inf"):
        raise InvalidRequest("Weights must be positive numbers.")
    return weights
