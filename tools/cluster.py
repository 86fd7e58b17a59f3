"""A training's place in a job with a parameter server, for `alexnet-tools train` and `alexnet-tools launch`."""

from __future__ import annotations

import dataclasses
import json
import os
from contextlib import contextmanager

import click

kvstore = click.option(
    "--kvstore",
    type=click.Choice(["dist_sync", "dist_async"]),
    help="Be one process of a job, as DMLC_ROLE and its kin say; `launch` sets them.",
)


def say(sentence):
    """Print to stderr at once."""
    click.echo(sentence, err=True)


def take_part(kind: str | None):
    """The job of this process, or None without --kvstore. As a scheduler or server it is over when this returns."""
    from gluon_alexnet.distributed import process_group as jobs

    if kind is None:
        if os.environ.get("DMLC_ROLE"):
            raise click.UsageError(
                f"DMLC_ROLE is {os.environ['DMLC_ROLE']!r}, so this process is one of a job: say --kvstore dist_sync, "
                "or unset DMLC_ROLE."
            )
        return None
    job = jobs.read_job()
    if job.role == "worker":
        jobs.reach(job)  # before the work of getting ready
    else:
        jobs.serve(job, say)
    return job


def check_parts(job, manifest, batch_size):
    """Raises UsageError where there is not an image for each worker."""
    if job is None:
        return
    for count, what in (
        (batch_size, f"images in a batch of {batch_size}"),
        (manifest.split("val").images, f"validation images ({manifest.split('val').images})"),
    ):
        if job.workers > count:
            raise click.UsageError(f"There are more workers ({job.workers}) than {what}; start fewer.")


@contextmanager
def workers_of(job, kind, trainer, description, state):
    """The workers of the job, once they have found that they do the same, and the trainer has joined them."""
    from gluon_alexnet.distributed import collectives
    from gluon_alexnet.distributed import process_group as jobs
    from gluon_alexnet.recipes import schema

    if job is None:
        yield collectives.SingleWorker()
        return
    with jobs.joined(job, kind, say) as group:
        group.agree(
            **{
                "the recipe": json.dumps(schema.to_dict(description.recipe), sort_keys=True),
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
