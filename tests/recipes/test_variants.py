"""Each recipe and variant is what the paper, or the 2012 code's diary, says it is."""

import dataclasses

import numpy as np
import pytest
from helpers import numpy_layers

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.exporters import symbol
from gluon_alexnet.model.alexnet import LowerLayers, initial_parameters
from gluon_alexnet.model.classifier import build_classifier
from gluon_alexnet.model.layers import MapNormalization
from gluon_alexnet.model.shapes import convolution_outputs, parameter_count
from gluon_alexnet.recipes import presets, published, schema, serialization, timetable, variants
from gluon_alexnet.training import lr_schedule
from gluon_alexnet.training.trainer import Trainer

NAMES = [variant.name for variant in variants.VARIANTS]


def changed(left, right, path=""):
    """Paths of the fields that differ between two dataclasses."""
    if dataclasses.is_dataclass(left) and type(left) is type(right):
        found = set()
        for field in dataclasses.fields(left):
            found |= changed(getattr(left, field.name), getattr(right, field.name), f"{path}.{field.name}")
        return found
    return set() if left == right else {path[1:]}


def test_as_run_differs_from_the_paper_in_the_fields_of_its_table_and_in_no_other():
    assert changed(presets.PAPER, presets.AS_RUN) == {
        "name",
        "network.conv3.weight_std",
        "network.conv4.weight_std",
        "network.conv5.weight_std",
        "network.normalization.alpha_divided_by_n",
        "network.relu_before_normalization",
        "network.map_normalization",
        "augmentation.colour_divisor",
        "augmentation.shared_crops",
        "learning.timetable",
        "learning.drops_on_plateau",
        "learning.same_batches",
        "learning.epochs",
    }
    network, augmentation = presets.AS_RUN.network, presets.AS_RUN.augmentation
    layers = {name: layer.weight_std for name, layer in [*network.convolutions(), *network.hidden()]}
    assert {**layers, "fc8": network.fc8_weight_std} == {
        **dict.fromkeys(("conv1", "conv2", "fc6", "fc7", "fc8"), 0.01),
        **dict.fromkeys(("conv3", "conv4", "conv5"), 0.03),
    }
    assert dataclasses.astuple(network.map_normalization) == (5, 1e-3, 0.75)
    assert (augmentation.colour_divisor, augmentation.shared_crops, augmentation.colour_std) == (1.1, 32, 0.1)
    assert presets.AS_RUN.learning.same_batches and not presets.AS_RUN.learning.drops_on_plateau


@pytest.mark.parametrize(("one", "last"), [("as-run", 67), ("as-run-2010", 68)])
def test_the_colour_shift_ends_after_these_epochs(one, last):
    changes = presets.RECIPES[one].learning.timetable
    assert [timetable.colour_std(0.1, changes, epoch) for epoch in (0, last - 1, last, 90)] == [0.1, 0.1, 0, 0]


def test_the_sixth_layer_is_what_the_2012_code_has():
    """Net #146's conv6: 3×3, padding 1, 256 kernels that read both columns, bias 1."""
    sixth = variants.apply(presets.PAPER, ["six-conv"]).network.conv6
    assert (sixth.kernels, sixth.size, sixth.stride, tuple(sixth.padding)) == (256, 3, 1, (1, 1))
    assert (sixth.both_columns, sixth.bias, sixth.weight_std) == (True, 1.0, 0.01)
    of_2012 = presets.RECIPES["net-146-2009"].network.conv6
    assert (of_2012.kernels, of_2012.both_columns, of_2012.bias, of_2012.weight_std) == (256, True, 1.0, 0.03)


def test_printed_differs_from_the_paper_s_recipe_in_what_the_print_says_and_in_no_other():
    assert changed(presets.PAPER, presets.PRINTED) == {
        "name",
        "network.normalization.both_columns",
        "augmentation.colour_by_eigenvalue",
        "augmentation.mean_before_crop",
    }


