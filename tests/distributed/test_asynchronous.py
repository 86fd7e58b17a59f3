"""Two asynchronous workers on this machine, who take turns, against the printed rule in NumPy (Sec. 5)."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
from helpers import turns_process
from helpers.processes import Processes

from gluon_alexnet.backend import mx
from gluon_alexnet.model.alexnet import AlexNet, initial_parameters, set_parameters
from gluon_alexnet.recipes import schema, serialization

PROGRAM = Path(turns_process.__file__)
DECAY = 0.05  # large enough that a missing or an extra decay is seen


def gradients(network, weights, crops, labels):
    """Gradient of the mean loss at these weights, by MXNet's autograd and nothing of the trainer's."""
    net = AlexNet(network, turns_process.CLASSES)
    net.initialize()
    set_parameters(net, {name: mx.nd.array(value) for name, value in weights.items()})
    with mx.autograd.record():
        loss = -mx.nd.pick(mx.nd.log_softmax(net(mx.nd.array(crops))), mx.nd.array(labels)).mean()
    loss.backward()
    return {name: one.grad().asnumpy().astype(np.float64) for name, one in net.collect_params().items()}


def by_hand(network, weights, velocity):
    """(weights of the servers, sum of both workers' velocities) after all turns.

    What was saved is resumed: the first worker has all of the momentum, the second none. Each moves by its own
    velocity, with half of the rates, from the weights that it took at its last turn, and the servers add the moves.
    """
    servers = dict(weights)
    own = [dict(weights), dict(weights)]
    velocities = [dict(velocity), {name: np.zeros_like(value) for name, value in velocity.items()}]
    for turn, (crops, labels) in enumerate(turns_process.batches(network.input_size)):
        rank = turn % 2
        found = gradients(network, own[rank], crops, labels)
        for name, gradient in found.items():
            bias = name.endswith("_bias")
            rate = (turns_process.RATES.biases if bias else turns_process.RATES.weights) / 2
            decay = 0 if bias else DECAY
            moved = 0.9 * velocities[rank][name] - rate * (gradient + decay * own[rank][name])
            velocities[rank][name] = moved
            servers[name] = servers[name] + moved
        own[rank] = dict(servers)
    return servers, {name: velocities[0][name] + velocities[1][name] for name in velocity}


def test_two_asynchronous_workers_that_resume_make_the_printed_updates(small_recipe, tmp_path, rng):
    recipe = dataclasses.replace(small_recipe, learning=schema.Learning(batch_size=6, weight_decay=DECAY))
    start = {n: v.asnumpy() for n, v in initial_parameters(recipe.network, turns_process.CLASSES, seed=5).items()}
    velocity = {n: rng.normal(0, 0.01 * max(v.std(), 0.1), v.shape).astype(np.float32) for n, v in start.items()}
    kept = {f"parameter {name}": value for name, value in start.items()}
    np.savez(tmp_path / "start.npz", **kept, **{f"momentum {name}": value for name, value in velocity.items()})
    (tmp_path / "recipe.json").write_text(json.dumps(serialization.to_dict(recipe)))
    with Processes([sys.executable, PROGRAM, tmp_path]) as job:
        weights, sums = by_hand(
            recipe.network,
            {name: value.astype(np.float64) for name, value in start.items()},
            {name: value.astype(np.float64) for name, value in velocity.items()},
        )
        ended = job.ended(200)
    assert [code for code, _ in ended] == [0, 0, 0, 0], ended
    for rank in (0, 1):
        with np.load(tmp_path / f"{rank}.npz") as found:
            for kind, expected in (("parameter", weights), ("momentum", sums)):
                for name, value in expected.items():
                    moved = np.abs(value - start[name]).max() if kind == "parameter" else np.abs(value).max()
                    np.testing.assert_allclose(found[f"{kind} {name}"], value, rtol=0, atol=1e-3 * moved, err_msg=name)
