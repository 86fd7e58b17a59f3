"""A graph of layers as a net: on one device and placed by its file on several, and what crosses between them."""

import numpy as np
import pytest
from helpers import cuda_files as files
from helpers.cuda_files import section
from helpers.nets_2012 import Narrow

from gluon_alexnet.backend import mx
from gluon_alexnet.model.graph_shapes import parameter_shapes
from gluon_alexnet.model.layer_graph import GraphLoss, GraphNet, PlacedNet, initial_parameters, partition


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A net built like #145, without dropout's masks."""
    return files.read(tmp_path_factory.mktemp("narrow"), *Narrow(keep=1).files(), 99).graph


def gradients(net, graph, values, images, labels):
    """Output, loss of each image and gradients by name."""
    for name, parameter in net.collect_params().items():
        parameter.set_data(values[name])
    with mx.autograd.record():
        output = net(images)
        loss = GraphLoss(graph)(output, labels)
    loss.backward()
    found = {"output": output, "loss": loss, **{name: p.grad() for name, p in net.collect_params().items()}}
    return {name: array.asnumpy() for name, array in found.items()}


def test_two_devices_give_the_numbers_of_one(narrow, rng):
    values = initial_parameters(narrow, seed=2)
    images, labels = mx.nd.array(rng.normal(0, 50, (4, 3, 99, 99))), mx.nd.array([0, 1, 2, 4])
    nets = [GraphNet(narrow, fast=True), PlacedNet(narrow, [mx.cpu(0), mx.cpu(1)], fast=True)]
    nets[0].initialize()
    for net in nets:
        net.hybridize(static_alloc=True)
    one, two = (gradients(net, narrow, values, images, labels) for net in nets)
    assert set(one) == set(two) == {"output", "loss", *parameter_shapes(narrow)}
    for name, expected in one.items():
        np.testing.assert_allclose(two[name], expected, rtol=0, atol=2e-6 * np.abs(expected).max(), err_msg=name)
    contexts = [{str(p.list_ctx()[0]) for p in block.collect_params().values()} for block in nets[1].devices]
    assert contexts == [{"cpu(0)"}, {"cpu(1)"}]
    assert {name for name in nets[1].devices[1].collect_params() if "b_" not in name} == set()


def test_the_columns_wait_for_each_other_where_the_file_says_so(narrow):
    parts = [
        (device, [layer.name for layer in layers], reads, gives) for device, layers, reads, gives in partition(narrow)
    ]
    assert [device for device, *_ in parts] == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert parts[0][2:] == (["data"], ["pool2a"]) and parts[1][2:] == (["data"], ["pool2b"])
    assert parts[2] == (
        0,
        ["conv3a", "conv4a", "conv5a", "pool3a"],
        ["pool2a", "pool2b"],
        ["pool3a"],
    )
    assert parts[-1] == (0, ["out"], ["hs2a", "hs2b"], ["out"])


def test_a_value_that_several_layers_read_and_a_device_left_for_another_and_taken_up_again(tmp_path, rng):
    neuron = {"type": "neuron", "neuron": "tanh[1,0.1]"}
    layers = (
        files.HEAD
        + section("a", inputs="data", gpu=0, **neuron)
        + section("b", inputs="a", gpu=1, **neuron)
        + section("c", type="eltsum", inputs="a,b", coeffs="1,2", gpu=0)
        + section("d", type="eltsum", inputs="a,b", coeffs="1,-1", gpu=1)
        + section("e", type="concat", inputs="c,d,a", gpu=1)
        + files.tail("e")
    )
    graph = files.read(tmp_path, layers, files.PARAMS, 5).graph
    assert [(device, [layer.name for layer in layers]) for device, layers, _, _ in partition(graph)] == [
        (0, ["a"]),
        (1, ["b", "d"]),
        (0, ["c"]),
        (1, ["e", "out"]),
    ]
    net = PlacedNet(graph, [mx.cpu(0), mx.cpu(1)])
    values = initial_parameters(graph, seed=4)
    image = rng.normal(0, 3, (2, 3, 5, 5))
    found = gradients(net, graph, values, mx.nd.array(image), mx.nd.array([1, 3]))
    a = np.tanh(0.1 * image)
    b = np.tanh(0.1 * a)
    below = np.concatenate([a + 2 * b, a - b, a], axis=1).reshape(2, -1)
    expected = below @ values["out_weight"].asnumpy().T + values["out_bias"].asnumpy()
    np.testing.assert_allclose(found["output"], expected, rtol=1e-4, atol=1e-5)


def test_as_many_contexts_as_devices(narrow):
    with pytest.raises(ValueError, match="2 devices need 2 contexts, not 3"):
        PlacedNet(narrow, [mx.cpu(0)] * 3)
