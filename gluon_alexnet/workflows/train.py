"""Training a net on a packed data set (Sec. 5), from the first update or from where a run stopped."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluon_alexnet.recordio.dataset.manifest import read_manifest

from .. import backend
from ..distributed.collectives import SingleWorker
from ..errors import InvalidRequest
from ..model import build
from ..plots.curves import draw_curves
from ..recipes import variants as recipe_variants
from ..recipes.presets import RECIPES
from ..recipes.schema import Recipe
from ..training import checkpoint, finetune, loop, lr_schedule, run_folder, run_log
from ..training.callbacks import (
    CallbackList,
    CheckpointWriter,
    LogWriter,
    RunArrays,
    TrainingCallback,
    TrainingStart,
    WorkerCallback,
)
from ..training.trainer import Trainer
from .cluster import check_compression, check_parts, joined_workers, take_residuals
from .devices import Devices, open_devices
from .folders import DATA_DEFAULT, RUNS
from .layer_files import check_memory
from .learning_options import LearningOptions, changed
from .resuming import began_with, say_other_devices
from .run_data import recorded_data
from .training_data import TrainingData

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class InitFrom:
    """Another net whose layers a training begins with (Sec. 6: CNN* was fine-tuned from a net of another data set)."""

    path: Path  # a run, a checkpoint or an exported net
    layers: tuple[str, ...] | None = None  # such as ("conv1", "conv2"); None: all that fit
    match_classes: bool = False  # take layer 8's rows of the classes that both have, by wnid
    biases: bool = True  # False: their weights alone, as net #146 of 2012 on Fall 2009 began


@dataclass(frozen=True)
class TrainingOptions:
    """What does not change what is learned."""

    checkpoint_minutes: float = 30.0  # between two checkpoints within an epoch
    on_damaged: str = "stop"  # or "skip": leave damaged records out and count them
    job: Any = None  # the job of several processes that this is a worker of, from workflows.cluster.join_job
    kvstore: str | None = None  # "dist_sync" or "dist_async", with a job


@dataclass(frozen=True)
class TrainingResult:
    """Where a training stands when :func:`train` returns."""

    run: Path
    epochs: list[dict[str, Any]]  # of each finished epoch: losses, errors in per cent, learning rates, times
    finished: bool  # the schedule ended; False: a callback stopped it, and it can be resumed
    position: int  # images of the unfinished epoch that were gone through
    images: int  # of an epoch
    damaged: list[str]  # a sentence for each record that was left out
    curves: Path | None  # the plot of errors and losses
    leads: bool = True  # False in the workers of a job but the first, which write nothing


def train(
    data: str | os.PathLike[str] | None = None,
    *,
    recipe: str | Recipe | None = None,
    variants: Sequence[str] = (),
    devices: Devices = None,
    run: str | os.PathLike[str] | None = None,
    resume: bool = False,
    seed: int | None = None,
    init_from: InitFrom | str | os.PathLike[str] | None = None,
    callbacks: Sequence[TrainingCallback] = (),
    options: TrainingOptions = TrainingOptions(),
    **learning: Any,
) -> TrainingResult:
    """Train a net, or with ``resume`` go on with a run exactly where it stopped (Sec. 5).

    data: data set folder that :func:`pack` made (default: data/ilsvrc2012, or the run's). recipe: "paper" (the
    default), another of :data:`gluon_alexnet.recipes.presets.RECIPES`, or a Recipe. variants: changes to it, by name.
    devices: ``["gpu(0)", "gpu(1)"]`` puts a column on each (Sec. 3.2), one device holds the whole net; CPU contexts
    work alike. run: folder (default: runs/<date>-<recipe>; with resume, the newest run). seed: of initial weights,
    order, crops and dropout (default 0). init_from: another net to begin with. learning: fields of
    :class:`gluon_alexnet.workflows.learning_options.LearningOptions`, such as ``epochs=2, batch_size=64,
    learning_rate=0.01, steps=(1,)``, or other numbers of the recipe's :class:`gluon_alexnet.recipes.schema.Learning`.

    Every epoch ends with the validation error over the centre view, a checkpoint, and a line in RUN/log.jsonl. Raises
    InvalidRequest for wrong use, before anything is written; OperationFailed where the loss or a gradient is not a
    finite number, or the last checkpoint could not be written.
    """
    everyone = CallbackList(callbacks)
    if resume:
        _check_resumed(recipe=recipe, variants=variants, seed=seed, init_from=init_from, **learning)
        plan = _resumed(data, None if run is None else Path(run), devices, learning)
    else:
        chosen = recipe if isinstance(recipe, Recipe) else _named(recipe or "paper")
        chosen = with_learning(recipe_variants.apply(chosen, variants), learning)
        plan = _begun(data, chosen, None if run is None else Path(run), devices)
    description = plan.description
    check_parts(options.job, plan.manifest, description.recipe.learning.batch_size)
    check_compression(description.recipe.learning, options.job, options.kvstore)
    trainer = Trainer(description.recipe, len(description.classes), plan.contexts)
    new = not resume or not run_folder.has_checkpoint(plan.run)
    if resume and new:
        seed, taken = began_with(plan.run, description, everyone)
        init_from = None if taken is None else InitFrom(**taken)
    if new:
        state = checkpoint.State(seed or 0)
        if init_from is not None and not isinstance(init_from, InitFrom):
            init_from = InitFrom(Path(init_from))
        description = dataclasses.replace(
            _initialized(trainer, description, state.seed, init_from, everyone), seed=state.seed
        )
    else:
        _, state, parameters, momentum = checkpoint.load_run(plan.run)
        if "learning_rate" in learning:
            state.manual_rate = None  # the rate given now is the one that counts
        trainer.restore(parameters, momentum)
        say_other_devices(plan.run, plan.contexts, everyone)
    with joined_workers(options.job, options.kvstore, trainer, description, state, everyone.message) as workers:
        if not new:
            take_residuals(plan.run, trainer, workers, everyone)
        seen = TrainingData(plan.folder, description.recipe, state.seed, options.on_damaged, workers)
        _log_start(description, trainer, plan)
        session = _Session(plan, description, trainer, seen, state, workers)
        if workers.rank == 0:
            finished = session.lead(everyone, options.checkpoint_minutes, new)
        else:
            finished = session.follow(everyone, new)
    return TrainingResult(
        plan.run,
        state.epochs,
        finished,
        state.position,
        seen.data.images,
        [sentence for reader in seen.readers for sentence in reader.damaged.values()],
        _curves(plan.run, state) if workers.rank == 0 else None,
        workers.rank == 0,
    )


def with_learning(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """The recipe with another way to learn: fields of LearningOptions, and other numbers of the recipe's Learning.

    Raises InvalidRequest for a name that is in neither, and for options that contradict each other.
    """
    options = {one.name for one in dataclasses.fields(LearningOptions)}
    known = {one.name for one in dataclasses.fields(recipe.learning)}
    unknown = sorted(set(changes) - known - options)
    if unknown:
        names = ", ".join(sorted(known | options))
        raise InvalidRequest(f"There is no {unknown[0]!r} in a recipe's learning; there are {names}.")
    numbers = {name: value for name, value in changes.items() if name not in options}
    recipe = dataclasses.replace(recipe, learning=dataclasses.replace(recipe.learning, **numbers))
    return changed(recipe, LearningOptions(**{name: value for name, value in changes.items() if name in options}))


@dataclass(frozen=True)
class _Plan:
    """What is trained, where, and on what."""

    run: Path
    description: run_folder.RunDescription
    contexts: list[Any]
    folder: Path
    manifest: Any


@dataclass
class _Session:
    """One process's training of a run."""

    plan: _Plan
    description: run_folder.RunDescription
    trainer: Trainer
    seen: TrainingData
    state: checkpoint.State
    workers: SingleWorker

    def lead(self, everyone: TrainingCallback, minutes: float, new: bool) -> bool:
        """Train as the process that writes the run: the only one, or a job's first worker."""
        run, recipe = self.plan.run, self.description.recipe
        run.mkdir(parents=True, exist_ok=True)
        with run_log.Log(run, self.state.log_bytes) as log:
            run_folder.write_description(run, self.description)
            obstacle = build.normalization_obstacle(recipe.network, self.plan.contexts)
            if obstacle is not None:
                everyone.message(f"Training takes the slower response normalisation: {obstacle}.")
            few = lr_schedule.few_updates(recipe.learning, self.seen.data.images)
            if few and new and self.description.initialized_from is None:
                everyone.message(few)
            mean = backend.mx.nd.array(self.seen.mean)
            arrays = RunArrays(
                lambda: {**self.trainer.parameters(), "mean": mean}, self.trainer.momentum, self.trainer.residuals
            )
            writer = CheckpointWriter(run, log, arrays, minutes, everyone.message)
            callback = CallbackList([LogWriter(log), writer, everyone])
            callback.begin(
                TrainingStart(
                    run,
                    self.seen.data.images,
                    len(self.description.classes),
                    [str(context) for context in self.plan.contexts],
                    self.workers.count,
                    dataclasses.asdict(recipe.learning),
                ),
                self.state,
            )
            try:
                if new:
                    callback.save(self.state, best=False)  # a run that is killed in its first epoch can be resumed, too
                finished = loop.train(self.trainer, recipe, self.seen.data, self.state, callback, self.workers)
            finally:
                callback.end()
        if writer.failure is not None:
            raise writer.failure
        return finished

    def follow(self, everyone: TrainingCallback, new: bool) -> bool:
        """Train as another worker of a job."""
        own = WorkerCallback(RunArrays(self.trainer.parameters, self.trainer.momentum, self.trainer.residuals))
        callback = CallbackList([own, StopOnly(everyone)])
        if new:
            callback.save(self.state, best=False)
        return loop.train(self.trainer, self.description.recipe, self.seen.data, self.state, callback, self.workers)


