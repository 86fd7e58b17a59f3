"""Nets made of nets: what is taken, what stays new, and what cannot be taken."""

import dataclasses

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.exporters import symbol
from gluon_alexnet.model import alexnet
from gluon_alexnet.model.classifier import build_classifier
from gluon_alexnet.recipes import schema, timetable
from gluon_alexnet.training import checkpoint, finetune, lr_schedule, run_folder, trainer

OLD = [{"wnid": wnid, "name": wnid} for wnid in ("a", "b", "c", "d")]
NEW = [{"wnid": wnid, "name": wnid} for wnid in ("b", "d", "e")]


@pytest.fixture
def run(small_recipe, tmp_path):
    """A run of the small net with four classes, and its parameters."""
    folder = tmp_path / "run"
    folder.mkdir()
    values = alexnet.initial_parameters(small_recipe.network, len(OLD), seed=5)
    values["conv2_bias"] += 0.5  # as if it had learned
    values["fc8_bias"] = mx.nd.array([0.1, 0.2, 0.3, 0.4])
    size = small_recipe.network.input_size
    values["mean"] = mx.nd.zeros((3, size, size))
    run_folder.write_description(folder, run_folder.RunDescription(small_recipe, OLD, "data", "d", {}))
    checkpoint.save(folder, checkpoint.State(seed=5), values, {}, best=True)
    return folder, values


def taken(small_recipe, path, classes=NEW, **how):
    initial = alexnet.initial_parameters(small_recipe.network, len(classes), seed=6)
    return initial, *finetune.transfer(initial, classes, path, **how)


def same(left, right):
    return np.array_equal(left.asnumpy(), right.asnumpy())


def test_hidden_layers_are_taken_and_layer_8_is_new(small_recipe, run):
    initial, found, summary = taken(small_recipe, run[0])
    assert summary.layers == ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
    for name, value in found.items():
        assert same(value, (initial if name.startswith("fc8") else run[1])[name]), name
    assert not same(initial["conv1_weight"], run[1]["conv1_weight"])


def test_layer_8_is_taken_where_the_classes_are_the_same(small_recipe, run):
    _, found, summary = taken(small_recipe, run[0], OLD)
    assert "fc8" in summary.layers
    assert same(found["fc8_weight"], run[1]["fc8_weight"]) and same(found["fc8_bias"], run[1]["fc8_bias"])


def test_layer_8_is_new_where_as_many_classes_are_others_or_in_another_order(small_recipe, run):
    for classes in ([*OLD[:3], NEW[2]], OLD[::-1]):
        initial, found, summary = taken(small_recipe, run[0], classes)
        assert "fc8" not in summary.layers
        assert same(found["fc8_weight"], initial["fc8_weight"]) and same(found["fc8_bias"], initial["fc8_bias"])


def test_named_layers_alone_are_taken(small_recipe, run):
    initial, found, summary = taken(small_recipe, run[0], layers=("conv1", "conv2"))
    assert summary.layers == ("conv1", "conv2")
    assert same(found["conv2_bias"], run[1]["conv2_bias"])
    assert same(found["conv3_weight"], initial["conv3_weight"])


def test_weights_are_taken_without_their_biases(small_recipe, run):
    initial, found, summary = taken(small_recipe, run[0], layers=("conv2", "fc6"), biases=False)
    for name, value in found.items():
        assert same(value, (run[1] if name in ("conv2_weight", "fc6_weight") else initial)[name]), name
    assert not summary.biases and not same(initial["conv2_bias"], run[1]["conv2_bias"])


def test_classes_are_matched_by_wnid(small_recipe, run):
    initial, found, summary = taken(small_recipe, run[0], match=True)
    assert summary.matched_classes == 2
    rows, old = found["fc8_weight"].asnumpy(), run[1]["fc8_weight"].asnumpy()
    np.testing.assert_array_equal(rows[0], old[1])  # b
    np.testing.assert_array_equal(rows[1], old[3])  # d
    np.testing.assert_array_equal(rows[2], initial["fc8_weight"].asnumpy()[2])  # e is new
    np.testing.assert_array_equal(found["fc8_bias"].asnumpy(), np.array([0.2, 0.4, 0], np.float32))


def test_an_exported_net_gives_the_same(small_recipe, run, tmp_path):
    folder, values = run
    classifier = build_classifier(small_recipe.network, values, mx.cpu())
    size = small_recipe.network.input_size
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    facts = {"classes": OLD, "provenance": {"variants": []}}
    symbol.export(classifier, tmp_path / "out", size, facts, images, mx.cpu())
    from_run, from_export = (taken(small_recipe, path)[1] for path in (folder, tmp_path / "out"))
    for name, value in from_run.items():
        assert same(value, from_export[name]), name


def test_a_sixth_layer_is_new_on_top_of_five(small_recipe, run):
    sixth = schema.Convolution(kernels=12, size=3, padding=(1, 1), both_columns=True, bias=1.0)
    wider = dataclasses.replace(small_recipe, network=dataclasses.replace(small_recipe.network, conv6=sixth))
    _, _, summary = taken(wider, run[0])
    assert summary.layers == ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")


def test_what_cannot_be_taken_is_named(small_recipe, run, tmp_path):
    with pytest.raises(InvalidRequest, match="conv6 cannot be taken: the new net has no such layer"):
        taken(small_recipe, run[0], layers=("conv6",))
    conv2 = dataclasses.replace(small_recipe.network.conv2, kernels=16)
    other = dataclasses.replace(small_recipe, network=dataclasses.replace(small_recipe.network, conv2=conv2))
    with pytest.raises(
        InvalidRequest, match=r"conv2_weight of .* has the shape \(12, 4, 5, 5\), that of the new net \(16, 4"
    ):
        taken(other, run[0])
    with pytest.raises(InvalidRequest, match="No class of"):
        taken(small_recipe, run[0], [{"wnid": "x", "name": "x"}], match=True)
    with pytest.raises(InvalidRequest, match="no classes to match"):
        taken(small_recipe, run[0], OLD, match=True)
    with pytest.raises(InvalidRequest, match="is neither a run"):
        taken(small_recipe, tmp_path)


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("frozen", [("conv1", "conv2", "conv3", "conv4", "conv5"), ("conv2", "fc6")], ids="+".join)
def test_frozen_layers_stay_and_the_others_learn_as_if_none_were(small_recipe, frozen, contexts, rng):
    changes = timetable.with_factors(0.01, (), dict.fromkeys(frozen, 0.0))
    learning = dataclasses.replace(small_recipe.learning, timetable=changes)
    still = dataclasses.replace(small_recipe, learning=learning)
    before = alexnet.initial_parameters(small_recipe.network, len(NEW), seed=7)
    size = small_recipe.network.input_size
    images = rng.normal(0, 50, (4, 3, size, size)).astype(np.float32)
    after = []
    for recipe in (small_recipe, still):
        one = trainer.Trainer(recipe, len(NEW), [mx.cpu(number) for number in range(contexts)])
        one.restore(before, {})
        one.step(images, np.array([0, 1, 2, 1]), lr_schedule.rates(recipe.learning, lr_schedule.Moment([])), seed=1)
        after.append(one.parameters())
    assert set(after[0]) == set(after[1]) == set(before)
    for name, value in after[1].items():
        layer = name.rpartition("_")[0]
        np.testing.assert_array_equal(value.asnumpy(), (before if layer in frozen else after[0])[name].asnumpy(), name)
        assert not same(after[0][name], before[name])
