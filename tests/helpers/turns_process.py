"""One process of an asynchronous job whose workers take turns: `turns_process.py OUT`, its role in DMLC_ROLE.

OUT/start.npz holds parameters and momentum as a checkpoint does, OUT/recipe.json the recipe. Worker t % 2 makes update
t; the others wait for it, so that it is known by whose weights each gradient is. Each worker writes OUT/<rank>.npz.
"""

import json
import sys
from pathlib import Path

import numpy as np

from gluon_alexnet.distributed import process_group as jobs
from gluon_alexnet.recipes import serialization
from gluon_alexnet.training.lr_schedule import LearningRates

CLASSES = 7
UPDATES = 4
RATES = LearningRates(0.02, 0.01)


def batches(size):
    """(crops, labels) of each update, the same in every process."""
    made = np.random.default_rng(11)
    return [
        (made.normal(0, 50, (3, 3, size, size)).astype(np.float32), made.integers(0, CLASSES, 3))
        for _ in range(UPDATES)
    ]


def main(out):
    jobs.REACH_SECONDS = 150  # on a busy machine the scheduler's imports take their time
    job = jobs.read_job()
    if job.role != "worker":
        jobs.serve(job, print)
        return
    from gluon_alexnet.backend import mx
    from gluon_alexnet.training.trainer import Trainer

    recipe = serialization.from_dict(json.loads(Path(out, "recipe.json").read_text()))
    with jobs.joined(job, "dist_async", print) as group:
        trainer = Trainer(recipe, CLASSES, [mx.cpu(0)])
        start = {name: mx.nd.array(value) for name, value in np.load(Path(out, "start.npz")).items()}
        kinds = ("parameter", "momentum")
        trainer.restore(*({n.split()[1]: v for n, v in start.items() if n.startswith(kind)} for kind in kinds))
        trainer.join(group)
        for number, (crops, labels) in enumerate(batches(recipe.network.input_size)):
            if number % group.count == group.rank:
                trainer.step(crops, labels, RATES, seed=number)
                mx.nd.waitall()
            group.wait_for_others()
        arrays = {f"parameter {name}": value.asnumpy() for name, value in trainer.parameters().items()}
        arrays |= {f"momentum {name}": value.asnumpy() for name, value in trainer.momentum().items()}
        np.savez(Path(out, f"{group.rank}.npz"), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
