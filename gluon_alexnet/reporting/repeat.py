"""The commands that make a run again, and the digests by which two runs are told apart."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..atomic_files import sha256
from ..recipes import presets, timetable, variants
from . import document as page
from .run import ReportedRun


def repeat(run: ReportedRun, views: Sequence[int]) -> page.Raw:
    """The commands, and the digests of the run's files."""
    words, missing = train_command(run)
    commands = [
        words,
        f"alexnet-tools eval --model {shlex.quote(run.folder.name)} --data {shlex.quote(run.description.data)} --views "
        f"{','.join(map(str, views))}",
    ]
    parts: list[Any] = [page.code(commands)]
    if missing:
        parts.append(page.fine(f"No option of train says: {'; '.join(missing)}. recipe.json has every number."))
    files = ["recipe.json", *(f"{run.checkpoint.name}/{name}" for name in ("parameters.params", "state.json"))]
    paths = [run.folder / "recipe.json", *(run.checkpoint / name for name in ("parameters.params", "state.json"))]
    rows = [(name, sha256(path)) for name, path in zip(files, paths) if path.exists()]
    return page.section("To do it again", *parts, page.heading("Digests (SHA-256)"), page.facts(rows))


def train_command(run: ReportedRun) -> tuple[str, list[str]]:
    """(the command that trains such a run, what no option of it says)."""
    recipe, learning = run.recipe, run.recipe.learning
    words = ["alexnet-tools", "train", "--data", run.description.data, "--recipe", recipe.name]
    for name in recipe.variants:
        words += ["--variant", name]
    base = presets.RECIPES.get(recipe.name, presets.PAPER)
    base = variants.apply(base, recipe.variants)
    changed = base.learning
    for option, field in (("--epochs", "epochs"), ("--batch-size", "batch_size"), ("--lr", "learning_rate")):
        value = getattr(learning, field)
        if value != getattr(base.learning, field):
            words += [option, f"{value:g}"]
            changed = replace(changed, **{field: value})
    changes = timetable.scaled(base.learning.timetable, learning.learning_rate / base.learning.learning_rate)
    changed = replace(changed, timetable=changes)
    drops = timetable.drops(learning.learning_rate, learning.rate_divisor, learning.timetable)
    if learning.timetable != changes and drops and not learning.drops_on_plateau:
        words += ["--lr-steps", ",".join(str(epoch) for epoch, _ in drops)]
        changes = timetable.with_steps(changes, drops)
        changed = replace(changed, timetable=changes, drops_on_plateau=False)
    elif learning.patience != base.learning.patience:
        words += ["--plateau", str(learning.patience)]
        changes = timetable.with_steps(changes, ())
        changed = replace(changed, patience=learning.patience, timetable=changes, drops_on_plateau=True)
    words += ["--seed", str(run.state.seed)]
    kinds = {name.partition("(")[0] for name in run.contexts}
    if len(kinds) == 1:
        numbers = ",".join(name.partition("(")[2].rstrip(")") for name in run.contexts)
        words += [f"--{kinds.pop()}s", numbers]
    same = changed == learning and base.network == recipe.network and base.augmentation == recipe.augmentation
    missing = [] if same else ["some numbers of the recipe"]
    if run.description.initialized_from:
        missing.append("the net that it began with (--init-from)")
    return shlex.join(words), missing
