"""What a report says of a run and its errors, section by section; images are :mod:`.shown`'s."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np

from ..recipes import differences, published
from . import document as page
from .charts import Line, Mark, line_chart
from .judged import Judged
from .run import ReportedRun

CLASSES_SHOWN = 10  # best and worst, where there are more than twice as many


def lead(run: ReportedRun, counted: Judged | None) -> str:
    """The run in two sentences. counted: None where the images are not there any more."""
    count, images = len(run.state.epochs), f"{run.trained_on:,} images of " if run.trained_on else ""
    begun = (
        f"An AlexNet that learned for {count} {'epoch' if count == 1 else 'epochs'} from {images}"
        f"{len(run.description.classes):,} classes."
    )
    if counted:
        score = counted.scores[0]
        images, top1, said = f"{score.images:,}", score.top1, views_said(score.views)
    elif run.log_score:
        log = run.log_score
        images, top1, said = f"{log['validation_images']:,}", log["validation_top1"], f"{views_said(1)}, by its log"
    else:
        return begun
    return f"{begun} Of {images} images that it has not seen, its first guess is wrong for {top1:.1f} % over {said}."


def what(run: ReportedRun, manifest: Any | None, folder: str) -> page.Raw:
    """What learned what. manifest: of the data set that the images were taken from; folder: its name."""
    recipe, network, learning = run.recipe, run.recipe.network, run.recipe.learning
    name = " with ".join(filter(None, [recipe.name, " and ".join(recipe.variants)]))
    same = manifest is not None and manifest.digest == run.description.data_digest
    splits = ", ".join(f"{split.name} {split.images:,}" for split in manifest.splits) if manifest else ""
    learned = (
        f"images: {splits}" if same else f"{run.trained_on:,} training images" if run.trained_on else "no epoch yet"
    )
    pixels = f"{network.input_size}×{network.input_size}"
    rows = [
        ("Recipe", f"{name}: {differences.summary(recipe)}" if differences.summary(recipe) else name),
        (
            "Net",
            f"{run.parameters:,} parameters, {_columns(network)}, input of {pixels} pixels",
        ),
        ("Data", f"{run.description.data}: {len(run.description.classes):,} classes; {learned}"),
        ("Data digest", run.description.data_digest),
        ("Learning", f"batches of {learning.batch_size}, {len(run.state.epochs)} epochs, {run.state.step:,} updates"),
        ("Seed", str(run.state.seed)),
        ("Devices", ", ".join(run.contexts) or "not recorded"),
        ("Versions", ", ".join(f"{name} {number}" for name, number in run.description.versions.items())),
    ]
    origin = run.description.initialized_from
    if origin:
        rows.insert(
            2, ("Begun with", f"{', '.join(origin.get('layers', []))} of {origin.get('source', 'another net')}")
        )
    notes = []
    if manifest and not same:
        place = next(k for k, (name, _) in enumerate(rows) if name == "Learning")
        rows[place:place] = [("Judged on", f"{folder}: images: {splits}"), ("Its digest", manifest.digest)]
        notes.append(
            page.fine("The images and errors below are of another data set than the one that was learned from.")
        )
    if manifest and (shared := manifest.split("val").also_in_train):
        said = f"{shared} of the validation images are in train, too: the errors look better than they are."
        notes.append(page.fine(said))
    return page.section("What was trained", page.facts(rows), *notes)


def _columns(network: Any) -> str:
    columns = getattr(network, "columns", 1)
    return f"{columns} columns" if columns > 1 else "one column"


def differences_from_paper(run: ReportedRun) -> page.Raw:
    """In words."""
    lines, classes = differences.from_paper(run.recipe), len(run.description.classes)
    if classes != 1000:
        ours, theirs = f"{classes:,} classes", "1,000"
        if run.trained_on:
            ours, theirs = f"{ours} and {run.trained_on:,} training images", "1,000 and 1.2 million"
        lines = [f"another data set: {ours} instead of {theirs}", *lines]
    for event in run.events:
        if event.get("event") == "rate" and event.get("by") not in ("steps", "plateau", "timetable"):
            rate = event.get("learning_rate", event.get("rate"))  # logs of older versions have the shorter name
            lines.append(f"learning: the rate was set to {rate:g} at update {event.get('step')} by {event.get('by')}")
    shown = page.items(lines) if lines else "None: every number is the paper's."
    settled = page.items(differences.SETTLED)
    return page.section(
        "Differences from the paper", shown, page.heading("What the paper leaves open, and what was done"), settled
    )


def curves(run: ReportedRun) -> page.Raw:
    """Errors and loss, epoch by epoch."""
    epochs = run.state.epochs
    if not epochs:
        return page.section("How it went", "It has not finished an epoch yet.")
    numbers = range(1, len(epochs) + 1)
    drops = [
        Mark(number - 1, f"{after['learning_rate']:g}")
        for number, before, after in zip(numbers[1:], epochs, epochs[1:])
        if before["learning_rate"] != after["learning_rate"]
    ]
    errors = [
        Line("top-1", "blue", list(zip(numbers, [epoch["validation_top1"] for epoch in epochs]))),
        Line("top-5", "orange", list(zip(numbers, [epoch["validation_top5"] for epoch in epochs]))),
    ]
    last = epochs[-1]
    chart = line_chart(
        errors, drops, "epoch",
        f"Validation error after each of {len(epochs)} epochs; at the end {last['validation_top1']:.1f} % top-1 and "
        f"{last['validation_top5']:.1f} % top-5",
        lambda value: f"{value:g} %",
    )  # fmt: skip
    loss = line_chart(
        [Line("loss", "ink", list(zip(numbers, [epoch["training_loss"] for epoch in epochs])))], drops, "epoch",
        f"Training loss of each epoch; at the end {last['training_loss']:.3f}",
    )  # fmt: skip
    where = "Dotted lines: the learning rate became the number above." if drops else "The learning rate did not change."
    return page.section(
        "How it went",
        page.figure(page.Raw(chart), f"Error on the validation images, centre view. {where}"),
        page.figure(page.Raw(loss), "Mean loss over the training images, as they were cropped, mirrored and coloured."),
    )


def results(run: ReportedRun, counted: Judged | None, manifest: Any | None) -> page.Raw:
    """The errors beside the published ones."""
    rows = [
        [f"this net, {views_said(score.views)}", f"{score.top1:.2f}", f"{score.top5:.2f}", f"{score.images:,}"]
        for score in (counted.scores if counted else ())
    ]
    if not counted and run.log_score:
        log = run.log_score
        errors = (f"{log[name]:.2f}" for name in ("validation_top1", "validation_top5"))
        rows.append([f"this net, {views_said(1)}, by its log", *errors, f"{log['validation_images']:,}"])
    ours, year = list(range(len(rows))), _ilsvrc_year(manifest)
    compared = published.results(year or 2012, "val", run.recipe.variants, run.recipe.name)
    rows += [
        [f"{row.net} (ILSVRC-{row.year} {row.split}; {row.source})", _error(row.top1), _error(row.top5), ""]
        for row in compared
    ]
    parts: list[Any] = [
        page.table(["error, %", "top-1", "top-5", "images"], rows, ours),
        page.fine("Published errors are over ten views unless their name says otherwise."),
    ]
    if len(run.description.classes) != 1000:
        parts.append(
            "The published rows are of 1,000 classes and 1.2 million training images: they say what this net reaches "
            "there, not what it should reach here."
        )
    if len(run.description.classes) <= 5:
        parts.append(f"With {len(run.description.classes)} classes the five best guesses are all of them.")
    return page.section("What it reaches", *parts)


def class_by_class(run: ReportedRun, counted: Judged) -> page.Raw:
    """The errors of single classes."""
    scores = counted.errors[counted.views[0]].class_scores()
    known = sorted((label for label, score in enumerate(scores) if score.images), key=lambda k: (scores[k].top1, k))
    rows = [(run.name(k), scores[k].top1, f"{scores[k].top1:.1f} % of {scores[k].images}") for k in known]
    if len(rows) <= 2 * CLASSES_SHOWN:
        return page.section("Class by class", "Top-1 error, the best first.", page.bars(rows))
    return page.section(
        "Class by class", "Top-1 error.",
        page.heading(f"The best {CLASSES_SHOWN}"), page.bars(rows[:CLASSES_SHOWN]),
        page.heading(f"The worst {CLASSES_SHOWN}"), page.bars(rows[: -CLASSES_SHOWN - 1 : -1]),
    )  # fmt: skip


def time_and_speed(run: ReportedRun) -> page.Raw:
    """How long it took."""
    epochs = [epoch for epoch in run.state.epochs if epoch.get("seconds")]
    starts = [event for event in run.events if event.get("event") == "start"]
    if not epochs:
        return page.section("Time", "No epoch has been timed.")
    speeds = [epoch["images"] / epoch["seconds"] for epoch in epochs]
    seconds = sum(epoch["seconds"] for epoch in epochs)
    rows = [
        ("Spent on training images", f"{seconds / 3600:.2f} hours, {len(epochs)} epochs"),
        ("Images/s", f"median {np.median(speeds):.1f}, from {min(speeds):.1f} to {max(speeds):.1f}"),
        ("Begun", starts[0].get("time", "not recorded") if starts else "not recorded"),
        ("Last epoch ended", str(epochs[-1].get("time") or _last_time(run.events))),
        ("Started", f"{len(starts)} times" if len(starts) != 1 else "once"),
    ]
    return page.section("Time and speed", page.facts(rows))


def _last_time(events: list[dict]) -> str:
    return next((event["time"] for event in reversed(events) if event.get("event") == "epoch"), "not recorded")


def no_images(run: ReportedRun) -> page.Raw:
    """What stands in place of all that needs them."""
    return page.section(
        "What cannot be shown",
        f"The data set {run.description.data} is not there any more, so no image was judged: the classes that are "
        "taken for each other, the best and the worst, and ten views of some images are missing. With its images "
        "packed again, or a data set of the same classes, this shows them:",
        page.code([f"alexnet-tools report {shlex.quote(run.folder.name)} --data DATA"]),
    )


def _ilsvrc_year(manifest: Any | None) -> int | None:
    """The challenge that a data set is of, by the wnid of its development kit's first class."""
    if manifest is None:
        return None
    first = next((one.wnid for one in manifest.classes if one.devkit_id == 1), None)
    if first is None or len(manifest.classes) != 1000:
        return None
    return 2012 if first == "n02119789" else 2010


def views_said(count: int) -> str:
    """A number of views in words."""
    return "ten views" if count == 10 else "the centre view"


def _error(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
