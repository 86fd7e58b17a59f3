"""Tables 1 and 2 of the paper (Sec. 6): every training of a row, one after another, and the mean of its nets."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluon_alexnet.recordio.dataset.manifest import MANIFEST, Manifest, read_manifest

from ...atomic_files import write_text
from ...errors import InvalidRequest
from ...evaluation.predictions import Predictions
from ...experiments import paper_tables
from ...experiments.paper_tables import DATA_SETS, TABLES, Row, Step, rows_of, steps_of
from ...recipes.presets import RECIPES, an_eighth
from ...recipes.schema import Recipe
from ...training import checkpoint, lr_schedule, run_folder
from ...training.callbacks import TrainingCallback
from ..devices import Devices
from ..evaluate import Evaluation, EvaluationFiles, average_predictions, evaluate
from ..learning_options import with_learning
from ..progress import ImageProgress, silent
from ..train import train
from ..training_plan import InitFrom

__all__ = [
    "DATA_SETS",
    "MeasuredRow",
    "plan_of",
    "rehearsed",
    "reproduce_table",
    "wanted_rows",
    "write_results",
]


@dataclass(frozen=True)
class MeasuredRow:
    """A row of the table, and its errors by split; a split without public labels is not among them."""

    row: Row
    errors: dict[str, Evaluation]


def rehearsed(recipe: Recipe) -> Recipe:
    """The recipe at an eighth of its width, for trying the steps."""
    return dataclasses.replace(recipe, network=an_eighth(recipe.alexnet))


def reproduce_table(
    table: str,
    data: Mapping[str, str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    rows: Sequence[str] = (),
    devices: Devices = None,
    callbacks: Sequence[TrainingCallback] = (),
    progress: ImageProgress = silent,
    rehearsal: Callable[[Recipe], Recipe] | None = None,
    **learning: Any,
) -> list[MeasuredRow]:
    """Train the nets of the rows of "table-1" or "table-2" below ``out``, and measure each row over ten views.

    data: folder of each data set, by its name in :data:`gluon_alexnet.experiments.paper_tables.DATA_SETS`. rows: their
    names (default: all). rehearsal: what is made of each recipe, such as :func:`rehearsed`; then any data sets will do.
    learning: as for :func:`gluon_alexnet.workflows.train.train`, for every step.

    What is finished is not done again; what was stopped or killed is resumed, exactly. Where a callback stops a
    training, the rows that are measured are returned. Raises InvalidRequest, before anything is trained, for a data set
    that is not the one a step needs, and for a folder that holds another run.
    """
    wanted, out = wanted_rows(table, rows), Path(out)
    work = [_Work(step, data, out, rehearsal, learning) for step in steps_of(wanted)]
    for one in work:
        one.check_run()
    job = _Job(devices, list(callbacks), progress)
    found: list[MeasuredRow] = []
    for number, one in enumerate(work, 1):
        job.say(f"{number} of {len(work)}: {one.step.name} on {one.step.data}")
        if not job.train(one):
            return found
        done = {other.step.name: other for other in work[:number]}
        for row in wanted:
            if set(row.nets) <= set(done) and row not in [other.row for other in found]:
                errors = job.measure([done[name] for name in row.nets])
                if errors is None:
                    return found
                found.append(MeasuredRow(row, errors))
    return found


def plan_of(table: str, rows: Sequence[str] = ()) -> str:
    """The steps of a table's rows in words: what is trained on what, by which recipe, in which order."""
    return paper_tables.plan(table, wanted_rows(table, rows))


def write_results(table: str, measured: Sequence[MeasuredRow], out: Path, rehearsal: bool = False) -> str:
    """Write OUT/TABLE.txt, the measured rows beside the printed ones; returns what it holds."""
    scores = [(row.row, {split: found.scores[0] for split, found in row.errors.items()}) for row in measured]
    text = paper_tables.results(table, scores, rehearsal)
    write_text(out / f"{table}.txt", text + "\n")
    return text


def wanted_rows(table: str, names: Sequence[str]) -> list[Row]:
    """The rows of a table with these names; all without names. Raises InvalidRequest where there is none."""
    if table not in TABLES:
        raise InvalidRequest(f"There is no table {table!r}; there are {', '.join(TABLES)}.")
    known = [row.name for row in TABLES[table]]
    for name in names:
        if name not in known:
            raise InvalidRequest(f"There is no row {name!r} in {table}; there are {', '.join(known)}.")
    return rows_of(table, names)


