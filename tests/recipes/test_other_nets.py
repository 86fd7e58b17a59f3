"""The other AlexNets are what their authors' files say: counts by hand, outputs by OpenCV and NumPy, whole runs."""

import dataclasses
import functools

import cv2
import numpy as np
import pytest
from helpers import caffemodels, numpy_gradients
from helpers.images import packed

import gluon_alexnet as ga
from gluon_alexnet.backend import mx
from gluon_alexnet.importers.families import TITLES, lines_of_chain, match
from gluon_alexnet.model import layer_chain
from gluon_alexnet.model.alexnet import AlexNet, initial_parameters, set_parameters
from gluon_alexnet.model.classifier import Classifier, build_classifier, classify_with
from gluon_alexnet.model.shapes import parameter_count
from gluon_alexnet.recipes import other_nets, presets, schema
from gluon_alexnet.training import lr_schedule
from gluon_alexnet.training.trainer import Trainer
from gluon_alexnet.workflows.identify import identify

NAMES = [recipe.name for recipe in other_nets.OTHER_NETS]

# kernel · kernel · maps that a kernel reads · kernels + biases, and inputs · neurons + biases, for 1,000 classes. The
# sums are printed elsewhere: 60,965,224 in Caffe's own count, 61,100,840 on torchvision's page, 62,378,344 for the net
# without groups in many places; of the program there is none.
TOP = [4096 * 4096 + 4096, 4096 * 1000 + 1000]
GROUPS = [11 * 11 * 3 * 96 + 96, 5 * 5 * 48 * 256 + 256, 3 * 3 * 256 * 384 + 384, 3 * 3 * 192 * 384 + 384,
          3 * 3 * 192 * 256 + 256, 6 * 6 * 256 * 4096 + 4096, *TOP]  # fmt: skip
ONE = [11 * 11 * 3 * 96 + 96, 5 * 5 * 96 * 256 + 256, 3 * 3 * 256 * 384 + 384, 3 * 3 * 384 * 384 + 384,
       3 * 3 * 384 * 256 + 256]  # fmt: skip
