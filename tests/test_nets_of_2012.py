"""The nets of the 2012 repository: graphs from layer files against our recipes, with the same parameters.

The fast tests take files of our own, built like the 2012 ones but narrow; the slow ones the 2012 files themselves, from
the folder (computerhistory/AlexNet-Source-Code, layers/) that ALEXNET_2012_LAYERS names.
"""

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import cuda_files
from helpers.nets_2012 import Narrow, fused

from gluon_alexnet.backend import mx
from gluon_alexnet.importers import cuda_convnet
from gluon_alexnet.model.alexnet import AlexNet, set_parameters
from gluon_alexnet.model.layer_graph import GraphNet, initial_parameters
from gluon_alexnet.model.shapes import parameter_count
from gluon_alexnet.recipes import layer_graph, nets_2012, presets, schema
from gluon_alexnet.training import lr_schedule
from gluon_alexnet.training.trainer import Trainer

FOLDER = os.environ.get("ALEXNET_2012_LAYERS")
RATES = (0.001, 0.002)  # of weights and biases

# The recipe's net, what a narrow file of it has, and the 2012 file.
NETS = {
    "145": (nets_2012.NET_145, {}),
    "145-half": (nets_2012.NET_145_HALF, {"columns": "a", "maps": (6, 8, 8, 8, 12), "hidden": (20, 20)}),
    "147": (nets_2012.NET_147, {"pool": 2, "padding2": 1, "padding5": 0}),
    "148": (nets_2012.NET_148, {"normalized": False}),
    "149": (nets_2012.NET_149, {"norm5": True}),
    "150": (nets_2012.NET_150, {"apart": True, "maps": (6, 10, 8, 8, 6), "hidden": (20, 10)}),
    "146-2009": (nets_2012.NET_146, {"conv6": True}),
    "146-2011": (nets_2012.NET_146_2011, {"conv6": True, "bottleneck": 5}),
}
COUNTS = {"145": 60_965_224, "150": 60_714_408}  # with 1,000 classes


def narrowed(network, narrow):
    """The recipe's net with the widths of a narrow file."""
    columns = len(narrow.columns)
    changes = {
        f"conv{place}": dataclasses.replace(getattr(network, f"conv{place}"), kernels=maps * columns)
        for place, maps in enumerate(narrow.maps, 1)
    }
    if narrow.conv6:
        changes["conv6"] = dataclasses.replace(network.conv6, kernels=narrow.maps[-1] * columns)
    for name, neurons in zip(("fc6", "fc7"), narrow.hidden):
        changes[name] = dataclasses.replace(getattr(network, name), neurons=neurons * columns)
    if narrow.bottleneck:
        changes["bottleneck"] = schema.FullyConnected(narrow.bottleneck * columns, bias=0.0)
    return dataclasses.replace(network, input_size=99, **changes)


def pair(name, folder, **changes):
    """(graph and updates of a narrow file, the recipe's net as narrow)."""
    network, keys = NETS[name]
    narrow = Narrow(**{**keys, **changes})
    return cuda_files.read(folder, *narrow.files(), 99), narrowed(network, narrow)


def trainers(net, network, contexts):
    """Both as nets that learn, with the files' momenta and decays and the rates of RATES."""
    updates = tuple(
        dataclasses.replace(update, rate=RATES[update.parameter.endswith("_bias")]) for update in net.updates
    )
    classes = cuda_convnet.graph_shapes.outputs(net.graph)
    ours = presets.AS_RUN
    graph = schema.Recipe("graph", net.graph, learning=schema.Learning(updates=updates))
    recipe = dataclasses.replace(ours, network=network)
    return Trainer(graph, classes, contexts), Trainer(recipe, classes, contexts)


