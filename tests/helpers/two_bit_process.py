"""One process of a job that sums made gradients in two bits: `two_bit_process.py OUT WHOSE`, its role in DMLC_ROLE.

WHOSE is "ours", or "mxnet": that program's own compression, which the test takes as the peer. Each worker writes
OUT/<WHOSE>-<rank>.npz: the sums of each step.
"""

import sys
from pathlib import Path

import numpy as np

from gluon_alexnet.distributed import process_group as jobs

STEPS, THRESHOLD, SHAPES = 6, 0.4, ((7, 3, 5), (1001,), (1,))


def gradients(rank, step):
    """Made gradients of a worker; one of them is the threshold itself, and never leaves anything."""
    made = np.random.default_rng([rank, step])
    found = [made.normal(0, 0.3, shape).astype(np.float32) for shape in SHAPES]
    found[-1][:] = THRESHOLD
    return found


def main(out, whose):
    job = jobs.read_job()
    if job.role != "worker":
        jobs.serve(job, print)
        return
    from gluon_alexnet.backend import mx

    zeros = [mx.nd.zeros(shape) for shape in SHAPES]
    sums = []
    if whose == "mxnet":
        store = mx.kv.create("dist_sync")
        store.set_gradient_compression({"type": "2bit", "threshold": THRESHOLD})
        keys = list(range(len(SHAPES)))
        store.init(keys, zeros)
        for step in range(STEPS):
            store.push(keys, [mx.nd.array(one) for one in gradients(store.rank, step)])
            pulled = [mx.nd.zeros(shape) for shape in SHAPES]
            store.pull(keys, out=pulled)
            sums.append([one.asnumpy() for one in pulled])
        rank, kept = store.rank, []
        store._barrier()
    else:
        with jobs.joined(job, "dist_sync", print) as group:
            group.begin(zeros)
            group.compress(THRESHOLD, zeros)
            for step in range(STEPS):
                own = [mx.nd.array(one) for one in gradients(group.rank, step)]
                assert group.add_gradients(own, lambda: 0.25, 3)[1] == 3 * group.count
                sums.append([one.asnumpy() for one in own])
            rank, kept = group.rank, [[one.asnumpy() for one in of] for of in group.gather_residuals()]
    flat = {f"sum {step} {place}": one for step, all_ in enumerate(sums) for place, one in enumerate(all_)}
    flat |= {f"kept {who} {place}": one for who, all_ in enumerate(kept) for place, one in enumerate(all_)}
    np.savez(Path(out, f"{whose}-{rank}.npz"), **flat)


if __name__ == "__main__":
    main(*sys.argv[1:])
