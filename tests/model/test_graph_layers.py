"""Each layer type of a graph, read from a file of our own, against its formula in NumPy: outputs and gradients."""

import numpy as np
import pytest
from helpers import cuda_files as files
from helpers.cuda_files import section
from helpers.numpy_layers import blurred, convolution, cross_map, flat, local, pool, same_map

from gluon_alexnet.backend import mx
from gluon_alexnet.model.graph_shapes import shapes
from gluon_alexnet.model.layer_graph import GraphLoss, GraphNet, Part, initial_parameters

SIDE = 7


def conv(inputs="image", **keys):
    keys = {"channels": 3, "filters": 4, "filterSize": 3, "initW": 0.1, **keys}
    return section("it", type="conv", inputs=inputs, **keys)


def pooling(kind, size, stride, **keys):
    keys = {"pool": kind, "channels": 8, "sizeX": size, "stride": stride, **keys}
    return section("it", type="pool", inputs="maps", **keys)


def norm(kind, size=5, **numbers):
    return section("it", type=kind, inputs="maps", channels=8, size=size), section("it", pow=0.75, **numbers)


def neuron(name):
    return section("it", type="neuron", inputs="maps", neuron=name), ""


# The image (3 maps of 7×7) goes through "maps" (8 maps of 7×7) or straight to "it", the layer under test.
MAPS = section(
    "maps", type="conv", inputs="image", channels=3, filters=8, filterSize=3, padding=1, initW=0.2, initB=0.3
)
W = files.weights
CASES = {
    "conv, its last window overruns": (
        (conv(padding=1, stride=4, initB=0.5), W("it")),
        lambda i, m, p: convolution(i, p["it_weight"], 4, 1) + p["it_bias"][:, None, None],
    ),
    "conv, two inputs": (
        (
            conv("maps,image", channels=[8, 3], filters=[4, 4], filterSize=[3, 1], padding=[1, 0], initW=[0.1, 0.2]),
            W("it", 2),
        ),
        lambda i, m, p: (
            convolution(m, p["it_weight0"], 1, 1) + convolution(i, p["it_weight1"], 1, 0) + p["it_bias"][:, None, None]
        ),
    ),
    "conv, groups, a bias for each place": (
        (conv("maps", channels=8, groups=2, filters=3, filterSize=5, padding=2, sharedBiases=0), W("it")),
        lambda i, m, p: convolution(m, p["it_weight"], 1, 2, groups=2) + p["it_bias"],
    ),
    "conv, sparse": (
        (conv("maps", channels=8, groups=4, filters=2, filterChannels=4, randSparse="true"), W("it")),
        lambda i, m, p: (
            convolution(m[:, p["it_connections"].astype(int)], p["it_weight"], 1, 0, groups=4)
            + p["it_bias"][:, None, None]
        ),
    ),
    "local": (
        (
            section(
                "it", type="local", inputs="maps", channels=8, filters=4, filterSize=3, padding=1, initW=0.1, initB=1
            ),
            W("it"),
        ),
        lambda i, m, p: local(m, p["it_weight"], 3, 1) + p["it_bias"],
    ),
    "fc, two inputs": (
        (section("it", type="fc", inputs="maps,image", outputs=6, initW=[0.1, 0.1], initB=1), W("it", 2)),
        lambda i, m, p: flat(m) @ p["it_weight0"].T + flat(i) @ p["it_weight1"].T + p["it_bias"],
    ),
    "pool max, rounds up": (
        (pooling("max", 2, 2), ""),
        lambda i, m, p: pool(m, 2, 2, 0, 4, np.max),
    ),
    "pool avg, rounds up": (
        (pooling("avg", 4, 2), ""),
        lambda i, m, p: pool(m, 4, 2, 0, 3, np.mean),
    ),
    "pool max, begins before the map": (
        (pooling("max", 3, 2, start=-1), ""),
        lambda i, m, p: pool(m, 3, 2, -1, 4, np.max),
    ),
    "pool avg, begins before the map": (
        (
            pooling("avg", 3, 2, start=-1, outputsX=3),
            "",
        ),
        lambda i, m, p: pool(m, 3, 2, -1, 3, np.mean),
    ),
    "pool max, begins within the map": (
        (pooling("max", 3, 3, start=1, outputsX=1), ""),
        lambda i, m, p: pool(m, 3, 3, 1, 1, np.max),
    ),
    "pool rand that takes the maximum": (
        (
            pooling("rand", 3, 2),
            section("it", doMax="true"),
        ),
        lambda i, m, p: pool(m, 3, 2, 0, 3, np.max),
    ),
    "cmrnorm of the paper's window": (
        norm("cmrnorm", scale=0.3, minDiv=2),
        lambda i, m, p: cross_map(m, 5, 0.3, 0.75, 2),
    ),
    "cmrnorm of 5, for use": (norm("cmrnorm", scale=0.3, minDiv=2), lambda i, m, p: cross_map(m, 5, 0.3, 0.75, 2)),
    "cmrnorm of 7, minDiv left out": (norm("cmrnorm", 7, scale=0.2), lambda i, m, p: cross_map(m, 7, 0.2, 0.75, 1)),
    "rnorm": (norm("rnorm", scale=0.9), lambda i, m, p: same_map(m, 0.9, 0.75)),
    "cnorm": (
        norm("cnorm", scale=0.9),
        lambda i, m, p: same_map(m, 0.9, 0.75, of=m - pool(p.get("fixed", m), 5, 1, -2, SIDE, np.mean)),
    ),
    "blur": (
        (section("it", type="blur", inputs="image", channels=3, filterSize=5, stdev=1.5), ""),
        lambda i, m, p: blurred(i, 5, 1.5),
    ),
    "nailbed": (
        (section("it", type="nailbed", inputs="maps", channels=8, stride=3), ""),
        lambda i, m, p: m[:, :, 0::3, 0::3],  # 7 = 3·2 + 1, and half of 1 is 0
    ),
    "nailbed, begins within the map": (
        (section("it", type="nailbed", inputs="maps", channels=8, stride=5), ""),
        lambda i, m, p: m[:, :, 1::5, 1::5],
    ),
    "href": ((section("it", type="href", inputs="image", channels=3), ""), lambda i, m, p: i[:, :, :, ::-1]),
    "concat": ((section("it", type="concat", inputs="maps,image"), ""), lambda i, m, p: np.concatenate([m, i], 1)),
    "eltsum": (
        (section("it", type="eltsum", inputs="maps,maps", coeffs="1,-0.25"), ""),
        lambda i, m, p: m - 0.25 * m,
    ),
    "eltmax": (
        (
            section("other", type="neuron", inputs="maps", neuron="linear[-1,0.1]")
            + section("it", type="eltmax", inputs="maps,other"),
            "",
        ),
        lambda i, m, p: np.maximum(m, 0.1 - m),
    ),
    "hs in test": (
        (section("it", type="hs", inputs="maps", keep=0.7), section("it", enable="true")),
        lambda i, m, p: 0.7 * m,
    ),
    "logistic": (neuron("logistic"), lambda i, m, p: 1 / (1 + np.exp(-m))),
    "abs": (neuron("abs"), lambda i, m, p: np.abs(m)),
    "relu": (neuron("relu"), lambda i, m, p: np.maximum(m, 0)),
    "softrelu": (neuron("softrelu"), lambda i, m, p: np.log1p(np.exp(m))),
    "square": (neuron("square"), lambda i, m, p: m**2),
    "tanh": (neuron("tanh[1.5, 0.7]"), lambda i, m, p: 1.5 * np.tanh(0.7 * m)),
    "brelu": (neuron("brelu[0.4]"), lambda i, m, p: np.clip(m, 0, 0.4)),
    "linear": (neuron("linear[2,-1]"), lambda i, m, p: 2 * m - 1),
    "drelu": (neuron("drelu[0.8]"), lambda i, m, p: m - 0.8 * np.tanh(m / 0.8)),
    "sqrt of a square": (
        (
            section("squared", type="neuron", inputs="maps", neuron="square")
            + section("it", type="neuron", inputs="squared", neuron="sqrt"),
            "",
        ),
        lambda i, m, p: np.sqrt(m**2),
    ),
}


