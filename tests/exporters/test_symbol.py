"""What is exported gives the same probabilities in the hands of others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import OperationFailed
from gluon_alexnet.exporters import symbol as deployment
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier, classify_with

CLASSES = [{"wnid": f"n{i}", "name": f"class {i}"} for i in range(7)]

# A program that knows nothing of ours: it reads the files with MXNet's own loader and writes what it got.
OTHER = """
import sys, numpy as np
for name in ("bool", "int", "float", "complex", "object", "str"):
    vars(np).setdefault(name, getattr(__builtins__, name))
import mxnet as mx
out, source, target = sys.argv[1:]
symbol, arguments, auxiliary = mx.model.load_checkpoint(out, 0)
data = mx.nd.array(np.load(source).transpose(0, 3, 1, 2).astype("float32"))
net = symbol.bind(mx.cpu(), {**arguments, "data": data}, aux_states=auxiliary)
np.save(target, net.forward()[0].asnumpy())
assert "gluon_alexnet" not in sys.modules
"""


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (5, 99, 99, 3), dtype=np.uint8)


@pytest.fixture
def classifier(small_recipe, rng):
    parameters = initial_parameters(small_recipe.network, len(CLASSES), seed=1)
    parameters["mean"] = mx.nd.array(rng.uniform(90, 130, (3, 99, 99)))
    return build_classifier(small_recipe.network, parameters, mx.cpu())


@pytest.fixture
def exported(classifier, images, tmp_path):
    out = tmp_path / "deep" / "net"
    deployment.export(classifier, out, 99, {"classes": CLASSES, "provenance": {"variants": []}}, images, mx.cpu())
    return out


def test_the_files_are_the_symbol_params_pair_and_a_description(exported):
    assert sorted(p.name for p in exported.parent.iterdir()) == ["net-0000.params", "net-symbol.json", "net.json"]
    description = json.loads(exported.with_name("net.json").read_text())
    assert description["input"]["shape"] == ["N", 3, 99, 99]
    assert description["classes"] == CLASSES
    assert description["verified"]["images"] == 5
    symbol = json.loads(exported.with_name("net-symbol.json").read_text())
    operators = {node["op"] for node in symbol["nodes"]}
    assert "LRN" in operators
    assert "Custom" not in operators  # others must be able to load it
    groups = {n["name"]: n["attrs"]["num_group"] for n in symbol["nodes"] if n["op"] == "Convolution"}
    assert groups == {"conv1_fwd": "1", "conv2_fwd": "2", "conv3_fwd": "1", "conv4_fwd": "2", "conv5_fwd": "2"}


def test_another_program_gets_the_probabilities_of_the_net(exported, classifier, images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-W", "ignore", "-c", OTHER, exported, tmp_path / "images.npy", tmp_path / "out.npy"]
    subprocess.run([str(word) for word in command], check=True)
    probabilities = np.load(tmp_path / "out.npy")
    inputs = mx.nd.array(images.transpose(0, 3, 1, 2).astype(np.float32)) - classifier.mean.data()
    logits = classifier.net(inputs).asnumpy().astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert np.ptp(expected, axis=1).min() > 0.1  # the net tells the classes apart, whatever it thinks of them


def test_an_exported_net_loads_as_a_model(exported, classifier, images):
    assert deployment.is_export(exported)
    model = deployment.load_export(exported, mx.cpu())
    assert (model.size, model.classes) == (99, CLASSES)
    expected = classify_with(classifier, mx.cpu())(images)
    np.testing.assert_allclose(model.classify(images), expected, atol=1e-6)


@pytest.mark.parametrize("end", [".json", "-symbol.json", "-0000.params"])
@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_damaged_export_is_named(exported, end, damage):
    file = exported.with_name(exported.name + end)
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(OperationFailed, match=f"net{end}"):
        deployment.load_export(exported, mx.cpu())


def test_files_of_two_exports_do_not_mix(exported, small_recipe, images):
    parameters = initial_parameters(small_recipe.network, len(CLASSES), seed=2)
    parameters["mean"] = mx.nd.zeros((3, 99, 99))
    other = exported.with_name("other")
    classifier = build_classifier(small_recipe.network, parameters, mx.cpu())
    deployment.export(classifier, other, 99, {"classes": CLASSES, "provenance": {"variants": []}}, images, mx.cpu())
    other.with_name("other-0000.params").replace(exported.with_name("net-0000.params"))
    with pytest.raises(OperationFailed, match=r"net-0000\.params is damaged or does not belong to"):
        deployment.load_export(exported, mx.cpu())


def test_an_export_that_differs_is_not_written(classifier, images, tmp_path, monkeypatch):
    monkeypatch.setattr(deployment, "_by_module", lambda path, views, context: np.full((5, 7), 0.5))
    with pytest.raises(OperationFailed, match="Module gets probabilities that differ from the net's by 0"):
        deployment.export(
            classifier, tmp_path / "net", 99, {"classes": CLASSES, "provenance": {"variants": []}}, images, mx.cpu()
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["_by_module", "_by_symbol_block"])
def test_an_export_that_gives_what_is_no_number_is_not_written(classifier, images, tmp_path, monkeypatch, way):
    monkeypatch.setattr(deployment, way, lambda path, views, context: np.full((5, 7), np.nan))
    described = {"classes": CLASSES, "provenance": {"variants": []}}
    with pytest.raises(OperationFailed, match="gets probabilities that differ from the net's by nan"):
        deployment.export(classifier, tmp_path / "net", 99, described, images, mx.cpu())
    assert list(tmp_path.iterdir()) == []


def test_the_description_gets_its_name_after_the_files_that_it_describes(classifier, images, tmp_path, monkeypatch):
    """Who is killed in between leaves files without a description, which nobody takes for an export."""
    named, move = [], os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: named.append(Path(new).name) or move(old, new))
    described = {"classes": CLASSES, "provenance": {"variants": []}}
    deployment.export(classifier, tmp_path / "net", 99, described, images, mx.cpu())
    named = [name for name in named if (tmp_path / name).exists()]
    assert sorted(named) == ["net-0000.params", "net-symbol.json", "net.json"]
    assert named[-1] == "net.json"


def test_a_full_disk_is_said_in_a_sentence_and_leaves_nothing(classifier, images, tmp_path, monkeypatch):
    from gluon_alexnet.exporters import files

    def full(path):
        raise mx.base.MXNetError("Check failed: fwrite(ptr, 1, size, fp_) == size: FileStream.Write incomplete")

    monkeypatch.setattr(classifier, "export", full)
    described = {"classes": CLASSES, "provenance": {"variants": []}}
    with pytest.raises(mx.base.MXNetError):  # the disk is not full: something else
        deployment.export(classifier, tmp_path / "net", 99, described, images, mx.cpu())
    monkeypatch.setattr(files, "_full", lambda folder: True)
    with pytest.raises(OperationFailed, match="net: no space is left on the device; nothing was written"):
        deployment.export(classifier, tmp_path / "net", 99, described, images, mx.cpu())
    assert list(tmp_path.iterdir()) == []