@pytest.mark.parametrize(
    ("one", "epoch", "rates"),
    [
        # (weights, biases, conv1's weights, conv1's biases)
        ("paper", 0, (0.01, 0.01, 0.01, 0.01)),
        ("as-run", 0, (0.01, 0.02, 0.01, 0.02)),
        ("as-run", 24, (0.01, 0.02, 0.01, 0.02)),
        ("as-run", 25, (0.001, 0.02, 0.001, 0.02)),
        ("as-run", 50, (0.001, 0.02, 0.001, 0.02)),
        ("as-run", 51, (1e-4, 0.02, 1e-4, 0.02)),
        ("as-run", 66, (1e-4, 0.02, 1e-4, 0.02)),
        ("as-run", 67, (1e-4, 0.02, 1e-5, 0.02)),
        ("as-run", 71, (1e-4, 0.02, 1e-5, 0.02)),
        ("as-run", 72, (1e-4, 0.02, 0.0, 0.0)),
        ("as-run", 78, (1e-4, 0.02, 0.0, 0.0)),
        ("as-run", 79, (1e-5, 0.02, 0.0, 0.0)),
        ("as-run-2010", 22, (0.01, 0.02, 0.01, 0.02)),
        ("as-run-2010", 23, (0.001, 0.002, 0.001, 0.002)),
        ("as-run-2010", 50, (0.001, 0.002, 0.001, 0.002)),
        ("as-run-2010", 51, (1e-4, 0.002, 1e-4, 0.002)),
        ("as-run-2010", 67, (1e-4, 0.002, 1e-4, 0.002)),
        ("as-run-2010", 68, (1e-4, 0.002, 1e-5, 0.002)),
        ("as-run-2010", 71, (1e-4, 0.002, 1e-5, 0.002)),
        ("as-run-2010", 72, (1e-4, 0.002, 0.0, 0.0)),
        ("as-run-2010", 77, (1e-4, 0.002, 0.0, 0.0)),
        ("as-run-2010", 78, (1e-5, 0.002, 0.0, 0.0)),
    ],
)
def test_the_rates_of_each_epoch(one, epoch, rates):
    found = lr_schedule.rates(presets.RECIPES[one].learning, lr_schedule.Moment([50.0] * epoch))
    names = ("fc6_weight", "fc6_bias", "conv1_weight", "conv1_bias")
    assert [found.of(name) for name in names] == pytest.approx(rates)
    assert [found.weights, found.biases] == pytest.approx(rates[:2])


@pytest.mark.parametrize(("one", "epochs"), [("as-run", 91), ("as-run-2010", 93)])
def test_the_last_epoch(one, epochs):
    learning = presets.RECIPES[one].learning
    assert [lr_schedule.finished(learning, [50.0] * n) for n in (epochs - 1, epochs)] == [False, True]


def test_a_frozen_layer_stays_whatever_its_momentum_and_goes_on_with_it_when_it_is_let_go(small_recipe, rng):
    """conv1 learns, is frozen for two updates, learns again; every parameter against the printed rule in NumPy."""
    learning = schema.Learning(momentum=0.9, weight_decay=0.01)
    trainer = Trainer(dataclasses.replace(small_recipe, learning=learning), 5, [mx.cpu(0)])
    trainer.initialize(seed=1)
    learns, frozen = {}, {"conv1": (0.0, 0.0)}
    velocity = dict.fromkeys(trainer.parameters(), 0.0)
    for step, layers in enumerate((learns, frozen, frozen, learns)):
        crops, labels = rng.normal(0, 50, (4, 3, 99, 99)).astype(np.float32), rng.integers(0, 5, 4)
        before = {name: value.asnumpy().astype(np.float64) for name, value in trainer.parameters().items()}
        trainer.step(crops, labels, lr_schedule.LearningRates(0.01, 0.02, layers), seed=0)
        gradients = {name: p.grad().asnumpy() for pairs in trainer._replicas[0].parameters for name, p in pairs}
        for name, value in trainer.parameters().items():
            rate, decay = (0.02, 0.0) if name.endswith("_bias") else (0.01, 0.01)
            if layers and name.startswith("conv1"):
                np.testing.assert_array_equal(value.asnumpy(), before[name].astype(np.float32), err_msg=name)
                assert np.abs(velocity[name]).max() > 0  # it would have coasted
                continue
            velocity[name] = 0.9 * velocity[name] - rate * (gradients[name] + decay * before[name])
            # Each sum is rounded to the float32 numbers around the parameter.
            near = 1e-5 * np.abs(velocity[name]).max() + 1e-6 * np.abs(before[name]).max()
            moved = value.asnumpy() - before[name]
            np.testing.assert_allclose(moved, velocity[name], rtol=1e-4, atol=near, err_msg=f"{name} {step}")