def largest_differences(net, network, images, labels, devices=1):
    """Of each kind of number, the largest difference between the two, as a share of the largest number."""
    graph, recipe = trainers(net, network, [mx.cpu(place) for place in range(devices)])
    values = initial_parameters(net.graph, seed=1)
    graph.restore(values, {})
    recipe.restore(fused(net.graph, values), {})
    found = {"outputs": 0.0, "loss": 0.0, "gradients": 0.0, "updates": 0.0, "updates as a whole": 0.0}

    def hold(kind, theirs, expected, rounding=0.0):
        expected = np.asarray(expected, np.float64)
        assert np.isfinite(expected).all() and np.abs(expected).max() > 0
        distance = np.maximum(np.abs(theirs - expected) - rounding, 0)
        found[kind] = max(found[kind], distance.max() / np.abs(expected).max())
        return np.linalg.norm(distance) / np.linalg.norm(expected)

    image = mx.nd.array(images[0])
    hold("outputs", graph._net(image).asnumpy(), recipe._net(image).asnumpy())
    rates = lr_schedule.rates(graph._replicas[0].recipe.learning, lr_schedule.Moment([]))
    for step, (crops, targets) in enumerate(zip(images, labels)):
        losses = [
            trainer.step(crops, targets, each, seed=step)
            for trainer, each in ((graph, rates), (recipe, lr_schedule.LearningRates(*RATES)))
        ]
        hold("loss", *losses)
        if step == 0:
            ours, theirs = (gradients(trainer) for trainer in (recipe, graph))
            for name, gradient in fused(net.graph, theirs).items():
                hold("gradients", gradient.asnumpy(), ours[name].asnumpy())
    before = fused(net.graph, values)
    after = fused(net.graph, graph.parameters())
    for name, value in recipe.parameters().items():
        # What three updates did. Each is rounded to the float32 numbers around the parameter, on both sides.
        rounding = len(images) * np.finfo(np.float32).eps * np.abs(value.asnumpy())
        moved = hold("updates", (after[name] - before[name]).asnumpy(), (value - before[name]).asnumpy(), rounding)
        found["updates as a whole"] = max(found["updates as a whole"], moved)
    return found


def gradients(trainer):
    return {name: p.grad().copyto(mx.cpu()) for pairs in trainer._replicas[0].parameters for name, p in pairs}


@pytest.fixture
def batches(rng):
    return rng.normal(0, 50, (3, 6, 3, 99, 99)).astype(np.float32), rng.integers(0, 5, (3, 6))


@pytest.mark.parametrize("name", NETS)
def test_the_graph_of_a_file_is_the_recipe_s_net(name, batches, tmp_path):
    net, network = pair(name, tmp_path, keep=1)
    found = largest_differences(net, dataclasses.replace(network, dropout=0.0), *batches)
    print(name, found)
    assert found["outputs"] < 2e-6 and found["loss"] < 1e-6
    assert found["gradients"] < 1e-5 and found["updates"] < 1e-5


def test_dropout_has_its_place_and_scale(batches, tmp_path, monkeypatch):
    """In test: the same outputs with dropout. In training: the same outputs and loss under the same masks."""
    net, network = pair("145", tmp_path)
    values = initial_parameters(net.graph, seed=1)
    for name in ("fc2048a_bias", "fc2048b_bias", "fc2048ba_bias", "fc2048bb_bias"):  # 1 at first: ReLU would do nothing
        values[name] = mx.nd.array(np.linspace(-1, 1, 10))
    graph, recipe = GraphNet(net.graph), AlexNet(network, 5)
    for block, arrays in ((graph, values), (recipe, fused(net.graph, values))):
        block.initialize()
        set_parameters(block, arrays)
    image = mx.nd.array(batches[0][0])
    masked, tested = [], None

    def mask(x, p):
        # By place in a column, so that one mask of both columns is the two of each.
        masked.append(x.asnumpy())
        kept = mx.nd.array(np.arange(x.shape[1]) % 10 % 3 > 0)
        return mx.nd.broadcast_mul(x, kept) / (1 - p) if mx.autograd.is_training() else x

    monkeypatch.setattr(mx.nd, "Dropout", mask)
    for training in (False, True):
        with mx.autograd.record(training):
            outputs = [block(image).asnumpy() for block in (graph, recipe)]
        np.testing.assert_allclose(*outputs, rtol=0, atol=2e-6 * np.abs(outputs[1]).max())
        fc6, fc7 = masked[-2:]
        assert fc6.shape == fc7.shape == (6, 20)
        columns = masked[-6:-2]  # hs1a, hs1b, hs2a, hs2b
        for whole, parts in ((fc6, columns[:2]), (fc7, columns[2:])):
            np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=2e-6 * whole.max())
            assert (whole >= 0).all() and (whole == 0).any()  # after ReLU
        if training:
            assert np.abs(outputs[0] - tested).max() > 0.01
        tested = outputs[0]


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    assert sum(parameter_count(NETS[name][0], 1000).values()) == COUNTS[name]


