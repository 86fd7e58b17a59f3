"""A run told on one page: what was trained on what, how it went, what the net knows, and how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.recordio.reading.reader import Reader

from ..atomic_files import write_text
from ..errors import InvalidRequest
from ..evaluation.metrics import Score
from ..model.classifier import classify_with, count_parameters
from ..reporting import document, sections, shown
from ..reporting.judged import judge
from ..reporting.repeat import repeat
from ..reporting.run import ReportedRun
from ..training import checkpoint
from .load import open_run

IMAGES_A_PASS = {10: 16, 1: 128}  # by views
SPLIT = "val"


def write_report(
    path: Path,
    output: Path,
    context: Any,
    data: Path | None = None,
    views: Sequence[int] = (10, 1),
    report: Callable[[int, int], None] = lambda done, images: None,
) -> list[Score]:
    """Write the page of a run, or of one of its checkpoints, to ``output``; returns the errors measured for it.

    data: the data set, where it is not the one that the run names. views: over which the validation images are
    judged, 10, 1 or both. report: called with the number of images that are done and that there are, after each batch.
    Raises InvalidRequest where ``path`` is no run, or the data set has other classes; OperationFailed and DatasetError
    where something is damaged.
    """
    if not output.parent.is_dir():
        raise InvalidRequest(f"{output.parent} is no folder, so {output.name} cannot be written there.")
    run = _open(path, context)
    folder = data or Path(run.description.data)
    manifest = read_manifest(folder)
    if [one.wnid for one in manifest.classes] != [one["wnid"] for one in run.description.classes]:
        raise InvalidRequest(f"{folder} has other classes than the run; name its data set with --data.")
    classify, size = classify_with(run.classifier, context), run.recipe.network.input_size
    with Reader(folder, SPLIT) as reader:
        total = len(reader)
        batches = reader.batches(IMAGES_A_PASS[max(views)])
        counted = judge(classify, batches, size, len(manifest.classes), views, lambda done: report(done, total))
        parts = [
            sections.what(run, manifest),
            sections.differences_from_paper(run, manifest),
            sections.curves(run),
            sections.results(run, counted, manifest),
            shown.confused(run, counted, reader),
            sections.class_by_class(run, counted),
            shown.kernels(run),
            shown.ten_views(run, counted, reader, classify),
            sections.time_and_speed(run),
            repeat(run, views),
        ]
    title = f"The run {run.folder.name}"
    write_text(output, document.document(title, sections.lead(run, counted, manifest), parts))
    return counted.scores


def _open(path, context) -> ReportedRun:
    classifier, description, state = open_run(path, context)
    found = checkpoint.find_checkpoint(path)
    folder = checkpoint.run_of(found)
    events = []
    log = folder / "log.jsonl"
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else ():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed
        events.append(event)
    return ReportedRun(folder, found, description, state, events, classifier, count_parameters(classifier))
