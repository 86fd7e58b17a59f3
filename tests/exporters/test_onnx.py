"""OUT.onnx gives the same probabilities in other programs, for every recipe and variant."""

import json
import sys
from dataclasses import replace

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import caffemodels
from helpers.caffemodels import CAFFENET

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.exporters import onnx as onnx_export
from gluon_alexnet.exporters import onnx_plain, symbol
from gluon_alexnet.exporters.files import Publication
from gluon_alexnet.importers.caffe import architecture as caffe
from gluon_alexnet.importers.caffe import network as caffe_network
from gluon_alexnet.importers.caffe import weights as caffe_weights
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier, classify_with
from gluon_alexnet.recipes import presets, variants

CLASSES = [{"wnid": f"n{i}", "name": f"class {i}"} for i in range(7)]


def as_run(small):
    """The 2012 code's order of layers and second normalisation, in the small net, with the paper's dropout."""
    numbers = presets.AS_RUN.network
    network = replace(
        small.network,
        normalization=numbers.normalization,
        relu_before_normalization=numbers.relu_before_normalization,
        map_normalization=replace(numbers.map_normalization, alpha=0.1),  # so that it matters in a small net
        dropout=0.5,
    )
    return replace(small, network=network)


def classifier_of(recipe_, rng):
    size = recipe_.network.input_size
    parameters = initial_parameters(recipe_.network, len(CLASSES), seed=1)
    parameters["mean"] = mx.nd.array(rng.uniform(90, 130, (3, size, size)))
    return build_classifier(recipe_.network, parameters, mx.cpu())


def written(classifier, folder, images, size=99, classes=7, plain=False):
    """OUT with OUT.onnx, and the largest differences that were found on the way."""
    out = folder / "net"
    with Publication() as publication:
        draft = publication.draft(out)
        symbol.write_pair(publication, draft, classifier, images, mx.cpu())
        onnx_export.write(draft, size, classes, plain)
        expected = classify_with(classifier, mx.cpu())(images)
        found = onnx_export.verify(publication, draft, images, expected)
        publication.describe(draft, size, {"classes": CLASSES, "provenance": {"variants": []}})
        publication.publish()
    return out, found


def in_others_hands(out, images):
    """Probabilities by onnxruntime and OpenCV, both told here how to read images."""
    data = images.transpose(0, 3, 1, 2).astype(np.float32)
    session = onnxruntime.InferenceSession(f"{out}.onnx", providers=["CPUExecutionProvider"])
    net = cv2.dnn.readNetFromONNX(f"{out}.onnx")
    net.setInput(data)
    return session.run(None, {"data": data})[0], net.forward()


@pytest.mark.parametrize("name", ["paper", "as-run", *(v.name for v in variants.VARIANTS)])
def test_every_net_is_the_same_in_onnxruntime_and_opencv(small_recipe, rng, tmp_path, name):
    if name == "as-run":
        changed = as_run(small_recipe)
    elif name in ("paper", "no-colour-shift"):
        changed = small_recipe
    elif name == "no-dropout":
        changed = variants.apply(replace(small_recipe, network=replace(small_recipe.network, dropout=0.5)), [name])
    else:
        changed = variants.apply(small_recipe, [name])
    images = rng.integers(0, 256, (3, 99, 99, 3), dtype=np.uint8)
    classifier = classifier_of(changed, rng)
    out, found = written(classifier, tmp_path, images)
    assert {"onnxruntime", "OpenCV"} <= set(found) <= {"onnxruntime", "OpenCV", "OpenVINO"}
    inputs = mx.nd.array(images.transpose(0, 3, 1, 2).astype(np.float32)) - classifier.mean.data()
    logits = classifier.net(inputs).asnumpy().astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for probabilities in in_others_hands(out, images):
        np.testing.assert_allclose(probabilities, expected, rtol=2e-4, atol=1e-6)
    for batch in (1, 2):
        for probabilities in in_others_hands(out, images[:batch]):
            np.testing.assert_allclose(probabilities, expected[:batch], rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["paper", "as-run", "one-gpu"])
