"""fc7's activations are those of the formula, for a run and for its export."""

import dataclasses

import numpy as np
import pytest
from helpers import numpy_torch

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.exporters import pytorch, symbol
from gluon_alexnet.features import activations
from gluon_alexnet.model import layer_chain
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier
from gluon_alexnet.recipes import presets

CLASSES = [{"wnid": f"n{i}", "name": f"class {i}"} for i in range(7)]


def convolution(x, weights, bias, stride, pad, groups):
    """Sec. 3.5 written out: (N, C, H, W) → (N, K, H', W'); pad: zeros (before, after)."""
    x = np.pad(x, ((0, 0), (0, 0), pad, pad))
    size = weights.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    windows = np.split(windows, groups, axis=1)
    parts = [np.einsum("nchwij,kcij->nkhw", w, k) for w, k in zip(windows, np.split(weights, groups))]
    return np.concatenate(parts, axis=1) + bias[:, None, None]


def normalization(a, columns):
    """Sec. 3.3: the sum goes over five neighbouring maps of the same column."""
    parts = []
    for part in np.split(a, columns, axis=1):
        b = np.empty_like(part)
        for i in range(part.shape[1]):
            near = part[:, max(0, i - 2) : i + 3]
            b[:, i] = part[:, i] / (2 + 1e-4 * (near**2).sum(axis=1)) ** 0.75
        parts.append(b)
    return np.concatenate(parts, axis=1)


def pooling(x):
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    return windows.max(axis=(4, 5))


def fc7_by_formula(p, images, drop):
    """float64 (N, width) from uint8 (N, 256, 256, 3): centre view, eight layers without the last, dropout in test."""
    size = p["mean"].shape[-1]
    begin = (256 - size) // 2
    x = images[:, begin : begin + size, begin : begin + size].transpose(0, 3, 1, 2) - p["mean"]

    def layer(name, x, stride, pad, groups):
        return np.maximum(convolution(x, p[f"{name}_weight"], p[f"{name}_bias"], stride, pad, groups), 0)

    x = pooling(normalization(layer("conv1", x, 4, (0, 3), 1), 2))
    x = pooling(normalization(layer("conv2", x, 1, (2, 2), 2), 2))
    x = layer("conv5", layer("conv4", layer("conv3", x, 1, (1, 1), 1), 1, (1, 1), 2), 1, (1, 1), 2)
    x = pooling(x).reshape(len(images), -1)
    for name in ("fc6", "fc7"):
        x = np.maximum(x @ p[f"{name}_weight"].T + p[f"{name}_bias"], 0) * (1 - drop)
    return x


@pytest.fixture
def network(small_recipe):
    return dataclasses.replace(small_recipe.network, dropout=0.5)


@pytest.fixture
def parameters(network, rng):
    values = initial_parameters(network, len(CLASSES), seed=3)
    values["conv1_weight"] *= 3
    values["fc7_bias"] = mx.nd.array(rng.normal(0, 1, 20))  # some neurons are off
    values["mean"] = mx.nd.array(rng.uniform(90, 130, (3, 99, 99)))
    return values


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)


def test_fc7_is_the_formula(network, parameters, images):
    net = build_classifier(network, parameters, mx.cpu())
    fc7 = activations.of_classifier(net, network, mx.cpu())
    found = fc7.of_images(images)
    expected = fc7_by_formula({k: v.asnumpy().astype(np.float64) for k, v in parameters.items()}, images, 0.5)
    assert (fc7.size, fc7.width, found.dtype, found.shape) == (99, 20, np.float32, (3, 20))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert 0 < (expected == 0).mean() < 1
    assert np.ptp(expected, axis=0).max() > 0.01  # the images differ


def test_the_export_has_the_activities_of_the_run(network, parameters, images, tmp_path):
    net = build_classifier(network, parameters, mx.cpu())
    description = {"classes": CLASSES, "provenance": {"variants": []}}
    symbol.export(net, tmp_path / "net", 99, description, images[:, :99, :99], mx.cpu())
    exported = activations.of_export(tmp_path / "net", mx.cpu())
    own = activations.of_classifier(net, network, mx.cpu())
    assert (exported.size, exported.width) == (99, 20)
    np.testing.assert_allclose(exported.of_images(images), own.of_images(images), atol=1e-6)


def test_the_digest_is_of_every_number(network, parameters):
    def digest(network, parameters):
        net = build_classifier(network, parameters, mx.cpu())
        return activations.of_classifier(net, network, mx.cpu()).digest

    first = digest(network, parameters)
    assert digest(network, dict(parameters)) == first
    for name in ("conv3_bias", "fc8_weight", "mean"):
        value = parameters[name].asnumpy()
        value.flat[-1] += 1e-3
        assert digest(network, {**parameters, name: mx.nd.array(value)}) != first, name
    assert digest(dataclasses.replace(network, activation="tanh"), parameters) != first


def test_a_net_with_a_number_that_is_none_is_refused(network, parameters):
    value = parameters["conv2_weight"].asnumpy()
    value.flat[5] = np.nan
    net = build_classifier(network, {**parameters, "conv2_weight": mx.nd.array(value)}, mx.cpu())
    with pytest.raises(OperationFailed, match="conv2_weight holds what is not a number"):
        activations.of_classifier(net, network, mx.cpu())


def graph_of(network, parameters):
    return activations.graph_of_classifier(build_classifier(network, parameters, mx.cpu()), network)