class StopOnly(TrainingCallback):
    """Passes on the wish to stop alone: in a job's other workers nothing else is the callbacks' business."""

    def __init__(self, other: TrainingCallback) -> None:
        self._other = other

    def stop(self) -> bool:
        return self._other.stop()


def _log_start(description: run_folder.RunDescription, trainer: Trainer, plan: _Plan) -> None:
    _LOG.info("recipe %s; data set %s, digest %s", description.recipe, plan.folder, description.data_digest)
    _LOG.info("%d columns on %s; %s", trainer.columns, plan.contexts, description.versions)


def _check_resumed(**given: Any) -> None:
    """Raise InvalidRequest for what a run keeps: it names all of that which is given."""
    kept = ("recipe", "variants", "seed", "init_from", "batch_size")
    wrong = [f"`{name}`" for name in kept if given.get(name) not in (None, ())]
    if wrong:
        raise InvalidRequest(
            "`resume` keeps the run's recipe with its variants, its seed, batch size and net; leave "
            f"{', '.join(wrong)} out."
        )


def _named(name: str) -> Recipe:
    if name not in RECIPES:
        raise InvalidRequest(f"There is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]


def _begun(data: str | os.PathLike[str] | None, recipe: Recipe, run: Path | None, devices: Devices) -> _Plan:
    run = run or RUNS / "-".join([time.strftime("%Y%m%d-%H%M%S"), recipe.name, *recipe.variants])
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
    return _Plan(run, description, contexts, folder, manifest)


def _resumed(
    data: str | os.PathLike[str] | None, run: Path | None, devices: Devices, learning: dict[str, Any]
) -> _Plan:
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
    return _Plan(run, description, contexts, folder, manifest)


def _initialized(
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


def _curves(run: Path, state: checkpoint.State) -> Path | None:
    if not state.epochs:
        return None
    curves = run / "curves.png"
    draw_curves({run.name: state.epochs}, curves)
    return curves