COUNTS = {
    "bvlc": (GROUPS, 60_965_224),
    "caffenet": (GROUPS, 60_965_224),
    "one-weird-trick": (
        [11 * 11 * 3 * 64 + 64, 5 * 5 * 64 * 192 + 192, 3 * 3 * 192 * 384 + 384, 3 * 3 * 384 * 256 + 256,
         3 * 3 * 256 * 256 + 256, 6 * 6 * 256 * 4096 + 4096, *TOP],
        61_100_840,
    ),
    "korean-summary": ([*ONE, 6 * 6 * 256 * 4096 + 4096, *TOP], 62_378_344),
    "korean-summary-code": ([*ONE, 5 * 5 * 256 * 4096 + 4096, *TOP], 50_844_008),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_counted_by_hand(name):
    layers, total = COUNTS[name]
    assert list(parameter_count(presets.RECIPES[name].network, 1000).values()) == layers
    assert sum(layers) == total


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_graph_of_each_is_identified(name):
    graph = Classifier(presets.RECIPES[name].network, 1000)(mx.sym.var("data"))
    size = presets.RECIPES[name].network.input_size
    found = match(lines_of_chain(layer_chain.read(graph, size)))
    assert (found.family, found.differences) == (TITLES.get(name, name), ())


def narrowed(name, size=99):
    """A recipe with few maps, and crops of 99 pixels."""
    recipe = presets.RECIPES[name]
    layers = {
        layer: dataclasses.replace(numbers, kernels=2 * columns, weight_std=0.05)
        for (layer, numbers), columns in zip(recipe.network.convolutions(), (4, 6, 8, 8, 6))
    }
    layers |= {
        layer: dataclasses.replace(numbers, neurons=20, weight_std=0.1) for layer, numbers in recipe.network.hidden()
    }
    network = dataclasses.replace(recipe.network, input_size=size, fc8_weight_std=0.1, **layers)
    return dataclasses.replace(recipe, network=network)


@pytest.mark.parametrize(("name", "order"), [("bvlc", caffemodels.ALEXNET), ("caffenet", caffemodels.CAFFENET)])
def test_opencv_gets_the_same_of_caffe_s_files(rng, tmp_path, name, order):
    values = caffemodels.weights(rng)
    (tmp_path / "net.prototxt").write_text(caffemodels.prototxt(order))
    (tmp_path / "net.caffemodel").write_bytes(caffemodels.caffemodel(order, values))
    net = cv2.dnn.readNetFromCaffe(str(tmp_path / "net.prototxt"), str(tmp_path / "net.caffemodel"))
    images = rng.integers(0, 256, (3, 227, 227, 3), dtype=np.uint8)
    mean = np.array([123, 117, 104], np.float32)  # RGB
    net.setInput(np.ascontiguousarray((images - mean).transpose(0, 3, 1, 2)[:, ::-1]))  # Caffe reads BGR
    expected = net.forward()
    network = narrowed(name, 227).network
    assert {layer: one.kernels for layer, one in network.convolutions()}.items() <= caffemodels.KERNELS.items()
    parameters = {"mean": mx.nd.array(np.broadcast_to(mean.reshape(3, 1, 1), (3, 227, 227)))}
    for layer, (weight, bias) in values.items():
        weight = weight[:, ::-1] if layer == "conv1" else weight
        parameters[f"{layer}_weight"], parameters[f"{layer}_bias"] = mx.nd.array(weight), mx.nd.array(bias)
    ours = classify_with(build_classifier(network, parameters, mx.cpu()), mx.cpu())(images)
    assert expected.max() - expected.min() > 0.1
    np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_the_program_of_the_summary_by_numpy(rng):
    """No border around conv1 and 1s elsewhere, LRN with k 1 and α .001 not divided, a pooling after layers 1, 2, 5."""
    network = narrowed("korean-summary-code", 131).network
    values = {name: value.asnumpy().astype(np.float64) for name, value in initial_parameters(network, 7, 3).items()}
    image = rng.integers(0, 256, (2, 3, 131, 131)).astype(np.float64)
    numbers = schema.ResponseNormalization(k=1.0, n=5, alpha=1e-3, beta=0.75)
    a = image
    for number, (stride, border) in enumerate([(4, 0), (1, 2), (1, 1), (1, 1), (1, 1)], 1):
        a = np.pad(a, [(0, 0), (0, 0), (border, border), (border, border)])
        a, _ = numpy_gradients.convolution(a, values[f"conv{number}_weight"], stride)
        a = np.maximum(a + values[f"conv{number}_bias"].reshape(1, -1, 1, 1), 0)
        if number < 3:
            a, _ = numpy_gradients.response_normalization(a, numbers, 1)
        if number in (1, 2, 5):
            a, _ = numpy_gradients.max_pooling(a)
    a = a.reshape(2, -1)
    for layer in ("fc6", "fc7", "fc8"):
        a = a @ values[f"{layer}_weight"].T + values[f"{layer}_bias"]
        a = a if layer == "fc8" else np.maximum(a, 0)
    net = AlexNet(network, 7)
    net.initialize()
    set_parameters(net, {name: mx.nd.array(value) for name, value in values.items()})
    np.testing.assert_allclose(net(mx.nd.array(image)).asnumpy(), a, rtol=1e-4, atol=1e-4)


@functools.cache
def data_set(folder):
    return packed(folder)  # 12 training images of three classes


@pytest.mark.parametrize("name", NAMES)
def test_each_learns_goes_on_is_evaluated_exported_and_identified(name, tmp_path, tmp_path_factory):
    data = data_set(tmp_path_factory.getbasetemp() / "other-nets")
    recipe = narrowed(name)
    learning = dataclasses.replace(recipe.learning, batch_size=4, epochs=1)  # three updates
    recipe = dataclasses.replace(recipe, learning=learning)
    devices = [["cpu(0)"]] + [["cpu(0)", "cpu(1)"]] * (recipe.network.columns == 2)
    for number, contexts in enumerate(devices):
        run = tmp_path / f"run{number}"
        assert ga.train(data, recipe=recipe, run=run, devices=contexts, seed=3).finished
        again = ga.train(run=run, resume=True, devices=contexts, epochs=2)
        assert [len(again.epochs), again.finished] == [2, True]
        assert np.isfinite([epoch["training_loss"] for epoch in again.epochs]).all()
        found = identify(run)
        assert found.parameters == sum(parameter_count(recipe.network, 3).values())
        if not name.startswith("korean"):  # which is nearest to none
            assert found.family == TITLES.get(name, name)
    score = ga.evaluate(run, data, views=(1,), device="cpu(0)").scores[0]
    ga.export(run, tmp_path / "out", onnx=True)
    assert ga.evaluate(tmp_path / "out", data, views=(1,), device="cpu(0)").scores[0].top1 == score.top1
    assert identify(tmp_path / "out").parameters == found.parameters
    assert (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("name", ["bvlc", "caffenet"])
def test_two_contexts_learn_what_one_does(name, rng):
    """Three updates without dropout: normalisation over both groups crosses from one context to the other."""
    recipe = narrowed(name)
    recipe = dataclasses.replace(recipe, network=dataclasses.replace(recipe.network, dropout=0.0))
    images, labels = rng.normal(0, 50, (3, 4, 3, 99, 99)).astype(np.float32), rng.integers(0, 3, (3, 4))
    ends = []
    for contexts in ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)]):
        trainer = Trainer(recipe, 3, contexts)
        trainer.initialize(seed=1)
        for step in range(3):
            trainer.step(images[step], labels[step], lr_schedule.LearningRates(0.001, 0.002), step)
        ends.append({key: value.asnumpy() for key, value in trainer.parameters().items()})
    begun = initial_parameters(recipe.network, 3, seed=1)
    for key, value in ends[0].items():
        moved = np.abs(value - begun[key].asnumpy()).max()
        assert moved > 0, key
        np.testing.assert_allclose(ends[1][key], value, rtol=0, atol=1e-4 * moved + 1e-7, err_msg=key)


def test_how_caffe_learns():
    """450,000 updates of 256 images, the rate divided by 10 every 100,000; ILSVRC-2012 has 1,281,167 images."""
    epochs = 100_000 * 256 / 1_281_167
    learning = presets.RECIPES["bvlc"].learning
    assert learning == presets.RECIPES["caffenet"].learning
    assert learning.epochs == round(4.5 * epochs) == 90
    for epoch in (0, 19, 20, 39, 40, 60, 80, 89):
        found = lr_schedule.rates(learning, lr_schedule.Moment([50.0] * epoch))
        expected = 0.01 / 10 ** (epoch // round(epochs))
        assert found.of("fc6_weight") == pytest.approx(expected)
        assert found.of("conv1_bias") == pytest.approx(2 * expected)