def of_2012(name):
    """The 2012 pair, with dropout off."""
    if FOLDER is None:
        pytest.skip("ALEXNET_2012_LAYERS names no folder with the layer files of the 2012 repository")
    net = cuda_convnet.read(Path(FOLDER) / f"layers-{name}.cfg", Path(FOLDER) / f"layer-params-{name}.cfg")
    layers = (
        dataclasses.replace(layer, keep=1.0) if isinstance(layer, layer_graph.Dropout) else layer
        for layer in net.graph.layers
    )
    return dataclasses.replace(net, graph=dataclasses.replace(net.graph, layers=tuple(layers)))


# Rates at the end of a file that its diary does not tell, so that no recipe has them: (layer, kind) → the file's.
UNTOLD = {
    "145-half": {
        **{(f"{layer}", "W"): 1e-5 for layer in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")},
        ("conv1", "B"): 0.002,
        ("conv2", "B"): 0.002,
    },
    "147": {(layer, "B"): 0.002 for layer in ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")},
    "149": {("conv1", "B"): 0.002},
}
ENDS = ("145", "145-2010", "145-half", "147", "148", "149", "150", "146-2009", "146-2011", "146-2012-2011",
        "146-2012-2009")  # fmt: skip


def rates_of_file(name):
    """(layer of the recipe, "W" or "B") → the rates that a parameter file of 2012 ends with, by its lines alone."""
    found, layer = {}, None
    for line in (Path(FOLDER) / f"layer-params-{name}.cfg").read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            hidden = re.fullmatch(r"fc(\d+)(a|b|ba|bb)?", section)
            named = {"1": "bottleneck", "1000": "fc8"}.get(hidden[1]) if hidden else section[:-1]
            layer = named or ("fc7" if len(hidden[2]) == 2 else "fc6")
        elif line.startswith(("epsW=", "epsB=")):
            found.setdefault((layer, line[3]), set()).update(float(part) for part in line[5:].split(","))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDS)
def test_a_recipe_ends_with_the_rates_of_its_2012_file(name):
    if FOLDER is None:
        pytest.skip("ALEXNET_2012_LAYERS names no folder with the layer files of the 2012 repository")
    learning = presets.RECIPES[f"net-{name}"].learning
    rates = lr_schedule.rates(learning, lr_schedule.Moment([50.0] * learning.epochs))
    seen = rates_of_file(name)
    assert len(seen) >= 16
    for (layer, kind), (value,) in seen.items():
        ours = rates.of(f"{layer}_{'weight' if kind == 'W' else 'bias'}")
        expected = UNTOLD.get(name, {}).get((layer, kind))
        assert value == pytest.approx(ours if expected is None else expected), (layer, kind)
        assert expected is None or ours != pytest.approx(value), (layer, kind)  # else it would not be untold


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_the_2012_file_s_graph_is_the_recipe_s_net(name, rng):
    net = of_2012(name)
    classes = cuda_convnet.graph_shapes.outputs(net.graph)
    assert sum(cuda_convnet.graph_shapes.parameter_count(net.graph).values()) == sum(
        parameter_count(NETS[name][0], classes).values()
    )
    images = rng.normal(0, 50, (3, 4, 3, 224, 224)).astype(np.float32)
    labels = rng.integers(0, classes, (3, 4))
    found = largest_differences(net, dataclasses.replace(NETS[name][0], dropout=0.0), images, labels)
    print(name, found)
    assert found["outputs"] < 5e-6 and found["loss"] < 2e-6
    # A ReLU or a maximum that falls the other way in the last bit moves single numbers: most in #147, whose updates
    # were 1.2e-3 apart with one seed and 1.2e-4 with another, where the other nets' were 2e-6.
    assert found["gradients"] < 5e-5 and found["updates as a whole"] < 5e-3