def test_the_plain_form_has_no_lrn_and_is_the_same_in_three_programs(small_recipe, rng, tmp_path, name):
    changed = as_run(small_recipe) if name == "as-run" else small_recipe
    changed = variants.apply(changed, [name]) if name == "one-gpu" else changed
    numbers = replace(changed.network.normalization, alpha=0.01)  # so that it matters in a small net
    changed = replace(changed, network=replace(changed.network, normalization=numbers))
    images = rng.integers(0, 256, (3, 99, 99, 3), dtype=np.uint8)
    classifier = classifier_of(changed, rng)
    out, found = written(classifier, tmp_path, images, plain=True)
    assert "LRN" not in {node.op_type for node in onnx.load(f"{out}.onnx").graph.node}
    assert {"onnxruntime", "OpenCV"} <= set(found) <= {"onnxruntime", "OpenCV", "OpenVINO"}
    expected = classify_with(classifier, mx.cpu())(images)
    programs = [*in_others_hands(out, images)]
    openvino = pytest.importorskip("openvino")
    compiled = openvino.compile_model(f"{out}.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    programs.append(compiled(images.transpose(0, 3, 1, 2).astype(np.float32))[0])
    for probabilities in programs:
        np.testing.assert_allclose(probabilities, expected, rtol=2e-4, atol=1e-6)
    without = replace(changed, network=replace(changed.network, normalization=replace(numbers, alpha=0.0)))
    values = {name: value.data() for name, value in classifier.collect_params().items()}
    silent = build_classifier(without.network, {**values, "mean": values["mean"][0]}, mx.cpu())
    assert np.abs(classify_with(silent, mx.cpu())(images) - expected).max() > 2e-4


@pytest.mark.parametrize("window", [1, 3, 4, 9])
def test_lrn_written_out_is_the_formula_of_the_operator(rng, window):
    from onnx import TensorProto, helper

    shape = [2, 6, 3, 4]
    node = helper.make_node("LRN", ["x"], ["y"], name="lrn", size=window, alpha=0.3, beta=0.6, bias=1.5)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([node, helper.make_node("Identity", ["y"], ["z"])], "g", ends[:1], [])
    graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, shape))
    model = onnx_plain.without_lrn(onnx, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]))
    model.ir_version = 7
    x = rng.normal(0, 3, shape).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = np.empty_like(x)
    for c in range(6):  # ONNX: from max(0, c - floor((n-1)/2)) to min(C-1, c + ceil((n-1)/2))
        low, high = max(0, c - (window - 1) // 2), min(5, c + -(-(window - 1) // 2))
        expected[:, c] = x[:, c] / (1.5 + 0.3 / window * (x[:, low : high + 1] ** 2).sum(1)) ** 0.6
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-5)


def test_the_file_says_what_it_takes_and_gives(small_recipe, rng, tmp_path):
    images = rng.integers(0, 256, (2, 99, 99, 3), dtype=np.uint8)
    out, _ = written(classifier_of(small_recipe, rng), tmp_path, images)
    model = onnx.load(f"{out}.onnx")
    shapes = [
        [(value.name, [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]) for value in values]
        for values in (model.graph.input, model.graph.output)
    ]
    assert shapes[0] == [("data", ["N", 3, 99, 99])]  # weights are constants, no inputs
    assert [shape for _, shape in shapes[1]] == [["N", 7]]
    used = {name for node in model.graph.node for name in node.input}
    assert {array.name for array in model.graph.initializer} <= used
    assert {node.domain for node in model.graph.node} == {""}  # standard operators only
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 13)]


def test_opencv_leaves_out_the_zeros_around_an_average_unless_they_are_padded_before(small_recipe, rng, tmp_path):
    # The reason of one change to what MXNet writes; if OpenCV ever reads count_include_pad, the change can go.
    from onnx import TensorProto, helper

    pool = helper.make_node(
        "AveragePool", ["x"], ["y"], kernel_shape=[5, 5], pads=[2, 2, 2, 2], strides=[1, 1], count_include_pad=1
    )
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 8, 8]) for name in "xy"]
    model = helper.make_model(
        helper.make_graph([pool], "g", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 13)]
    )
    onnx.save(model, str(tmp_path / "pool.onnx"))
    net = cv2.dnn.readNetFromONNX(str(tmp_path / "pool.onnx"))
    net.setInput(np.ones((1, 1, 8, 8), np.float32))
    corner = net.forward()[0, 0, 0, 0]
    assert corner == pytest.approx(1.0)  # nine ones by nine; with the zeros it would be 9/25
    images = rng.integers(0, 256, (2, 99, 99, 3), dtype=np.uint8)
    out, _ = written(classifier_of(as_run(small_recipe), rng), tmp_path, images)
    nodes = onnx.load(f"{out}.onnx").graph.node
    (average,) = [node for node in nodes if node.op_type == "AveragePool"]
    assert {attribute.name for attribute in average.attribute} & {"pads", "count_include_pad"} == set()