def texts(case):
    """Files with the image, "maps" and the layer under test."""
    (layer, numbers), _ = CASES[case]
    layers = files.HEAD.replace("[data]", "[image]") + MAPS + layer
    reads = ["it", *({"maps"} - set(layer.replace("\n", ",").replace("=", ",").split(",")))]
    count = len(reads)
    return layers + files.tail(reads, initW=[0.1] * count), W("maps") + numbers + W("out", count) + section(
        "cost", coeff=1
    )


@pytest.mark.parametrize("hybridized", [True, False], ids=["hybridized", "not"])
@pytest.mark.parametrize("case", CASES)
def test_each_layer_type_is_its_formula(case, hybridized, rng, tmp_path):
    graph = files.read(tmp_path, *texts(case), SIDE).graph
    # What is taken up to "maps" is the input of the layer under test, too: its gradient is held as well.
    layers = [layer for layer in graph.layers if layer.name not in ("maps", "out")]
    reads = [name for name in ("image", "maps") if any(name in layer.inputs for layer in layers)]
    part = Part(graph, layers, reads, ["it"], fast="for use" not in case)
    part.initialize()
    values = initial_parameters(graph, seed=1)
    for name, parameter in part.collect_params().items():
        if parameter.grad_req != "null":
            values[name] = mx.nd.array(rng.normal(0, 0.5, parameter.shape))
        parameter.set_data(values[name])
    part.hybridize(hybridized)
    given = {name: rng.normal(0, 1, (2, *shapes(graph)[name])).astype(np.float32) for name in reads}
    arrays = [mx.nd.array(given[name]) for name in reads]
    for array in arrays:
        array.attach_grad()
    # Recorded in test mode, the gradient of MXNet 1.9.1's max-pooling on a CPU is wrong.
    with mx.autograd.record(train_mode=case != "hs in test"):
        output = part(*arrays)
    chosen = rng.normal(0, 1, output.shape)
    output.backward(mx.nd.array(chosen))

    exact = {name: value.asnumpy().astype(np.float64) for name, value in values.items()}
    exact.update({name: value.astype(np.float64) for name, value in given.items()})
    if case == "cnorm":
        exact["fixed"] = exact["maps"].copy()

    def formula():
        return CASES[case][1](exact.get("image"), exact.get("maps"), exact)

    np.testing.assert_allclose(output.asnumpy(), formula(), rtol=1e-5, atol=1e-5)
    gradients = {name: array.grad for name, array in zip(reads, arrays)}
    gradients |= {name: p.grad() for name, p in part.collect_params().items() if p.grad_req != "null"}
    assert gradients
    for name, gradient in gradients.items():
        # Some places of each array, moved a little.
        for place in rng.choice(exact[name].size, min(12, exact[name].size), replace=False):
            numbers, before = exact[name].reshape(-1), exact[name].reshape(-1)[place]
            values_around = []
            for step in (1e-5, -1e-5):
                numbers[place] = before + step
                values_around.append((formula() * chosen).sum())
            numbers[place] = before
            expected = (values_around[0] - values_around[1]) / 2e-5
            assert gradient.asnumpy().reshape(-1)[place] == pytest.approx(expected, rel=2e-3, abs=2e-3), (name, place)


