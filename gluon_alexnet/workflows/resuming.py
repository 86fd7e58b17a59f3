"""What a training that goes on must know of the run: how it began, and where it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import OperationFailed
from ..training import run_folder, run_log
from ..training.callbacks import TrainingCallback


def began_with(
    run: Path, description: run_folder.RunDescription, callback: TrainingCallback
) -> tuple[int, dict[str, Any] | None]:
    """(seed, fields of InitFrom) of a run that was stopped before its first checkpoint.

    Raises OperationFailed where an older program began it, which kept no seed.
    """
    if description.seed is None:
        raise OperationFailed(
            f"{run} has no checkpoint, and the older program that began it kept no seed; remove it, and begin again."
        )
    callback.message(f"{run} was stopped before its first checkpoint: it begins again, with seed {description.seed}.")
    taken = description.initialized_from
    if taken is None:
        return description.seed, None
    fields = {"path": Path(taken["source"]), "layers": tuple(taken["layers"]), "biases": taken.get("biases", True)}
    return description.seed, {**fields, "match_classes": bool(taken["matched_classes"])}


def say_other_devices(run: Path, contexts: Sequence[Any], callback: TrainingCallback) -> None:
    """Tell where a run goes on elsewhere than it was: it may, but it does not end bit for bit the same."""
    before, now = run_log.last_start(run).get("contexts"), [str(context) for context in contexts]
    if isinstance(before, list) and _kinds(before) != _kinds(now):
        callback.message(
            f"{run} was trained on {', '.join(map(str, before))} and goes on on {', '.join(now)}: each device draws "
            "its own masks of dropout and rounds in its own order, so it will not end bit for bit as it would have."
        )


def _kinds(devices: Sequence[Any]) -> list[str]:
    """Whether it is a GPU or a CPU, of each: which one of a kind makes no difference."""
    return [str(device).partition("(")[0] for device in devices]
