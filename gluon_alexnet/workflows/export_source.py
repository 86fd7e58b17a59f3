"""What an export is made of: a run, a checkpoint or an exported net, with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidRequest, OperationFailed


@dataclass(frozen=True)
class Source:
    """What is exported."""

    classifier: Any  # a hybridized block from raw images to probabilities
    size: int
    facts: Mapping  # for OUT.json
    model: Path
    origin: Any  # a model_card.Origin


def open_source(run: Path, context: Any) -> Source:
    """What ``run`` names: a run, a checkpoint, or another export, on one device.

    Raises InvalidRequest for what is none of them or has fewer bits; OperationFailed for damaged files.
    """
    from ..exporters import symbol
    from .run_data import check_model

    if symbol.is_export(run):
        return _open_export(run, context)
    check_model(run)
    return _open_run(run, context)


def _open_run(run: Path, context: Any) -> Source:
    from ..exporters.model_card import Origin
    from ..recipes import differences
    from ..training import run_folder, run_log
    from .load import open_run

    classifier, description, state = open_run(run, context)
    folder = run_folder.run_of(run_folder.find_checkpoint(run))
    recipe, last = description.recipe, state.epochs[-1] if state.epochs else {}
    facts = {
        "classes": description.classes,
        "provenance": {
            "run": folder.name,
            "recipe": recipe.name,
            "variants": list(recipe.variants),
            "step": state.step,
            "epochs": state.epoch,
            "data_digest": description.data_digest,
            "versions": description.versions,
        },
        "validation_error": {
            "views": "centre",
            "after_epoch": last.get("epoch"),
            "top1": last.get("validation_top1"),
            "top5": last.get("validation_top5"),
        },
    }
    words = differences.summary(recipe)
    title = f"recipe `{'+'.join([recipe.name, *recipe.variants])}`" + (f" ({words})" if words else "")
    started = run_log.last_start(folder)
    origin = Origin(title, differences.from_paper(recipe), differences.SETTLED, state.epochs, started)
    return Source(classifier, recipe.network.input_size, facts, run, origin)


def _open_export(path: Path, context: Any) -> Source:
    from ..exporters import symbol
    from ..exporters.model_card import Origin

    description = symbol.read_export(path, context)
    for form in ("int8", "bf16"):
        if form in description:
            raise InvalidRequest(
                f"{path} is a net in {form}, from which no other form is made; export the float32 net."
            )
    if symbol.is_part(description):
        raise InvalidRequest(f"{path} is a convolutional part; what classifies is exported in other forms.")
    block = symbol.load_pair(path, context)
    block.hybridize(static_alloc=True)
    facts = {key: description[key] for key in ("classes", "provenance", "validation_error") if key in description}
    source = description["provenance"]
    title = f"made of the exported net `{path.name}`"
    if "recipe" in source:
        title = f"recipe `{'+'.join([source['recipe'], *source['variants']])}`, {title}"
    return Source(block, int(description["input"]["shape"][-1]), facts, path, Origin(title))


def check_finite(block: Any, name: Path) -> None:
    """Raise OperationFailed where a parameter holds NaN or infinity: MXNet's ReLU hides it, other programs do not."""
    for parameter in block.collect_params().values():
        if not np.isfinite(parameter.list_data()[0].asnumpy()).all():
            raise OperationFailed(
                f"{name}: {parameter.name} holds what is not a number, so it is of no use; take another checkpoint."
            )
