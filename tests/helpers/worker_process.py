"""One process of a small job, for test_workers.py: `worker_process.py OUT KIND`, its role in DMLC_ROLE.

The recipe is OUT/recipe.json. Each worker writes OUT/<rank>.npz: what it learned and what it was told.
"""

import json
import sys
from pathlib import Path

import numpy as np

from gluon_alexnet.distributed import process_group as jobs
from gluon_alexnet.distributed.collectives import Counted
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.recipes import serialization
from gluon_alexnet.recipes.timetable import RateRequest
from gluon_alexnet.training.lr_schedule import LearningRates

CLASSES, SEED = 7, 5
SIZES = (8, 7, 0, 1, 8)  # images of the job's batches: of 7 the first worker has 4, of 1 the second none, of 0 both
RATES = LearningRates(0.01, 0.02, {"conv1": (0.005, 0.02)})


def batches(size):
    """(crops, labels) of the whole job, the same in every process."""
    made = np.random.default_rng(11)
    return [
        (made.normal(0, 50, (count, 3, size, size)).astype(np.float32), made.integers(0, CLASSES, count))
        for count in SIZES
    ]


def main(out, kind):
    job = jobs.read_job()
    if job.role != "worker":
        jobs.serve(job, print)
        return
    from gluon_alexnet.backend import mx
    from gluon_alexnet.training.trainer import Trainer

    refused = ""
    one = serialization.from_dict(json.loads(Path(out, "recipe.json").read_text()))
    try:
        with jobs.joined(job, kind, print) as group:
            group.agree(seed=str(SEED))
            trainer = Trainer(one, CLASSES, [mx.cpu(0)])
            trainer.initialize(seed=SEED + group.rank)  # the first worker's count
            trainer.join(group)
            losses, counted = [], []
            for number, (crops, labels) in enumerate(batches(one.network.input_size), 1):
                own = group.part(np.arange(len(labels)))
                losses.append(trainer.step(crops[own], labels[own], RATES, seed=number))
                met = group.reduce_counts(Counted(len(own), group.rank, losses[-1]), last=number == len(SIZES))
                if met is not None:
                    counted.append([met.images, met.skipped, met.loss])
            arrays = {f"parameter {name}": value.asnumpy() for name, value in trainer.parameters().items()}
            arrays |= {f"momentum {name}": value.asnumpy() for name, value in trainer.momentum().items()}
            asked, due, stop = group.broadcast_requests(
                RateRequest(0.1, "me", ("conv2", "fc8"), True) if group.rank == 0 else None,
                group.rank == 0,
                group.rank == 1,
            )
            sums = group.add_counts([2**30 + 1, group.rank, 3])
            np.savez(
                Path(out, f"{group.rank}.npz"),
                losses=losses,
                counted=counted,
                heeded=[asked.rate, due, stop, asked.layers == ("conv2", "fc8"), asked.biases],
                sums=sums,
                own_seed=group.own_seed(3),
                **arrays,
            )
            group.agree(recipe="the same", state=f"of worker {group.rank}")
    except InvalidRequest as error:
        refused = str(error)
    print(refused, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