def test_the_second_normalization_is_the_formula(rng):
    numbers = schema.MapNormalization()
    x = rng.normal(0, 40, (2, 3, 7, 6)).astype(np.float32)
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (2, 2), (2, 2)])
    expected = np.empty(x.shape)
    for row in range(7):
        for column in range(6):
            total = (padded[:, :, row : row + 5, column : column + 5] ** 2).sum(axis=(2, 3))
            expected[:, :, row, column] = x[:, :, row, column] / (1 + 1e-3 / 25 * total) ** 0.75
    for hybridize in (False, True):
        layer = MapNormalization(numbers)
        layer.hybridize(hybridize)
        np.testing.assert_allclose(layer(mx.nd.array(x)).asnumpy(), expected, rtol=1e-5, atol=1e-5)


def test_layer_1_of_the_2012_code_normalizes_and_pools_before_relu(small_recipe, rng):
    """Layers 1 and 2 between their convolutions, normalisation on, each column by NumPy in float64."""
    run, small = presets.AS_RUN.network, small_recipe.network
    network = dataclasses.replace(run, conv1=small.conv1, conv2=small.conv2, input_size=99)
    lower, seen = LowerLayers(network, columns=2), {}
    lower.initialize(mx.init.Normal(0.05))
    for name in ("conv1", "conv2"):
        getattr(lower, name).register_forward_hook(
            lambda block, inputs, output, name=name: seen.update({name: (inputs[0].asnumpy(), output.asnumpy())})
        )
    given = lower(mx.nd.array(rng.normal(0, 50, (2, 3, 99, 99)))).asnumpy()

    def columns(x):
        return np.split(x.astype(np.float64), 2, axis=1)

    def pooled(x):
        return numpy_layers.pool(x, 3, 2, 0, (x.shape[2] - 3) // 2 + 1, np.max)

    def first(x, order):
        steps = {
            "norm": lambda a: numpy_layers.cross_map(a, 5, 1e-4, 0.75, 2),
            "pool": pooled,
            "relu": lambda a: np.maximum(a, 0),
        }
        for step in order.split():
            x = steps[step](x)
        return x

    def second(x):
        return pooled(numpy_layers.same_map(numpy_layers.cross_map(np.maximum(x, 0), 5, 1e-4, 0.75, 2), 1e-3, 0.75))

    conv1, conv2 = columns(seen["conv1"][1]), columns(seen["conv2"][1])
    expected = np.concatenate([first(x, "norm pool relu") for x in conv1], axis=1)
    np.testing.assert_allclose(seen["conv2"][0], expected, rtol=1e-5, atol=1e-6 * expected.max())
    for other in ("relu norm pool", "pool norm relu", "relu pool norm", "pool relu"):  # which this can tell apart
        wrong = np.concatenate([first(x, other) for x in conv1], axis=1)
        assert np.abs(wrong - expected).max() > 1e-3 * expected.max(), other
    np.testing.assert_allclose(given, np.concatenate([second(x) for x in conv2], axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["", *NAMES])
def test_the_net_has_the_parameters_that_are_counted(small_recipe, name):
    network = dataclasses.replace(small_recipe.network, dropout=0.5)
    one = variants.apply(dataclasses.replace(small_recipe, network=network), [name] if name else [])
    parameters = initial_parameters(one.network, 7, seed=0)
    counted = parameter_count(one.network, 7)
    for layer, count in counted.items():
        assert sum(value.size for key, value in parameters.items() if key.startswith(layer)) == count
    assert sum(counted.values()) == sum(value.size for value in parameters.values())
    assert parameters["fc6_weight"].shape[1] == convolution_outputs(one.network)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("no-crops", {"augmentation.random_crops", "augmentation.mirror"}),
        ("no-decay", {"learning.weight_decay"}),
        ("zero-bias", {f"network.{layer}.bias" for layer in ("conv2", "conv4", "conv5", "fc6", "fc7")}),
    ],
)
def test_the_variants_of_a_sentence_change_what_it_is_about(name, fields):
    assert changed(presets.PAPER, variants.apply(presets.PAPER, [name])) == {"variants", *fields}