class _Work:
    """A step with its folders, its data set's description and its recipe."""

    def __init__(self, step: Step, data: Mapping, out: Path, rehearsal: Callable | None, learning: dict) -> None:
        self.step, self.run = step, out / step.name
        needed = DATA_SETS[step.data]
        self.data = Path(data.get(step.data, ""))
        if step.data not in data or not (self.data / MANIFEST).exists():
            there = f"{self.data} holds none" if step.data in data else "no folder of it is given"
            raise InvalidRequest(
                f"{step.name} needs {needed.words}, and {there}; name it in `data`, {step.data}=DIR (alexnet-tools "
                f"{needed.pack} makes it)."
            )
        manifest = read_manifest(self.data)
        self.digest = manifest.digest
        if rehearsal is None:
            check_data_set(manifest, step.data, self.data, step.name)
        self.recipe = with_learning(rehearsal(RECIPES[step.recipe]) if rehearsal else RECIPES[step.recipe], learning)
        start = step.start
        self.start = None if start is None else InitFrom(out / start.step, start.layers, biases=start.biases)
        splits = {split.name: split for split in manifest.splits}
        labelled = [name for name, split in splits.items() if not split.unlabelled]
        self.scored = [name for name in ("val", "test") if name in labelled]

    def check_run(self) -> None:
        """Raise InvalidRequest where the folder holds a run that is not this step's."""
        if not (self.run / "recipe.json").exists():
            return
        found = run_folder.read_description(self.run)
        begun = found.initialized_from or {}
        source = Path(str(begun.get("source"))).name if begun else None
        start = self.step.start
        same = source == (None if start is None else start.step)
        if found.data_digest != self.digest or found.recipe != self.recipe or not same:
            raise InvalidRequest(
                f"{self.run} is a run of another recipe, data set or start than {self.step.name}; name another folder "
                "with `out`."
            )


def check_data_set(manifest: Manifest, name: str, folder: Path, step: str) -> None:
    """Raise InvalidRequest where a data set is not the one of that name that a step needs, saying what it is."""
    needed, wnids = DATA_SETS[name], sorted(one.wnid for one in manifest.classes)
    own = hashlib.sha256("\n".join(wnids).encode()).hexdigest()
    known = next((one.words for one in DATA_SETS.values() if one.wnids == own), None)
    given = f"is {known}" if known else f"has {len(wnids):,} classes"
    fits = own == needed.wnids if needed.wnids else len(wnids) == needed.classes
    if fits and needed.halves:
        train, val = (manifest.split(split).images for split in ("train", "val"))
        fits, given = abs(train - val) <= len(wnids), f"has {train:,} training and {val:,} validation images"
    elif not fits and needed.wnids and known is None and len(wnids) == needed.classes:
        given = f"has {len(wnids):,} other classes"
    if not fits:
        raise InvalidRequest(
            f"{step} needs {needed.words} ({needed.classes:,} classes), but {folder} {given}; name the right folder "
            f"in `data`, {name}=DIR (alexnet-tools {needed.pack} makes it)."
        )


class _Job:
    """Does the work of steps, as far as it is not done."""

    def __init__(self, devices: Devices, callbacks: list[TrainingCallback], progress: ImageProgress) -> None:
        self._devices, self._callbacks, self._progress = devices, callbacks, progress

    @property
    def stopped(self) -> bool:
        """Whether a callback wants the work to stop."""
        return any(callback.stop() for callback in self._callbacks)

    def say(self, sentence: str) -> None:
        """Tell the callbacks."""
        for callback in self._callbacks:
            callback.message(sentence)

    def train(self, one: _Work) -> bool:
        """Train a step's net, or go on with it; False where a callback stopped it."""
        if self.stopped:
            return False
        common: dict[str, Any] = {"run": one.run, "devices": self._devices, "callbacks": self._callbacks}
        if (one.run / "latest").exists():
            state = checkpoint.read_state(run_folder.find_checkpoint(one.run))
            if lr_schedule.finished(one.recipe.learning, state.errors):
                return True
            return train(one.data, resume=True, **common).finished
        if (one.run / "recipe.json").exists():
            shutil.rmtree(one.run)  # killed before its first checkpoint
        return train(one.data, recipe=one.recipe, seed=one.step.seed, init_from=one.start, **common).finished

    def measure(self, nets: list[_Work]) -> dict[str, Evaluation] | None:
        """Errors of the mean of these nets by split; None where a callback stopped the work."""
        errors = {}
        for split in nets[0].scored:
            files = []
            for net in nets:
                if self.stopped:
                    return None
                files.append(self._predictions(net, split))
            errors[split] = average_predictions(files)
        return errors

    def _predictions(self, one: _Work, split: str) -> Path:
        """The file of a trained net's probabilities on a split, written now unless it is there."""
        file = one.run / f"predictions-{split}.npz"
        if file.exists() and Predictions(file).description.data_digest == one.digest:
            return file
        device = None if self._devices is None else list(self._devices)[:1]
        files = EvaluationFiles(predictions=file)
        evaluate(one.run, one.data, split=split, device=device, files=files, progress=self._progress)
        return file
