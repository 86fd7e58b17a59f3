"""A training's place in a job of several processes with MXNet's parameter server."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..distributed import collectives, process_group
from ..errors import InvalidRequest
from ..recipes import schema, serialization
from ..training import checkpoint, run_folder
from ..training.callbacks import TrainingCallback
from ..training.trainer import Trainer


def join_job(kvstore: str | None, report: Callable[[str], None]) -> process_group.Job | None:
    """The job that DMLC_ROLE and the other DMLC_ variables describe, or None without ``kvstore``.

    kvstore: "dist_sync" or "dist_async".

    In a scheduler or a server this returns when the job is over. Raises InvalidRequest where the environment says
    otherwise, OperationFailed where the scheduler cannot be reached.
    """
    if kvstore is None:
        if os.environ.get("DMLC_ROLE"):
            raise InvalidRequest(
                f"DMLC_ROLE is {os.environ['DMLC_ROLE']!r}, so this process is one of a job: say dist_sync as "
                "`kvstore`, or unset DMLC_ROLE."
            )
        return None
    job = process_group.read_job()
    if job.role == "worker":
        process_group.reach(job)  # before the work of getting ready
    else:
        process_group.serve(job, report)
    return job


def check_parts(job: process_group.Job | None, manifest: Any, batch_size: int) -> None:
    """Raise InvalidRequest where there is not an image for each worker."""
    if job is None:
        return
    for count, what in (
        (batch_size, f"images in a batch of {batch_size}"),
        (manifest.split("val").images, f"validation images ({manifest.split('val').images})"),
    ):
        if job.workers > count:
            raise InvalidRequest(f"There are more workers ({job.workers}) than {what}; start fewer.")


def check_compression(learning: schema.Learning, job: process_group.Job | None, kvstore: str | None) -> None:
    """Raise InvalidRequest where gradients are to be compressed that nobody sends."""
    if learning.compress == "none":
        return
    how = "`compress` " + learning.compress
    if job is None or job.workers == 1:
        raise InvalidRequest(
            f"{how} is for what several workers send each other, and this is the only one; say none as `compress`, or "
            "start workers with `alexnet-tools launch`."
        )
    if kvstore != "dist_sync":
        raise InvalidRequest(
            f"{how} goes with dist_sync as `kvstore`: workers that do not wait send weights, not gradients."
        )


def take_residuals(run: Path, trainer: Trainer, workers: collectives.SingleWorker, callback: TrainingCallback) -> None:
    """Give each worker what compression had kept back when the run was saved: its own, or a share of what all had."""
    saved = checkpoint.load_residuals(run_folder.find_checkpoint(run), workers.rank, workers.count)
    if not saved:
        return
    if not workers.compressed:
        if workers.rank == 0:
            callback.message(f"{run} sent gradients in two bits; what they had kept back by then is left out.")
        return
    if len(saved) != workers.count and workers.rank == 0:
        callback.message(
            f"{len(saved)} workers kept back gradients; each of these {workers.count} takes an equal share."
        )
    trainer.restore_residuals(saved)


@contextmanager
def joined_workers(
    job: process_group.Job | None, kvstore: str | None, trainer: Any, description: Any, state: Any, report: Any
) -> Iterator[collectives.SingleWorker]:
    """The workers of the job, once they have found that they do the same, and the trainer has joined them."""
    if job is None or kvstore is None:
        yield collectives.SingleWorker()
        return
    with process_group.joined(job, kvstore, report) as group:
        group.agree(
            **{
                "the recipe": json.dumps(serialization.to_dict(description.recipe), sort_keys=True),
                "the classes": json.dumps(description.classes),
                "the data set": description.data_digest,
                "the seed": str(state.seed),
                "the checkpoint": json.dumps(
                    [state.step, state.position, state.epochs, dataclasses.asdict(state)["manual_rate"]], sort_keys=True
                ),
                "the devices a replica is on": str(trainer.columns),
            }
        )
        trainer.join(group)
        yield group
