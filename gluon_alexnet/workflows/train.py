"""Training a net on a packed data set (Sec. 5), from the first update or from where a run stopped."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import backend
from ..distributed.collectives import SingleWorker
from ..errors import InvalidRequest
from ..model import build
from ..plots.curves import draw_curves
from ..recipes import variants as recipe_variants
from ..recipes.presets import RECIPES
from ..recipes.schema import Recipe
from ..training import checkpoint, loop, lr_schedule, run_folder, run_log
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
from .devices import Devices
from .distributed_training import check_compression, check_parts, joined_workers, take_residuals
from .learning_options import with_learning
from .training_data import TrainingData
from .training_plan import (
    InitFrom,
    TrainingPlan,
    began_with,
    check_resumed,
    initialized,
    plan_new_run,
    plan_resumed_run,
    say_other_devices,
)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingOptions:
    """What does not change what is learned."""

    checkpoint_minutes: float = 30.0  # between two checkpoints within an epoch
    on_damaged: str = "stop"  # or "skip": leave damaged records out and count them
    job: Any = (
        None  # the job of several processes that this is a worker of, from workflows.distributed_training.join_job
    )
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
        check_resumed(recipe=recipe, variants=variants, seed=seed, init_from=init_from, **learning)
        plan = plan_resumed_run(data, None if run is None else Path(run), devices, learning)
    else:
        chosen = recipe if isinstance(recipe, Recipe) else _named(recipe or "paper")
        chosen = with_learning(recipe_variants.apply(chosen, variants), learning)
        plan = plan_new_run(data, chosen, None if run is None else Path(run), devices)
    description = plan.description
    check_parts(options.job, plan.manifest, description.recipe.learning.batch_size)
    check_compression(description.recipe.learning, options.job, options.kvstore)
    trainer = Trainer(description.recipe, len(description.classes), plan.contexts)
    new = not resume or not run_folder.has_checkpoint(plan.run)
    if resume and new:
        seed, init_from = began_with(plan.run, description, everyone)
    if new:
        state = checkpoint.State(seed or 0)
        if init_from is not None and not isinstance(init_from, InitFrom):
            init_from = InitFrom(Path(init_from))
        description = dataclasses.replace(
            initialized(trainer, description, state.seed, init_from, everyone), seed=state.seed
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


@dataclass
class _Session:
    """One process's training of a run."""

    plan: TrainingPlan
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


def _named(name: str) -> Recipe:
    if name not in RECIPES:
        raise InvalidRequest(f"There is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]


def _log_start(description: run_folder.RunDescription, trainer: Trainer, plan: TrainingPlan) -> None:
    _LOG.info("recipe %s; data set %s, digest %s", description.recipe, plan.folder, description.data_digest)
    _LOG.info("%d columns on %s; %s", trainer.columns, plan.contexts, description.versions)


def _curves(run: Path, state: checkpoint.State) -> Path | None:
    if not state.epochs:
        return None
    curves = run / "curves.png"
    draw_curves({run.name: state.epochs}, curves)
    return curves
