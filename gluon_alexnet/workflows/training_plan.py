"""What a training trains, on what and where: a new run, or one that goes on; and its first parameters."""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluon_alexnet.recordio.dataset.manifest import Manifest, read_manifest

from .. import backend
from ..errors import InvalidRequest, OperationFailed
from ..model import build
from ..recipes.schema import Recipe
from ..training import finetune, run_folder, run_log
from ..training.callbacks import TrainingCallback
from ..training.trainer import Trainer
from .default_paths import DATA_DEFAULT, RUNS
from .devices import Devices, open_devices
from .layer_files import check_memory
from .learning_options import with_learning
from .run_data import recorded_data


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained, where, and on what."""

    run: Path
    description: run_folder.RunDescription
    contexts: list[Any]  # of MXNet, one a column or one for the whole net
    folder: Path  # of the data set
    manifest: Manifest


@dataclass(frozen=True)
class InitFrom:
    """Another net whose layers a training begins with (Sec. 6: CNN* was fine-tuned from a net of another data set)."""

    path: Path  # a run, a checkpoint or an exported net
    layers: tuple[str, ...] | None = None  # such as ("conv1", "conv2"); None: all that fit
    match_classes: bool = False  # take layer 8's rows of the classes that both have, by wnid
    biases: bool = True  # False: their weights alone, as net #146 of 2012 on Fall 2009 began


def check_resumed(**given: Any) -> None:
    """Raise InvalidRequest for what a run keeps: it names all of that which is given."""
    kept = ("recipe", "variants", "seed", "init_from", "batch_size")
    wrong = [f"`{name}`" for name in kept if given.get(name) not in (None, ())]
    if wrong:
        raise InvalidRequest(
            "`resume` keeps the run's recipe with its variants, its seed, batch size and net; leave "
            f"{', '.join(wrong)} out."
        )


def plan_new_run(
    data: str | os.PathLike[str] | None, recipe: Recipe, run: Path | None, devices: Devices
) -> TrainingPlan:
    """The plan of a run that begins.

    Raises InvalidRequest where ``run`` is in use, the data set is smaller than a batch, or the memory too small.
    """
    run = run or _unused("-".join([time.strftime("%Y%m%d-%H%M%S"), recipe.name, *recipe.variants]))
    if (run / "recipe.json").exists():
        raise InvalidRequest(f"{run} holds a run already; continue it with `resume` or name another folder.")
    if run.exists() and not run.is_dir():
        raise InvalidRequest(f"{run} is a file and no folder for a run; name another with `run`.")
    contexts = open_devices(devices, recipe.network.devices)
    check_memory(recipe, contexts)
    folder = DATA_DEFAULT if data is None else Path(data)
    manifest = read_manifest(folder)
    batch_size, images = recipe.learning.batch_size, manifest.split("train").images
    if batch_size > images:
        raise InvalidRequest(
            f"The batch size is {batch_size}, but {folder} has {images} training images; give {images} or "
            "less as `batch_size`."
        )
    classes = [{"wnid": c.wnid, "name": c.name} for c in manifest.classes]
    description = run_folder.RunDescription(
        recipe, classes, str(folder.absolute()), manifest.digest, backend.versions()
    )
    return TrainingPlan(run, description, contexts, folder, manifest)


def _unused(name: str) -> Path:
    """The folder of that name in runs, with -2, -3, … behind it where runs of the same second are there."""
    numbered = (RUNS / (name if number == 1 else f"{name}-{number}") for number in itertools.count(1))
    return next(folder for folder in numbered if not folder.exists())


def plan_resumed_run(
    data: str | os.PathLike[str] | None, run: Path | None, devices: Devices, learning: dict[str, Any]
) -> TrainingPlan:
    """The plan of a run that goes on, the newest if none is named, with other numbers of its learning.

    Raises InvalidRequest where there is no run, or its data set is another one or not there.
    """
    run = run or run_folder.newest_run(RUNS)
    description = run_folder.read_description(run)
    description = dataclasses.replace(description, recipe=with_learning(description.recipe, learning))
    contexts = open_devices(devices, description.recipe.network.devices)
    folder = recorded_data(run, description) if data is None else Path(data)
    manifest = read_manifest(folder)
    description = dataclasses.replace(description, data=str(folder.absolute()))
    if manifest.digest != description.data_digest:
        raise InvalidRequest(
            f"{run} was trained on another data set than {folder} (digest {description.data_digest[:12]}…, not "
            f"{manifest.digest[:12]}…); name the right one with `data`."
        )
    return TrainingPlan(run, description, contexts, folder, manifest)


def initialized(
    trainer: Trainer,
    description: run_folder.RunDescription,
    seed: int,
    init: InitFrom | None,
    callback: TrainingCallback,
) -> run_folder.RunDescription:
    """Give the trainer its first parameters; the run's description with where they are from."""
    classes = description.classes
    if init is None:
        trainer.initialize(seed)
        return description
    network = description.recipe.network
    initial = build.initial_parameters(network, len(classes), seed)
    last = build.output_layers(network)
    parameters, taken = finetune.transfer(
        initial, classes, Path(init.path), init.layers, init.match_classes, last, init.biases
    )
    trainer.restore(parameters, {})
    matched = f", and {taken.matched_classes} of {len(classes)} classes of fc8" if init.match_classes else ""
    without = "" if init.biases else " without their biases"
    callback.message(f"{', '.join(taken.layers)} of {init.path}{without}{matched}; the other layers are new")
    return dataclasses.replace(description, initialized_from=finetune.to_dict(taken))


def began_with(
    run: Path, description: run_folder.RunDescription, callback: TrainingCallback
) -> tuple[int, InitFrom | None]:
    """Seed and initialisation of a run that was stopped before its first checkpoint.

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
    layers, classes = tuple(taken["layers"]), bool(taken["matched_classes"])
    return description.seed, InitFrom(Path(taken["source"]), layers, classes, taken.get("biases", True))


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
