"""The paper's ablations (Sec. 3 and 7): the full net and its variants, trained alike and measured alike."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gluon_alexnet.recordio.dataset.manifest import read_manifest

from ... import safe_json
from ...atomic_files import write_text
from ...errors import InvalidRequest, OperationFailed
from ...experiments import plots, tables
from ...experiments.tables import Ablation
from ...recipes import variants as recipe_variants
from ...recipes.presets import RECIPES
from ...recipes.published import DIFFERENCES
from ...recipes.schema import Recipe
from ...safe_files import read_text
from ...training import checkpoint, run_folder
from ...training.callbacks import TrainingCallback
from ..devices import Devices
from ..evaluate import evaluate
from ..learning_options import with_learning
from ..progress import ImageProgress, silent
from ..train import train
from .result_table import Reproduced, write_table


@dataclass(frozen=True)
class Ablations:
    """What was measured."""

    ablations: list[Ablation]
    images: int  # of the validation split
    written: Reproduced | None  # the table and the drawing; None where a callback stopped the work


def train_and_measure(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    recipe: str = "paper",
    variants: Sequence[str] = (),
    devices: Devices = None,
    callbacks: Sequence[TrainingCallback] = (),
    progress: ImageProgress = silent,
    **learning: Any,
) -> Ablations:
    """Train the full net and each variant in a run folder of its own below ``out``, and evaluate them.

    variants: names (default: all that have a difference in the paper). What is finished is not done again; what was
    stopped is resumed. Raises InvalidRequest, before anything is trained, where a folder holds another recipe's run or
    another data set's.

    Writes OUT/ablations.txt and OUT/ablations.png once all is done.
    """
    data, out = Path(data), Path(out)
    digest = read_manifest(data).digest
    recipes = {}
    for name in ["full", *dict.fromkeys(variants or DIFFERENCES)]:  # before anything is trained
        changed = recipe_variants.apply(RECIPES[recipe], [name] if name != "full" else [])
        recipes[name] = with_learning(changed, learning)
        if (out / name / "recipe.json").exists():
            found = run_folder.read_description(out / name)
            if found.data_digest != digest or found.recipe != recipes[name]:
                raise InvalidRequest(
                    f"{out / name} is a run of another recipe or data set; name another folder with `out`."
                )
    results: list[Ablation] = []
    images = 0
    for number, (name, one) in enumerate(recipes.items(), 1):
        for callback in callbacks:
            callback.message(f"{number} of {len(recipes)}: {name}")
        measured = _measured(out / name, data, one, devices, callbacks, progress)
        if measured is None:
            return Ablations(results, images, None)
        images, trained = measured["images"], checkpoint.read_state(run_folder.find_checkpoint(out / name)).epoch
        top1, top5 = (
            {score["views"]: score[which] for score in measured["scores"]} for which in ("top1_error", "top5_error")
        )
        results.append(Ablation(name, top1, top5, trained))
    plots.draw_ablations(results, str(data), out / "ablations.png")
    return Ablations(results, images, write_table(out, "ablations", tables.ablations(results, images, str(data))))


def _measured(
    run: Path,
    data: Path,
    recipe: Recipe,
    devices: Devices,
    callbacks: Sequence[TrainingCallback],
    progress: ImageProgress,
) -> dict[str, Any] | None:
    """Errors of the run, trained now as far as it is not; None where a callback stopped it."""
    done = run / "eval.json"
    if done.exists():
        try:
            return safe_json.parse(read_text(done))
        except ValueError as error:
            raise OperationFailed(f"{done} is damaged; remove it, and the same command measures again.") from error
    if devices is not None and recipe.network.devices == 1:
        devices = list(devices)[:1]
    if (run / "latest").exists():
        result = train(data, run=run, resume=True, devices=devices, callbacks=callbacks)
    else:
        if (run / "recipe.json").exists():
            shutil.rmtree(run)  # killed before its first checkpoint
        result = train(data, recipe=recipe, run=run, devices=devices, callbacks=callbacks)
    if not result.finished:
        return None
    found = evaluate(run, data, device=None if devices is None else list(devices)[:1], progress=progress)
    scores = [{**asdict(score), "top1_error": score.top1, "top5_error": score.top5} for score in found.scores]
    content = {"images": found.images, "scores": scores}
    write_text(done, json.dumps(content, indent=1) + "\n")
    return content