def test_with_zero_bias_every_bias_begins_at_zero(small_recipe):
    one = variants.apply(small_recipe, ["six-conv", "zero-bias"])
    biases = {key: value for key, value in initial_parameters(one.network, 7, seed=0).items() if key.endswith("_bias")}
    assert "conv6_bias" in biases and not any(value.asnumpy().any() for value in biases.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_variant_is_recorded_and_changes_the_recipe(name):
    one = variants.apply(presets.PAPER, [name])
    assert one.variants == (name,)
    assert changed(presets.PAPER, one) > {"variants"}
    assert serialization.from_dict(serialization.to_dict(one)) == one


@pytest.mark.parametrize(
    ("base", "names", "sentence"),
    [
        (presets.PAPER, ["nonsense"], "There is no variant 'nonsense'; there are one-gpu, "),
        (presets.PAPER, ["tanh", "tanh"], "named twice"),
        (presets.PAPER, ["one-gpu", "no-cross-link"], r"no-cross-link changes nothing in paper\+one-gpu"),
        (presets.PAPER, ["no-cross-link", "without-conv3"], r"changes nothing in paper\+without-conv3"),
    ],
)
def test_variants_that_contradict_are_refused(base, names, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        variants.apply(base, names)


def test_as_run_takes_variants_too():
    one = variants.apply(presets.AS_RUN, ["no-lrn", "no-colour-shift"])
    assert one.network.normalization is None
    assert one.network.map_normalization is None
    assert (one.augmentation.colour_std, one.augmentation.colour_divisor) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("year", "split", "names", "expected"),
    [
        (2012, "val", (), [(40.7, 18.2), (40.66, 18.21), (40.25, 17.99)]),
        (2010, "test", (), [(37.5, 17.0), (37.47, 17.0), (39.02, 18.3)]),
        (2010, "val", (), [(37.5, 17.0), (37.47, 17.0), (39.02, 18.3)]),
        (2012, "val", ("no-lrn",), [(42.03, 19.36)]),
        (2010, "test", ("one-gpu",), [(39.17, 18.23)]),
        (2012, "val", ("tanh",), [(40.7, 18.2), (40.66, 18.21), (40.25, 17.99)]),
    ],
)
def test_each_net_has_its_target(year, split, names, expected):
    assert [(row.top1, row.top5) for row in published.results(year, split, names)] == expected


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_each_variant_trains_exports_and_reloads(small_recipe, name, contexts, rng, tmp_path):
    network = dataclasses.replace(small_recipe.network, dropout=0.5)
    one = variants.apply(dataclasses.replace(small_recipe, network=network), [name])
    trainer = Trainer(one, 7, [mx.cpu(i) for i in range(min(contexts, one.network.columns))])
    trainer.initialize(seed=1)
    before = {key: value.asnumpy() for key, value in trainer.parameters().items()}
    crops, labels = rng.normal(0, 50, (4, 3, 99, 99)).astype(np.float32), rng.integers(0, 7, 4)
    for step in range(2):
        trainer.step(crops, labels, lr_schedule.LearningRates(0.01, 0.01), step)
    parameters = trainer.parameters()
    assert all((value.asnumpy() != before[key]).any() for key, value in parameters.items())
    mean = rng.uniform(80, 160, (3, 99, 99)).astype(np.float32)
    parameters["mean"] = mx.nd.array(mean)
    classifier = build_classifier(one.network, parameters, mx.cpu())
    images = rng.integers(0, 256, (3, 99, 99, 3), dtype=np.uint8)
    description = {
        "classes": [{"wnid": n, "name": n} for n in "abcdefg"],
        "provenance": {"variants": list(one.variants)},
    }
    symbol.export(classifier, tmp_path / "net", 99, description, images, mx.cpu())
    model = symbol.load_export(tmp_path / "net", mx.cpu())
    assert model.variants == (name,)
    # The trained net itself on what NumPy subtracts, and NumPy's softmax.
    outputs = trainer._net(mx.nd.array(images.astype(np.float32).transpose(0, 3, 1, 2) - mean)).asnumpy()
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    np.testing.assert_allclose(model.classify(images), powers / powers.sum(axis=1, keepdims=True), atol=1e-5)
