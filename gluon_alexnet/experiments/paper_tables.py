"""Tables 1 and 2 of the paper as steps (Sec. 6): which net begins with which, on which data, by which recipe.

What the diary of the 2012 code does not tell is said beside the row that needs it, with what is done instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..evaluation.metrics import Score
from ..recipes.presets import RECIPES

_CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6")


@dataclass(frozen=True)
class DataSet:
    """A data set that a step learns from, and how it is known."""

    words: str
    classes: int
    pack: str  # the command that makes it
    wnids: str | None = None  # SHA-256 (hex) of its classes' sorted wnids with newlines between them; None: not known
    halves: bool = False  # whether training and validation images are the same number, but for odd ones


DATA_SETS = {
    "ilsvrc-2010": DataSet(
        "ILSVRC-2010",
        1000,
        "pack --ilsvrc 2010 --source DIR",
        "5365280f1c0b13c7f97e278f62f1d9b82b91ea06c4aeb6a68b6ac8caa374059e",
    ),
    "ilsvrc-2012": DataSet(
        "ILSVRC-2012",
        1000,
        "pack --ilsvrc 2012 --source DIR",
        "385e0240499426c022b773be1ae4da780f057b89c9694c7f47199f62746b6edd",
    ),
    "fall-2009": DataSet("ImageNet, Fall 2009", 10_184, "pack --train DIR --val DIR"),
    "fall-2011": DataSet("ImageNet, Fall 2011", 21_843, "pack --train DIR --val DIR"),
    "fall-2009-half": DataSet(
        "ImageNet, Fall 2009, half of it to learn from", 10_184, "pack --train DIR --split-half SEED", halves=True
    ),
}


@dataclass(frozen=True)
class Start:
    """Another step's net that a step begins with."""

    step: str
    layers: tuple[str, ...]
    biases: bool = True  # False: their weights alone


@dataclass(frozen=True)
class Step:
    """One training."""

    name: str  # of its run folder, too
    recipe: str
    data: str  # of DATA_SETS
    seed: int = 0
    start: Start | None = None  # None: new weights


@dataclass(frozen=True)
class Row:
    """One row of a table: the nets whose mean it is, and what is not told of them."""

    name: str  # on the command line
    net: str  # as printed
    nets: tuple[str, ...]  # names of steps
    printed: str  # errors in per cent
    unknown: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()  # in what these steps are not those that are told


_FIVE = ("net-145", *(f"net-145-seed-{seed}" for seed in range(1, 5)))

_ALL = (
    Step("net-145-2010", "net-145-2010", "ilsvrc-2010"),
    Step("net-145", "net-145", "ilsvrc-2012"),
    *(Step(name, "net-145", "ilsvrc-2012", seed) for seed, name in enumerate(_FIVE) if seed),
    Step("net-146-2009", "net-146-2009", "fall-2009", 0, Start("net-145", _CONVOLUTIONS[:5], biases=False)),
    Step("net-146-2011", "net-146-2011", "fall-2011", 0, Start("net-146-2009", _CONVOLUTIONS)),
    Step(
        "net-146-2012-2011",
        "net-146-2012-2011",
        "ilsvrc-2012",
        0,
        Start("net-146-2011", (*_CONVOLUTIONS, "fc6", "fc7")),
    ),
    Step(
        "net-146-2012-2009",
        "net-146-2012-2009",
        "ilsvrc-2012",
        0,
        Start("net-146-2009", (*_CONVOLUTIONS, "fc6", "fc7")),
    ),
    Step("six-conv-2009-half", "six-conv-2009-half", "fall-2009-half"),
)
STEPS = {step.name: step for step in _ALL}

_SEED = "which seeds and which order of the images: here seed 0 and that of the pack"
_WHICH_FIVE = (
    "which five nets: the diary has five single nets with scores over ten views that were begun before October 2012, "
    "#120, #131, #135, #137 and #145, and all but #145 have a low-resolution path beside conv1, which no recipe has; "
    "here net-145 from five seeds"
)
_MEAN = (
    "how they were averaged: avg-valid.py of the 2012 code searches weights of a mean on the validation images, and "
    "whether this row used it is not told; here all nets count the same"
)
_PRETRAINED = (
    "which state of #145 the convolutions were taken from (#146 began less than two days after #145): here its end",
    "which images of Fall 2009 and Fall 2011 were held out: here those that the data set has as val",
)
_WHOLE_EPOCHS = ("both pre-trainings were stopped within an epoch, at 6.6491 and 8.11295: here they end with it",)