@pytest.mark.parametrize("size", [5, 7])
@pytest.mark.parametrize("order", ["pool relu norm", "relu pool norm", "norm pool relu", "relu norm pool", "pool norm"])
def test_normalisation_has_its_gradient_wherever_it_stands(order, size, rng, tmp_path):
    """Hybridized, MXNet's own is wrong behind a pooling, and behind a ReLU its layout of 16 maps is another one."""
    layers = files.HEAD + section("c1", type="conv", inputs="data", channels=3, filters=16, filterSize=5, initW=0.1)
    below, params = "c1", W("c1")
    for kind in order.split():
        keys = {
            "pool": {"type": "pool", "pool": "max", "sizeX": 3, "stride": 2, "channels": 16},
            "relu": {"type": "neuron", "neuron": "relu"},
            "norm": {"type": "cmrnorm", "channels": 16, "size": size},
        }[kind]
        layers += section(kind, inputs=below, **keys)
        below = kind
    params += section("norm", scale=0.01, pow=0.75, minDiv=2)
    keys = {"channels": 16, "filters": 16, "filterSize": 3, "padding": 1, "initW": 0.1}
    layers += section("c2", type="conv", inputs=below, **keys) + files.tail("c2")
    graph = files.read(tmp_path, layers, params + W("c2") + files.PARAMS, 13).graph
    values = initial_parameters(graph, seed=3)
    images, labels = mx.nd.array(rng.normal(0, 30, (4, 3, 13, 13))), mx.nd.array([0, 1, 2, 3])
    found = []
    for hybridized in (False, True):
        net = GraphNet(graph, fast=True)
        net.initialize()
        net.hybridize(hybridized, static_alloc=hybridized)
        for name, parameter in net.collect_params().items():
            parameter.set_data(values[name])
        for _ in range(2):
            with mx.autograd.record():
                loss = GraphLoss(graph)(net(images), labels)
            loss.backward()
        found.append({name: parameter.grad().asnumpy() for name, parameter in net.collect_params().items()})
    # The formula in float64, without MXNet: the derivative along one direction of the first layer's weights.
    exact = {name: value.asnumpy().astype(np.float64) for name, value in values.items()}
    along = rng.normal(0, 1, exact["c1_weight"].shape)
    steps = []
    for step in (1e-6, -1e-6):
        x = convolution(images.asnumpy(), exact["c1_weight"] + step * along, 1, 0) + exact["c1_bias"][:, None, None]
        for kind in order.split():
            if kind == "pool":
                x = pool(x, 3, 2, 0, (x.shape[2] - 2) // 2 + 1, np.max)
            else:
                x = np.maximum(x, 0) if kind == "relu" else cross_map(x, size, 0.01, 0.75, 2)
        x = flat(convolution(x, exact["c2_weight"], 1, 1) + exact["c2_bias"][:, None, None])
        y = x @ exact["out_weight"].T + exact["out_bias"]
        steps.append((np.log(np.exp(y - y.max(1, keepdims=True)).sum(1)) + y.max(1) - y[range(4), range(4)]).sum())
    expected = (steps[0] - steps[1]) / 2e-6
    for gradients in found:
        assert (gradients["c1_weight"] * along).sum() == pytest.approx(expected, rel=2e-3)
    for name, gradient in found[0].items():
        np.testing.assert_allclose(found[1][name], gradient, rtol=0, atol=1e-5 * np.abs(gradient).max(), err_msg=name)


def test_dropout_is_a_mask_of_ones_in_training(tmp_path):
    layers = (
        files.HEAD.replace("[data]", "[image]") + section("it", type="hs", inputs="image", keep=0.7) + files.tail("it")
    )
    for enable, kept in (("1", {0.0, 3.0}), ("0", {np.float32(3.0) * np.float32(0.7)})):
        graph = files.read(tmp_path, layers, section("it", enable=enable) + files.PARAMS, 40).graph
        part = Part(graph, graph.layers[:1], ["image"], ["it"])
        part.hybridize()
        with mx.autograd.train_mode():
            output = part(mx.nd.full((4, 3, 40, 40), 3.0)).asnumpy()
        assert set(np.unique(output.round(5))) == {np.float32(value).round(5) for value in kept}
        if enable == "1":
            assert (output != 0).mean() == pytest.approx(0.7, abs=0.02)


def logistic(y):
    return 1 / (1 + np.exp(-y))


@pytest.mark.parametrize(
    ("cost", "formula"),
    [
        ("cost.logreg", lambda y, t: -np.log((np.exp(y) * t).sum(1) / np.exp(y).sum(1))),
        ("cost.crossent2", lambda y, t: -(t * np.log(logistic(y)) + (1 - t) * np.log(logistic(-y))).sum(1)),
        ("cost.rflickr", lambda y, t: np.log(1 + (logistic(y) - t) ** 2).sum(1)),
        ("cost.sum2", lambda y, t: ((t - logistic(y)) ** 2).sum(1)),
    ],
)
def test_each_cost_is_its_formula(cost, formula, rng, tmp_path):
    if cost == "cost.logreg":
        layers = files.HEAD + files.tail("data")
    else:
        layers = files.HEAD + section("out", type="fc", inputs="data", outputs=5, initW=0.1, neuron="logistic", gpu=1)
        if cost == "cost.sum2":
            layers += section("difference", type="eltsum", inputs="labels,out", coeffs="1,-1")
            layers += section("cost", type=cost, inputs="difference")
        else:
            layers += section("cost", type=cost, inputs="labels,out")
    graph = files.read(tmp_path, layers, files.weights("out") + section("cost", coeff=0.5), 4).graph
    y, labels = rng.normal(0, 2, (3, 5)), rng.integers(0, 5, 3)
    # Costs that read the logistic function's value, rather than what it is of, are given that value.
    given = logistic(y) if cost in ("cost.rflickr", "cost.sum2") else y
    found = GraphLoss(graph)(mx.nd.array(given), mx.nd.array(labels)).asnumpy()
    np.testing.assert_allclose(found, 0.5 * formula(y, np.eye(5)[labels]), rtol=1e-5)
