"""A run told on one page: what was trained on what, how it went, what the net knows, and how to repeat it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Union

from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.recordio.reading.reader import Reader

from .. import safe_json
from ..atomic_files import write_text
from ..errors import InvalidRequest
from ..evaluation.metrics import Score
from ..model.classifier import classify_with, count_parameters
from ..reporting import document, sections, shown
from ..reporting.judged import Judged, judge
from ..reporting.repeat import repeat
from ..reporting.run import ReportedRun
from ..safe_files import read_text
from ..training import run_folder
from .devices import open_device
from .load import open_run
from .run_data import recorded_data

_LOG = logging.getLogger(__name__)
IMAGES_PER_PASS = {10: 16, 1: 128}  # by views
SPLIT = "val"

PathLike = Union[str, "os.PathLike[str]"]


def report(
    run: PathLike,
    output: PathLike = "report.html",
    data: PathLike | None = None,
    views: Sequence[int] = (10, 1),
    device: Any = None,
    progress: Callable[[int, int], None] = lambda done, images: None,
) -> list[Score]:
    """Write a page that tells of a run, or of one of its checkpoints; returns the errors measured for it.

    Where the data set that the run names is not there any more, none are: the page tells what the run itself knows.
    output: the HTML file, which stands alone. data: the data set, where it is not the one that the run names. views:
    over which the validation images are judged, 10, 1 or both. device: "gpu(0)" or "cpu(0)". progress: called with the
    number of images of a batch that is done, and with how many there are in all. Raises InvalidRequest where ``run`` is
    no run, or the data set has other classes; OperationFailed and DatasetError where something is damaged.
    """
    output = Path(output)
    if not output.parent.is_dir():
        raise InvalidRequest(f"{output.parent} is no folder, so {output.name} cannot be written there.")
    context = open_device(device, "A report")
    told = _open(Path(run), context)
    folder = Path(data) if data else _recorded(told)
    if folder is None:
        _write(output, told, None, [
            sections.what(told, None, ""),
            sections.differences_from_paper(told),
            sections.curves(told),
            sections.results(told, None, None),
            sections.no_images(told),
            shown.kernels(told),
            sections.time_and_speed(told),
            repeat(told, views),
        ])  # fmt: skip
        return []
    manifest = read_manifest(folder)
    if [one.wnid for one in manifest.classes] != [one["wnid"] for one in told.description.classes]:
        raise InvalidRequest(f"{folder} has other classes than the run; name the data set that it was trained on.")
    classify, size = classify_with(told.classifier, context), told.recipe.network.input_size
    with Reader(folder, SPLIT) as reader:
        total = len(reader)
        batches = reader.batches(IMAGES_PER_PASS[max(views)])
        counted = judge(classify, batches, size, len(manifest.classes), views, lambda done: progress(done, total))
        parts = [
            sections.what(told, manifest, folder.name),
            sections.differences_from_paper(told),
            sections.curves(told),
            sections.results(told, counted, manifest),
            shown.confused(told, counted, reader),
            sections.class_by_class(told, counted),
            shown.kernels(told),
            shown.ten_views(told, counted, reader, classify),
            sections.time_and_speed(told),
            repeat(told, views),
        ]
    _LOG.info("judged %d images over %s views; %d parts of a page", total, list(views), len(parts))
    _write(output, told, counted, parts)
    return counted.scores


def _recorded(told: ReportedRun) -> Path | None:
    """The data set folder that the run names; None where it is not there any more."""
    try:
        return recorded_data(told.folder, told.description)
    except InvalidRequest:
        return None


def _write(output: Path, told: ReportedRun, counted: Judged | None, parts: Sequence[document.Raw]) -> None:
    write_text(output, document.document(f"The run {told.folder.name}", sections.lead(told, counted), parts))


def _open(path: Path, context: Any) -> ReportedRun:
    classifier, description, state = open_run(path, context)
    found = run_folder.find_checkpoint(path)
    folder = run_folder.run_of(found)
    events = []
    log = folder / "log.jsonl"
    for line in read_text(log, "replace").splitlines() if log.exists() else ():
        try:
            event = safe_json.parse(line)
        except ValueError:
            continue  # the last line of a run that was killed
        if isinstance(event, dict):
            events.append(event)
    return ReportedRun(folder, found, description, state, events, classifier, count_parameters(classifier))