TABLES: dict[str, tuple[Row, ...]] = {
    "table-1": (
        Row(
            "1-cnn",
            "1 CNN",
            ("net-145-2010",),
            "test 37.5/17.0",
            (_SEED, "when the biases' rate fell from .02 to .002: here with the first drop of the weights' rate"),
        ),
    ),
    "table-2": (
        Row("1-cnn", "1 CNN", ("net-145",), "val 40.7/18.2", (_SEED,)),
        Row("5-cnns", "5 CNNs", _FIVE, "val 38.1/16.4, test top-5 16.4", (_WHICH_FIVE, _MEAN)),
        Row("1-cnn-star", "1 CNN*", ("net-146-2012-2011",), "val 39.0/16.6", (_SEED, *_PRETRAINED), _WHOLE_EPOCHS),
        Row(
            "7-cnns-star",
            "7 CNNs*",
            (*_FIVE, "net-146-2012-2011", "net-146-2012-2009"),
            "val 36.7/15.4, test top-5 15.3",
            (
                _WHICH_FIVE,
                "which second CNN*: the diary has one pre-trained on Fall 2011 and one on Fall 2009; here both",
                _MEAN,
                *_PRETRAINED,
            ),
            _WHOLE_EPOCHS,
        ),
        Row(
            "10184-classes",
            "6 conv layers, Fall 2009, 10,184 classes (text, Sec. 6)",
            ("six-conv-2009-half",),
            "the other half 67.4/40.9",
            (
                "which net earned it: #141-2009-half of the diary has no score, a low-resolution path beside conv1, "
                "and after 28 epochs went on with a rate of .001 and the colour shift to epoch 56 or later; here the "
                "layers of CNN* by that diary to its first end",
                "which half: here that of the pack's --split-half",
            ),
        ),
    ),
}


def rows_of(table: str, names: Sequence[str] = ()) -> list[Row]:
    """The rows of a table with these names, in its order; without names all of them."""
    return [row for row in TABLES[table] if not names or row.name in names]


def steps_of(rows: Sequence[Row]) -> list[Step]:
    """The steps that the rows need, each once, every step after the one it begins with."""
    needed = [name for row in rows for name in row.nets]
    for name in needed:  # grows as it is gone through
        start = STEPS[name].start
        if start is not None and start.step not in needed:
            needed.append(start.step)
    return [step for step in _ALL if step.name in needed]


def plan(table: str, rows: Sequence[Row]) -> str:
    """The steps in words: data sets, starts, recipes with their timetables, and what is not told."""
    steps = steps_of(rows)
    lines = [f"{table}: {len(steps)} training{'s' * (len(steps) > 1)}", "", "data sets"]
    for name in dict.fromkeys(step.data for step in steps):
        data = DATA_SETS[name]
        lines.append(f"  {name}: {data.words}, {data.classes:,} classes (alexnet-tools {data.pack})")
    lines += ["", "trainings, in this order"]
    for number, step in enumerate(steps, 1):
        lines += [f"  {number}. {line}" if not place else f"     {line}" for place, line in enumerate(_words(step))]
    lines += ["", "rows"]
    for row in rows:
        mean = f"the mean of {len(row.nets)} nets, " if len(row.nets) > 1 else ""
        lines.append(f"  {row.name}: {row.net}, printed: {row.printed}")
        lines.append(f"     {mean}{', '.join(row.nets)}; over ten views")
        lines += [f"     not told: {sentence}" for sentence in row.unknown]
        lines += [f"     differs: {sentence}" for sentence in row.differs]
    return "\n".join(lines)


def results(table: str, measured: Sequence[tuple[Row, Mapping[str, Score]]], rehearsal: bool = False) -> str:
    """What was measured beside what is printed. measured: each row with its scores over ten views by split."""
    width = max(len(row.net) for row, _ in measured)
    lines = [f"{table}: errors in %, top-1/top-5, over ten views", f"{'net':<{width}}  measured"]
    if rehearsal:
        lines.insert(
            0, "A rehearsal: nets of an eighth of the width on any data sets; the printed errors are no target."
        )
    for row, scores in measured:
        errors = ", ".join(
            f"{split} {score.top1:.2f}/{score.top5:.2f} ({score.images} images)" for split, score in scores.items()
        )
        lines.append(f"{row.net:<{width}}  {errors}; printed: {row.printed}")
    return "\n".join(lines)


def _words(step: Step) -> list[str]:
    recipe = RECIPES[step.recipe]
    learning, begins = recipe.learning, "new weights"
    if step.start is not None:
        without = "" if step.start.biases else ", their weights without their biases"
        begins = f"{', '.join(step.start.layers)} of {step.start.step}{without}; the other layers new"
    lines = [
        f"{step.name}: recipe {step.recipe} on {step.data}, seed {step.seed}, {learning.epochs} epochs",
        f"begins with: {begins}",
    ]
    if step.seed:
        return [*lines, f"rate {learning.learning_rate:g}, then as {step.recipe} above"]
    network = recipe.alexnet
    there = [*(name for name, _ in network.convolutions()), *(name for name, _ in network.hidden()), "fc8"]
    changes = [
        replace(change, layers=tuple(layer for layer in change.layers if layer in there))
        for change in learning.timetable
    ]
    return [*lines, f"rate {learning.learning_rate:g}", *map(str, changes)]