def test_the_check_finds_what_opencv_reads_otherwise(small_recipe, rng, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "_padded_before_averages", lambda onnx, graph: None)
    with pytest.raises(OperationFailed, match="OpenCV gets probabilities that differ"):
        written(
            classifier_of(as_run(small_recipe), rng), tmp_path, rng.integers(0, 256, (2, 99, 99, 3), dtype=np.uint8)
        )
    assert list(tmp_path.iterdir()) == []


def test_a_net_of_caffe_s_can_be_written_too(rng, tmp_path):
    files = caffemodels.written(tmp_path, rng, CAFFENET, size=104)  # its pooling rounds up
    architecture = caffe.read_architecture(files[0])
    weights = caffe_weights.read_weights(files[1], architecture)
    mean = np.array([123, 117, 104], np.float32)
    images = rng.integers(0, 256, (2, 104, 104, 3), dtype=np.uint8)
    out, _ = written(caffe_network.build_classifier(architecture, weights, mean, mx.cpu()), tmp_path, images, 104)
    for probabilities in in_others_hands(out, images):
        np.testing.assert_allclose(
            probabilities, caffe_network.by_opencv(*files, mean.reshape(1, 3, 1, 1), images), atol=2e-5
        )


class Erf(mx.gluon.HybridBlock):
    """A net with an operator for which MXNet has no ONNX."""

    def hybrid_forward(self, F, x):
        return F.softmax(F.erfinv(F.mean(x, axis=(2, 3)) / 1000))


def test_what_onnx_cannot_express_is_said_and_nothing_is_left(rng, tmp_path):
    block = Erf()
    block.initialize()
    block.hybridize()
    with pytest.raises(
        InvalidRequest, match=r"cannot be written as ONNX: No conversion function registered for op type erfinv"
    ):
        written(block, tmp_path, rng.integers(0, 256, (2, 9, 9, 3), dtype=np.uint8), 9, 3)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_gives_other_probabilities_is_not_left(small_recipe, rng, tmp_path, monkeypatch):
    real = onnx_export.RUNNERS["OpenCV"]
    monkeypatch.setitem(onnx_export.RUNNERS, "OpenCV", lambda path, images: real(path, images) + 1e-3)
    with pytest.raises(OperationFailed, match=r"OpenCV gets probabilities that differ from the net's by 0\.001"):
        written(classifier_of(small_recipe, rng), tmp_path, rng.integers(0, 256, (2, 99, 99, 3), dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 3])
def test_a_file_that_is_right_for_another_number_of_images_only_is_not_left(
    small_recipe, rng, tmp_path, monkeypatch, count
):
    """Wrong for one image alone, or for all three together."""
    real = onnx_export.RUNNERS["onnxruntime"]
    monkeypatch.setitem(
        onnx_export.RUNNERS, "onnxruntime", lambda path, images: real(path, images) + 0.01 * (len(images) == count)
    )
    with pytest.raises(OperationFailed, match=r"onnxruntime gets probabilities that differ from the net's by 0\.01"):
        written(classifier_of(small_recipe, rng), tmp_path, rng.integers(0, 256, (3, 99, 99, 3), dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_file_of_another_export_is_named(small_recipe, rng, tmp_path):
    images = rng.integers(0, 256, (2, 99, 99, 3), dtype=np.uint8)
    out, _ = written(classifier_of(small_recipe, rng), tmp_path, images)
    assert set(json.loads(out.with_name("net.json").read_text())["sha256"]) == {"symbol", "parameters", "onnx"}
    symbol.load_export(out, mx.cpu())
    (tmp_path / "b").mkdir()
    other, _ = written(classifier_of(small_recipe, rng), tmp_path / "b", images)
    own, content = (net.with_name("net.onnx").read_bytes() for net in (out, other))
    out.with_name("net.onnx").write_bytes(content)
    with pytest.raises(OperationFailed, match=r"net\.onnx is damaged or does not belong to"):
        symbol.load_export(out, mx.cpu())
    out.with_name("net.onnx").write_bytes(own)
    # An export without ONNX to the same name takes the old file away: it would be another net's.
    facts = {"classes": CLASSES, "provenance": {"variants": []}}
    symbol.export(classifier_of(small_recipe, rng), out, 99, facts, images, mx.cpu(), overwrite=True)
    assert not out.with_name("net.onnx").exists()
    symbol.load_export(out, mx.cpu())


def test_without_onnx_installed_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InvalidRequest, match=r"`onnx` needs onnxruntime .* install this package with its extra onnx"):
        onnx_export.check_installed()
