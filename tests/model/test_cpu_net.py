"""The faster form of a deployed net on a CPU beside the block it is made of."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.exporters import bf16, processor, reduced_precision, symbol
from gluon_alexnet.model import cpu_graph, cpu_net, pixels
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier, classify_with

CHANGES = {
    "paper": {},
    "one column": {"columns": 1},
    "no normalization": {"normalization": None},
    "pooling first": {"pool_before_normalization": True},
    "normalization first": {"relu_before_normalization": False},
    "tanh": {"activation": "tanh"},
    "inverted dropout": {"inverted_dropout": True, "dropout": 0.5},
    "dropout first": {"dropout_before": True, "dropout": 0.3},
    "dropout": {"dropout": 0.5},
}


def made(network, rng):
    """A block whose probabilities differ between images."""
    parameters = initial_parameters(network, 7, seed=1)
    for name, value in parameters.items():
        parameters[name] = value + mx.nd.array(rng.normal(0, 0.03, value.shape))
    parameters["mean"] = mx.nd.array(rng.uniform(90, 130, (3, network.input_size, network.input_size)))
    return build_classifier(network, parameters, mx.cpu())


def some(rng, count):
    return rng.integers(0, 256, (count, 99, 99, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", CHANGES)
def test_the_numbers_are_those_of_the_block(small_recipe, rng, monkeypatch, name):
    monkeypatch.setattr(cpu_net, "_MANY", 4)
    block = made(replace(small_recipe.network, **CHANGES[name]), rng)
    classify, images = cpu_net.classifier(block, mx.cpu()), some(rng, 9)
    expected = symbol.as_it_is(block, images, mx.cpu())
    assert expected.std(axis=0).max() > (1e-6 if name == "tanh" else 1e-3)  # which saturates
    for count in (9, 1, 4, 9, 2):  # more and fewer images than the memory that is used again
        np.testing.assert_allclose(classify(images[:count]), expected[:count], atol=1e-6)
    again = cpu_net.classifier(block, mx.cpu())  # of arrays that oneDNN has brought into its own layouts
    np.testing.assert_allclose(again(images), expected, atol=1e-6)


def test_columns_are_written_out_around_normalization(small_recipe, rng):
    block = made(replace(small_recipe.network, dropout=0.5), rng)
    arrays = {name: parameter.data() for name, parameter in block.collect_params().items()}
    prepared = cpu_graph.prepare(block(mx.sym.var("data")), arrays)
    nodes = json.loads(prepared.symbol.tojson())["nodes"]
    operators = [node["op"] for node in nodes]
    assert not {"Pad", "broadcast_sub", "FullyConnected", "Dropout", "_mul_scalar"} & {*operators}
    assert operators.count("LRN") == 4 and operators.count("Concat") == 1
    assert operators.index("Reshape") > operators.index("Flatten")  # none before the fully connected layers
    groups = [node["attrs"].get("num_group") for node in nodes if node["op"] == "Convolution"]
    # Layers 1 and 2 a column, 3 whole, 4 and 5 in groups, 6 to 8 as convolutions of one pixel.
    assert groups == ["1"] * 5 + ["2"] * 2 + [None] * 3
    assert prepared.mean == "mean" and prepared.border == (0, 3, 0, 3)
    assert prepared.arrays["conv3_weight"] is arrays["conv3_weight"]
    weight = arrays["fc7_weight"].asnumpy()
    np.testing.assert_array_equal(
        prepared.arrays["fc7_weight_pixel"].asnumpy()[:, :, 0, 0], weight / 2
    )  # dropout's factor


def test_threads_do_not_share_memory(small_recipe, rng):
    block = made(small_recipe.network, rng)
    classify, images = classify_with(block, mx.cpu()), some(rng, 12)
    expected = [classify(images[start : start + 3]) for start in range(0, 12, 3)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            found = list(pool.map(lambda start: classify(images[start : start + 3]), range(0, 12, 3)))
            np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(processor.no_bfloat16() is not None, reason="this processor has no bfloat16")
def test_bfloat16_stays_bfloat16(small_recipe, rng, tmp_path, monkeypatch):
    block, images = made(small_recipe.network, rng), some(rng, 5)
    float32 = symbol.as_it_is(block, images, mx.cpu())
    block.export(str(tmp_path / "net"))
    reduced_precision.save(bf16.convert(reduced_precision.load(tmp_path / "net")), tmp_path / "low")
    low = symbol.load_pair(tmp_path / "low", mx.cpu())
    monkeypatch.setattr(cpu_net, "_MANY", 4)
    classify = classify_with(low, mx.cpu())
    alone = classify(images[:1])
    found = classify(images)
    assert np.abs(found[:1] - alone).max() < 0.02
    assert 1e-6 < np.abs(found - float32).max() < 0.03
    assert np.abs(found - symbol.as_it_is(low, images, mx.cpu())).max() < 0.02


@pytest.mark.parametrize("border", [(0, 3, 0, 3), (2, 2, 2, 2), (1, 0, 0, 4)])
@pytest.mark.parametrize("count", [1, 7])
def test_pixels_are_prepared_as_numpy_would(rng, count, border):
    images, mean = some(rng, count)[:, :, :, ::-1], rng.uniform(0, 255, (3, 99, 99)).astype(np.float32)
    top, bottom, left, right = border
    expected = images.transpose(0, 3, 1, 2).astype(np.float32) - mean
    expected = np.pad(expected, ((0, 0), (0, 0), (top, bottom), (left, right)))
    preparation = pixels.Preparation(mean, border)
    for _ in range(2):
        found = preparation.take(images)
        np.testing.assert_array_equal(found, expected)
        preparation.give_back(found)


def test_a_mean_of_each_colour_is_that_of_each_pixel(rng):
    images, mean = some(rng, 2), rng.uniform(0, 255, (3, 1, 1)).astype(np.float32)
    found = pixels.Preparation(mean, (0, 0, 0, 0)).take(images)
    np.testing.assert_array_equal(found, images.transpose(0, 3, 1, 2).astype(np.float32) - mean)


def test_another_graph_is_left_alone(rng):
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Conv2D(2, 3, in_channels=3), mx.gluon.nn.Dense(4, in_units=2 * 97 * 97))
    net.initialize()
    net.hybridize()
    assert cpu_net.classifier(net, mx.cpu()) is None
    images = some(rng, 2)
    np.testing.assert_allclose(classify_with(net, mx.cpu())(images), symbol.as_it_is(net, images, mx.cpu()))
