"""Images a second of training the paper's net through MXNet's parameter server, and what the server costs.

Two workers of one core each, against one process of two cores.

    python benchmarks/workers.py
    python benchmarks/workers.py --turns 1 --rates 1gbit,10gbit,none --batch 16       # as root, with iproute2

The second form puts scheduler and server on one host and each worker on its own: network namespaces of this machine,
which share its two cores, at each rate of their links, with gradients as they are and in two bits.

The sides take turns, on the same batch in memory. The cost is that of one exchange of gradients alone: sending 61
million sums to the server of this machine and taking the totals back, while nothing else is computed. Each step's
exchange overlaps with what is left of the backward pass.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from report import environment

WARM, EXCHANGES = 1, 3


def measure(given) -> dict | None:
    """Seconds of each step and of each exchange, and the most memory this process took (MB); None but in a worker."""
    import contextlib
    import dataclasses

    import numpy as np

    from gluon_alexnet.distributed import collectives
    from gluon_alexnet.distributed import process_group as jobs
    from gluon_alexnet.recipes import presets
    from gluon_alexnet.training import lr_schedule
    from gluon_alexnet.training.trainer import Trainer

    job = None
    if given.side == "job":
        job = jobs.read_job()
        if job.role != "worker":
            jobs.serve(job, print)
            return None
    from gluon_alexnet.backend import mx

    rates = lr_schedule.LearningRates(1e-4, 1e-4)
    crops = np.random.default_rng(0).normal(0, 60, (given.batch, 3, 224, 224)).astype(np.float32)
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(jobs.joined(job, "dist_sync", print)) if job else collectives.SingleWorker()
        learning = dataclasses.replace(presets.PAPER.learning, compress=given.compress)
        trainer = Trainer(dataclasses.replace(presets.PAPER, learning=learning), 1000, [mx.cpu(0)])
        trainer.initialize(seed=0)
        if job:
            trainer.join(group)
        own = group.part(np.arange(given.batch))
        steps, exchanges = [], []
        for step in range(WARM + given.steps):
            began = time.perf_counter()
            trainer.step(crops[own], own % 1000, rates, step)
            mx.nd.waitall()
            steps.append(time.perf_counter() - began)
        for _ in range(EXCHANGES if job else 0):
            group.wait_for_others()
            began = time.perf_counter()
            group.add_gradients(trainer._replicas[0].gradients(), lambda: 0.0, 1)
            mx.nd.waitall()
            exchanges.append(time.perf_counter() - began)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rank": group.rank, "steps": steps[WARM:], "exchanges": exchanges, "memory": memory}


def between_hosts(given, rate: str, compress: str) -> dict:
    """What the first worker measured where scheduler and server are on one host, and each worker is on its own."""
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    from helpers.hosts import Hosts

    words = [sys.executable, __file__, "--side", "job", "--batch", str(given.batch), "--steps", str(given.steps)]
    with Hosts(3, None if rate == "none" else rate) as hosts:
        shared = {
            **os.environ,
            "DMLC_PS_ROOT_URI": hosts.address(3),
            "DMLC_PS_ROOT_PORT": "9091",
            "OMP_NUM_THREADS": "1",
        }
        shared |= {"DMLC_NUM_WORKER": "2", "DMLC_NUM_SERVER": "1"}
        processes = [
            hosts.start(
                host,
                [*words, "--compress", compress],
                env={**shared, "DMLC_ROLE": role},
                stdout=subprocess.PIPE,
                text=True,
            )
            for host, role in ((3, "scheduler"), (3, "server"), (1, "worker"), (2, "worker"))
        ]
        outputs = [process.communicate()[0] for process in processes]
    found = [json.loads(output.splitlines()[-1]) for output in outputs if output.strip().startswith("{")]
    return next(one for one in found if one["rank"] == 0)


def turn(given, side: str) -> dict:
    """What the first worker measured, in fresh processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, __file__, "--side", side, "--batch", str(given.batch), "--steps", str(given.steps)]
    shared = {
        **os.environ,
        "DMLC_PS_ROOT_URI": "127.0.0.1",
        "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NUM_WORKER": "2",
        "DMLC_NUM_SERVER": "1",
    }
    roles = ["scheduler", "server", "worker", "worker"] if side == "job" else [""]
    processes = [
        subprocess.Popen(
            words,
            env={**shared, "DMLC_ROLE": role, "OMP_NUM_THREADS": "1"}
            if role
            else {**os.environ, "OMP_NUM_THREADS": "2"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for role in roles
    ]
    outputs = [process.communicate()[0] for process in processes]
    found = [json.loads(output.splitlines()[-1]) for output in outputs if output.strip().startswith("{")]
    return next(one for one in found if one["rank"] == 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64, help="images in an update, of all workers together")
    parser.add_argument("--steps", type=int, default=3, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--rates", help="rates of links between hosts, e.g. 1gbit,10gbit,none")
    parser.add_argument("--compress", choices=["none", "2bit"], default="none", help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=["one", "job"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        measured = measure(given)
        if measured:
            print(json.dumps(measured))
        return
    if given.rates:
        print(environment(), flush=True)
        for rate in given.rates.split(","):
            for compress in ("none", "2bit"):
                all_ = [between_hosts(given, rate, compress) for _ in range(given.turns)]
                said = [
                    f"{name} {statistics.median(numbers):.2f} s ({min(numbers):.2f} to {max(numbers):.2f})"
                    for name in ("steps", "exchanges")
                    for numbers in [[seconds for one in all_ for seconds in one[name]]]
                ]
                print(f"{rate:7} {compress:5} {', '.join(said)}", flush=True)
        return
    turns = [{side: turn(given, side) for side in ("one", "job")} for _ in range(given.turns)]
    print(environment())
    medians = {}
    for side, name in (("one", "one process, 2 cores"), ("job", "2 workers, 1 core each")):
        rates = [given.batch / seconds for one in turns for seconds in one[side]["steps"]]
        medians[side] = statistics.median(rates)
        memory = max(one[side]["memory"] for one in turns)
        print(
            f"{name:24} {medians[side]:6.2f} images/s ({min(rates):.2f} to {max(rates):.2f}), {memory:.0f} MB a process"
        )
    exchanges = [seconds for one in turns for seconds in one["job"]["exchanges"]]
    step = statistics.median(seconds for one in turns for seconds in one["job"]["steps"])
    print(f"ratio {medians['job'] / medians['one']:.2f}; a step of the workers takes {step:.2f} s")
    print(
        f"an exchange alone takes {statistics.median(exchanges):.2f} s ({min(exchanges):.2f} to {max(exchanges):.2f}): "
        f"at most {100 * statistics.median(exchanges) / step:.0f} % of a step of {given.batch} images"
    )


if __name__ == "__main__":
    main()