@pytest.mark.parametrize("name", ["paper", "as-run"])
def test_every_layer_is_that_of_the_module_read_in_numpy(network, parameters, images, tmp_path, monkeypatch, name):
    if name == "as-run":
        as_run = presets.AS_RUN.network
        norms = {"normalization": as_run.normalization, "map_normalization": as_run.map_normalization}
        network = dataclasses.replace(network, relu_before_normalization=False, **norms)
    graph = graph_of(network, parameters)
    arrays = {key: value.asnumpy() for key, value in graph.values.items()}
    pytorch.write(tmp_path / "net", layer_chain.read(graph.symbol, graph.size), arrays, CLASSES)
    net = numpy_torch.read(tmp_path / "net.py", monkeypatch).load()
    shapes = activations.layer_shapes(graph)
    layers = activations.open_layers(graph, list(shapes), True, mx.cpu())
    views = images[:, :99, :99]
    found = layers.compute(views)
    x = views.transpose(0, 3, 1, 2).astype(np.float32).view(numpy_torch.Tensor)
    for layer in net.names:
        x = getattr(net, layer)(x)
        if layer != "flatten":
            assert found[layer].shape == (3, *shapes[layer])
            np.testing.assert_allclose(found[layer], x, rtol=0, atol=1e-5 * np.abs(x).max(), err_msg=layer)
    assert found.keys() == shapes.keys() == (set(net.names) - {"flatten"}) | {"softmax"}


def test_a_layer_means_what_its_activation_makes_of_it_unless_asked_otherwise(network, parameters, images):
    graph, views = graph_of(network, parameters), images[:, :99, :99]
    names = ["fc6", "conv5", "relu5", "pool5", "fc8", "fc6"]
    before = activations.open_layers(graph, names, True, mx.cpu()).compute(views)
    after = activations.open_layers(graph, names, False, mx.cpu()).compute(views)
    assert list(before) == list(after) == names[:5]
    assert before["conv5"].min() < 0 <= after["conv5"].min()
    np.testing.assert_array_equal(after["conv5"], before["relu5"])
    np.testing.assert_array_equal(after["fc6"], np.maximum(before["fc6"], 0))
    for name in ("pool5", "fc8"):  # nothing follows that would be called theirs
        np.testing.assert_array_equal(after[name], before[name])


def test_one_layer_alone_and_of_an_export(network, parameters, images, tmp_path):
    net = build_classifier(network, parameters, mx.cpu())
    views = images[:, :99, :99]
    symbol.export(net, tmp_path / "net", 99, {"classes": CLASSES, "provenance": {"variants": []}}, views, mx.cpu())
    graph = activations.graph_of_export(tmp_path / "net", mx.cpu())
    alone = activations.open_layers(graph, ["conv3"], False, mx.cpu())
    together = activations.open_layers(graph_of(network, parameters), ["conv3", "fc7"], False, mx.cpu())
    assert alone.shapes == {"conv3": (16, 5, 5)}
    np.testing.assert_allclose(alone.compute(views)["conv3"], together.compute(views)["conv3"], atol=1e-6)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["conv9"], "There is no layer conv9; this net has mean, padding, conv1, relu1, norm1"),
        (["conv5", "Conv5"], "There is no layer Conv5"),
        ([], "No layer is named; this net has"),
    ],
)
def test_an_unknown_layer_is_told_with_the_known_ones(network, parameters, names, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        activations.open_layers(graph_of(network, parameters), names, True, mx.cpu())


def test_a_net_of_fewer_bits_is_not_looked_into(network, parameters, images, tmp_path):
    net = build_classifier(network, parameters, mx.cpu())
    facts = {"classes": CLASSES, "provenance": {"variants": []}, "int8": {}}
    symbol.export(net, tmp_path / "net", 99, facts, images[:, :99, :99], mx.cpu())
    with pytest.raises(InvalidRequest, match="is a net in int8, whose layers cannot be looked into"):
        activations.graph_of_export(tmp_path / "net", mx.cpu())


def test_a_graph_that_is_no_chain_has_its_own_names(images):
    data = mx.sym.var("data", dtype=np.float32)
    one = mx.sym.Convolution(data, kernel=(3, 3), num_filter=2, name="left_fwd")
    two = mx.sym.Convolution(data, kernel=(3, 3), num_filter=2, name="right_fwd")
    both = mx.sym.concat(one, two, name="both")
    values = {name: mx.nd.ones((2, 3, 3, 3) if "weight" in name else (2,)) for name in both.list_arguments()[1:]}
    graph = activations.Graph(both, values, 99, "0" * 64)
    assert activations.layer_shapes(graph) == {"left": (2, 97, 97), "right": (2, 97, 97), "both": (4, 97, 97)}
    found = activations.open_layers(graph, ["right"], False, mx.cpu()).compute(images[:1, :99, :99])
    assert found["right"][0, 1, 5, 7] == images[0, 5:8, 7:10].sum() + 1


def test_bound_as_one_symbol_mxnet_gives_other_numbers(network, parameters, images):
    # The reason for a block where a symbol would do; if this ever fails, MXNet has been mended.
    graph, names = graph_of(network, parameters), ["conv1", "relu1"]
    data = mx.nd.array(images[:, :99, :99].transpose(0, 3, 1, 2))
    outputs = [layer.output for layer in layer_chain.read(graph.symbol, 99) if layer.name in names]
    group = mx.sym.Group([graph.symbol.get_internals()[output] for output in outputs])
    values = {name: graph.values.get(name, data) for name in group.list_arguments()}
    before, after = (output.asnumpy() for output in group.bind(mx.cpu(), values).forward())
    assert not np.array_equal(np.maximum(before, 0), after)
