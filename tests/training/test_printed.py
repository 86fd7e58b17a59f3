"""The recipe `printed`: normalisation over all maps, and a run whose net has each pixel's own mean subtracted."""

import dataclasses

import numpy as np
import pytest
from helpers.images import packed
from helpers.numpy_layers import cross_map

import gluon_alexnet as ga
from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.model.alexnet import LowerLayers
from gluon_alexnet.model.classifier import build_classifier
from gluon_alexnet.recipes import presets, schema
from gluon_alexnet.recordio.dataset.statistics import read_statistics
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.training import checkpoint


def response_normalized(x):
    """The printed formula over all maps: k 2, n 5, alpha 1e-4, not divided, beta .75."""
    return cross_map(x.astype(np.float64), 5, 5e-4, 0.75, 2)


@pytest.fixture(scope="module")
def printed(small_recipe):
    """As printed, but small."""
    network = dataclasses.replace(small_recipe.network, normalization=presets.PRINTED.alexnet.normalization)
    learning = schema.Learning(batch_size=4, epochs=1)
    return dataclasses.replace(
        small_recipe, network=network, augmentation=presets.PRINTED.augmentation, learning=learning
    )


@pytest.mark.parametrize("fast", [False, True])
def test_normalization_sums_over_the_maps_of_both_columns(printed, fast, rng):
    lower, seen = LowerLayers(printed.alexnet, columns=2, fast=fast), {}
    lower.initialize(mx.init.Uniform(0.05))
    for parameter in lower.collect_params().values():
        parameter.set_data(parameter.data().abs())  # no map is 0, whatever is drawn
    for name in ("norm1", "norm2"):
        getattr(lower, name).register_forward_hook(
            lambda block, inputs, output, name=name: seen.update({name: (inputs[0].asnumpy(), output.asnumpy())})
        )
    lower(mx.nd.array(rng.uniform(0, 50, (2, 3, 99, 99))))
    for name, (x, y) in seen.items():
        np.testing.assert_allclose(y, response_normalized(x), rtol=2e-5, atol=1e-6, err_msg=name)
        apart = np.concatenate([response_normalized(half) for half in np.split(x, 2, axis=1)], axis=1)
        assert np.abs(apart - y).max() > 1e-4 * np.abs(y).max(), name


def test_a_run_keeps_the_whole_mean_image_and_is_tested_as_it_learned(printed, tmp_path):
    data = packed(tmp_path)
    ga.train(data, recipe=printed, run=tmp_path / "run", devices=["cpu(0)", "cpu(1)"])
    mean = checkpoint.load_run(tmp_path / "run")[2]["mean"].asnumpy()
    statistics = read_statistics(data)
    np.testing.assert_allclose(mean, statistics.mean_image.transpose(2, 0, 1), rtol=1e-6)
    model, reader = ga.load(tmp_path / "run", device="cpu(0)"), Reader(data, "val")
    images = next(iter(reader.batches(len(reader)))).images
    centred = images.astype(np.float64) - statistics.mean_image
    views = [centred[:, top : top + 99, left : left + 99] for top in (0, 157) for left in (0, 157)]
    views.append(centred[:, 78:177, 78:177])
    views += [view[:, :, ::-1] for view in views]
    shown = mx.nd.array(np.concatenate(views).transpose(0, 3, 1, 2))
    parameters = checkpoint.load_run(tmp_path / "run")[2]
    net = build_classifier(printed.network, {**parameters, "mean": mx.nd.zeros((3, 99, 99))}, mx.cpu())
    expected = net(shown).asnumpy().reshape(10, len(images), -1)
    np.testing.assert_allclose(model.probabilities(list(images), views=10), expected.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(model.probabilities(list(images), views=1), expected[4], atol=1e-5)
    errors = ga.evaluate(tmp_path / "run", data, views=(10,), device="cpu(0)").scores[0]
    order = expected.mean(axis=0).argmax(axis=1)
    labels = next(iter(reader.batches(len(reader)))).labels
    assert errors.top1 == pytest.approx(100 * np.mean(order != labels))


def test_a_mean_of_each_colour_has_no_pixels_of_its_own():
    with pytest.raises(InvalidRequest, match="no mean of each pixel where the net subtracts one of each colour"):
        dataclasses.replace(presets.RECIPES["one-weird-trick"], augmentation=presets.PRINTED.augmentation)
