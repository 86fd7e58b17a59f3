"""Jobs of a real scheduler, server and two workers on this machine's loopback, against one process."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import worker_process
from helpers.processes import Processes

from gluon_alexnet.distributed.collectives import SingleWorker, WorkerGroup
from gluon_alexnet.recipes import schema, serialization

HELPERS = Path(__file__).parent.parent / "helpers"
RATES = worker_process.RATES


def learned_by(one, kind, folder, **more):
    """What each worker of a job of two learned, and what the job's processes said."""
    folder.mkdir(exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps(serialization.to_dict(one)))
    with Processes([sys.executable, HELPERS / "worker_process.py", folder, kind], **more) as job:
        ended = job.ended(90)
    assert [code for code, _ in ended] == [0] * len(ended), ended
    return [dict(np.load(folder / f"{rank}.npz")) for rank in (0, 1)], [output for _, output in ended]


def learned_alone(one):
    """(mean losses, parameters, momentum) of one process on the whole batches."""
    from gluon_alexnet.backend import mx
    from gluon_alexnet.training.trainer import Trainer

    trainer = Trainer(one, worker_process.CLASSES, [mx.cpu(0)])
    trainer.initialize(seed=worker_process.SEED)
    losses = [
        trainer.step(crops, labels, RATES, seed=number)
        for number, (crops, labels) in enumerate(worker_process.batches(one.network.input_size), 1)
    ]
    return losses, trainer.parameters(), trainer.momentum()


@pytest.fixture(scope="module")
def decaying(small_recipe):
    return dataclasses.replace(small_recipe, learning=schema.Learning(batch_size=8, weight_decay=0.05))


@pytest.fixture(scope="module")
def synchronous(decaying, tmp_path_factory):
    return learned_by(decaying, "dist_sync", tmp_path_factory.mktemp("job") / "sync")


def test_two_workers_learn_what_one_learns_from_the_whole_batches(decaying, synchronous):
    losses, parameters, momentum = learned_alone(decaying)
    for found in synchronous[0]:
        np.testing.assert_allclose(found["losses"], losses, rtol=1e-5)
        for kind, arrays in (("parameter", parameters), ("momentum", momentum)):
            for name, array in arrays.items():
                value = array.asnumpy()
                np.testing.assert_allclose(
                    found[f"{kind} {name}"], value, rtol=0, atol=1e-4 * np.abs(value).max(), err_msg=name
                )


def test_both_workers_have_the_same_bits(synchronous):
    first, second = synchronous[0]
    names = [name for name in first if name.startswith(("parameter", "momentum"))]
    assert len(names) == 32
    for name in names:
        assert first[name].tobytes() == second[name].tobytes(), name


def test_the_workers_count_and_decide_together(synchronous):
    for found in synchronous[0]:
        assert [images for images, _, _ in found["counted"]] == list(worker_process.SIZES)
        assert [skipped for _, skipped, _ in found["counted"]] == [1] * 5  # worker 0 says 0, worker 1 says 1
        np.testing.assert_allclose([loss for _, _, loss in found["counted"]], found["losses"], rtol=1e-6)
        assert found["heeded"].tolist() == [0.1, 1, 1, 1, 1]  # the rate to the last bit
        assert found["sums"].tolist() == [2**31 + 2, 1, 6]
    assert synchronous[0][0]["own_seed"] != synchronous[0][1]["own_seed"]


def test_workers_that_differ_say_in_what_and_every_process_ends(synchronous):
    for output in synchronous[1][:2]:
        assert "The workers of this job differ in state; start all of them with the same command" in output


@pytest.mark.slow
def test_two_servers_share_large_arrays(decaying, tmp_path):
    found, _ = learned_by(decaying, "dist_sync", tmp_path / "job", servers=2, MXNET_KVSTORE_BIGARRAY_BOUND="500")
    for name, array in learned_alone(decaying)[1].items():
        value = array.asnumpy()
        np.testing.assert_allclose(found[0][f"parameter {name}"], value, atol=1e-4 * np.abs(value).max(), err_msg=name)


@pytest.mark.slow
def test_one_asynchronous_worker_makes_the_printed_update(decaying, tmp_path):
    """SingleWorker nobody else's changes come between: it is the rule of Sec. 5 to the last digits."""
    (tmp_path / "recipe.json").write_text(json.dumps(serialization.to_dict(decaying)))
    words = [sys.executable, HELPERS / "worker_process.py", tmp_path, "dist_async"]
    with Processes(words, workers=1) as job:
        assert [code for code, _ in job.ended(90)] == [0, 0, 0]
    found = dict(np.load(tmp_path / "0.npz"))
    losses, parameters, momentum = learned_alone(decaying)
    np.testing.assert_allclose(found["losses"], losses, rtol=1e-5)
    for name, array in parameters.items():
        value = array.asnumpy()
        np.testing.assert_allclose(found[f"parameter {name}"], value, atol=1e-5 * np.abs(value).max(), err_msg=name)
        value = momentum[name].asnumpy()
        np.testing.assert_allclose(found[f"momentum {name}"], value, atol=1e-4 * np.abs(value).max(), err_msg=name)


@pytest.mark.slow
def test_two_asynchronous_workers_end_with_the_same_weights_and_one_count(decaying, tmp_path):
    found, outputs = learned_by(decaying, "dist_async", tmp_path / "job")
    for name in [name for name in found[0] if name.startswith(("parameter", "momentum"))]:
        assert found[0][name].tobytes() == found[1][name].tobytes(), name
    for one in found:
        assert len(one["counted"]) == 1  # five batches are fewer than lie between two meetings
        assert one["counted"][0][:2].tolist() == [sum(worker_process.SIZES), 5]
    assert "differ in state" in outputs[0]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [0, 1, 7, 128])
def test_the_parts_of_a_batch_are_the_batch(count, size):
    ids = np.arange(size)
    parts = []
    for rank in range(count):
        group = WorkerGroup.__new__(WorkerGroup)
        group.rank, group.count = rank, count
        parts.append(group.part(ids))
    np.testing.assert_array_equal(np.concatenate(parts), ids)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    np.testing.assert_array_equal(SingleWorker().part(ids), ids)
