"""OUT.py gives the probabilities of the net it was written from: read in NumPy here, in PyTorch in the slow tests."""

import ast
import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import caffemodels, numpy_torch
from safetensors import safe_open
from safetensors.numpy import load_file

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import OperationFailed
from gluon_alexnet.exporters import pytorch
from gluon_alexnet.features import activations, saliency
from gluon_alexnet.importers.caffe import architecture as caffe
from gluon_alexnet.importers.caffe import network as caffe_network
from gluon_alexnet.importers.caffe import weights as caffe_weights
from gluon_alexnet.model import layer_chain
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier
from gluon_alexnet.recipes import presets, variants

ROOT = Path(__file__).parents[2]
TORCH = os.environ.get("TORCH_PYTHON", str(ROOT / ".venv-bench" / "bin" / "python"))
CLASSES = [{"wnid": f"n{i}", "name": f"class {i}, möglich"} for i in range(7)]
SIZE = 99


def changed(small, name):
    """The small recipe as `paper`, as `as-run`, or with variants."""
    small = replace(small, network=replace(small.network, dropout=0.5))
    if name == "paper":
        return small
    if name == "one-weird-trick":
        other = presets.RECIPES["one-weird-trick"].network
        fields = ("normalization", "dropout_before", "inverted_dropout", "channel_mean", "channel_std")
        return replace(small, network=replace(small.network, **{field: getattr(other, field) for field in fields}))
    if name == "as-run":
        numbers = presets.AS_RUN.network
        norms = {"normalization": numbers.normalization, "map_normalization": numbers.map_normalization}
        return replace(small, network=replace(small.network, relu_before_normalization=False, **norms))
    return variants.apply(small, name.split("+"))


def classifier_of(one, rng, size=SIZE):
    parameters = initial_parameters(one.network, len(CLASSES), seed=1)
    for name, value in parameters.items():  # as wide apart as in a trained net
        parameters[name] = mx.nd.array(value.asnumpy() + rng.normal(0, 0.05, value.shape))
    parameters["mean"] = mx.nd.array(rng.uniform(90, 130, (3, size, size)))
    return build_classifier(one.network, parameters, mx.cpu())


def written(classifier, folder, size=SIZE, name="net"):
    """OUT with OUT.py and OUT.safetensors."""
    classifier(mx.nd.zeros((1, 3, size, size)))
    classifier.export(str(folder / name))
    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(folder / name), 0)
    layers = layer_chain.read(symbol, size)
    arrays = {name: value.asnumpy() for name, value in {**arguments, **auxiliary}.items()}
    pytorch.write(folder / name, layers, arrays, CLASSES)
    return folder / name


NAMES = [
    "paper",
    "as-run",
    "one-gpu",
    "without-conv4",
    "no-lrn+pool-2x2+tanh",
    "no-cross-link",
    "no-dropout",
    "six-conv",
]


@pytest.mark.parametrize("name", NAMES)
def test_out_py_read_in_numpy_gives_the_net_s_probabilities(small_recipe, rng, tmp_path, monkeypatch, name):
    classifier = classifier_of(changed(small_recipe, name), rng)
    out = written(classifier, tmp_path)
    net = numpy_torch.read(Path(f"{out}.py"), monkeypatch).load()
    images = rng.integers(0, 256, (3, 3, SIZE, SIZE)).astype(np.float32)
    outputs = np.asarray(net(images), np.float64)
    probabilities = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, classifier(mx.nd.array(images)).asnumpy(), rtol=0, atol=1e-5)
    assert np.ptp(probabilities) > 0.05


def test_the_files_say_what_they_hold(small_recipe, rng, tmp_path, monkeypatch):
    classifier = classifier_of(changed(small_recipe, "paper"), rng)
    out = written(classifier, tmp_path)
    arrays = load_file(f"{out}.safetensors")
    values = {name: p.data().asnumpy() for name, p in classifier.collect_params().items()}
    assert arrays["mean.value"].shape == (3, SIZE, SIZE)
    for name, array in arrays.items():
        ours = "mean" if name == "mean.value" else name.replace(".", "_")
        np.testing.assert_array_equal(array, values[ours].reshape(array.shape), err_msg=name)
        assert array.dtype == np.float32
    assert len(arrays) == len(values) == 17
    with safe_open(f"{out}.safetensors", "np") as file:
        assert json.loads(file.metadata()["classes"]) == CLASSES
    module = numpy_torch.read(Path(f"{out}.py"), monkeypatch)
    assert module.class_names() == [one["name"] for one in CLASSES]


@pytest.mark.parametrize(("p", "mask"), [(0.5, [1, 0, 1, 0]), (0.25, [1, 1, 1, 0])])
def test_dropout_is_as_published(small_recipe, rng, tmp_path, monkeypatch, p, mask):
    one = changed(small_recipe, "paper")
    one = replace(one, network=replace(one.network, dropout=p))
    out = written(classifier_of(one, rng), tmp_path)
    net = numpy_torch.read(Path(f"{out}.py"), monkeypatch).load()
    values = np.arange(1.0, 9.0).reshape(2, 4)
    np.testing.assert_allclose(net.dropout6(values), values * (1 - p))
    net.train()
    np.testing.assert_allclose(net.dropout6(values), values * mask)  # a mask, not divided


def test_the_text_is_one_a_person_can_read(small_recipe, rng, tmp_path):
    out = written(classifier_of(changed(small_recipe, "paper"), rng), tmp_path)
    text = Path(f"{out}.py").read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 120
    assert text == "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    assert len(text.splitlines()) < 130
    assert "gluon" not in text and "mxnet" not in text
    tree = ast.parse(text)
    modules = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert modules == {"collections", "pathlib", "safetensors", "safetensors.torch", "torch", "torch.nn"}
    assert '\n    The other layers see both columns, and there they meet.\n    """\n' in text
    for kind in (ast.ClassDef, ast.FunctionDef):
        assert all(ast.get_docstring(node) for node in tree.body if isinstance(node, kind))
    # By hand, for 99 pixels: (99 + 3 - 11) / 4 + 1 = 23, pooled to 11 and to 5.
    for line in (
        r"conv1=nn.Conv2d(3, 8, kernel_size=11, stride=4),                # 8×23×23",
        r"conv2=nn.Conv2d(8, 12, kernel_size=5, padding=2, groups=2),     # 12×11×11",
        r"norm1=ResponseNorm(columns=2, n=5, k=2, alpha=0.0001, beta=0.75),",
        r"pool5=nn.MaxPool2d(kernel_size=3, stride=2),                    # 12×2×2",
        r"fc6=nn.Linear(48, 20),                                          # 20",
        r"fc8=nn.Linear(20, classes),                                     # 7",
    ):
        assert f"{' ' * 16}{line}\n" in text


def test_a_net_of_one_column_has_its_docstring_on_one_line(small_recipe, rng, tmp_path):
    out = written(classifier_of(changed(small_recipe, "one-gpu"), rng), tmp_path)
    text = Path(f"{out}.py").read_text(encoding="utf-8")
    assert ' parameters. Ends of lines: the output for one image."""\n\n' in text


def test_a_name_that_python_cannot_import_is_told(small_recipe, rng, tmp_path):
    out = written(classifier_of(changed(small_recipe, "paper"), rng), tmp_path, name="digits-net")
    text = Path(f"{out}.py").read_text(encoding="utf-8")
    assert (
        "import alexnet                          # once digits-net.py and digits-net.safetensors have that name" in text
    )


def test_numbers_that_are_none_are_not_exported(small_recipe, rng, tmp_path):
    classifier = classifier_of(changed(small_recipe, "paper"), rng)
    weight = classifier.net.fc7.dense.weight
    broken = weight.data()
    broken[3, 4] = np.nan
    weight.set_data(broken)
    with pytest.raises(OperationFailed, match=r"fc7\.weight holds what is not a number"):
        written(classifier, tmp_path)


IN_TORCH = """
import sys, numpy as np, torch, net
given = np.load("given.npz")
model = net.load()
images = torch.from_numpy(given["images"]).requires_grad_()
outputs = model(images)
loss = -torch.log_softmax(outputs, 1)[torch.arange(len(outputs)), torch.from_numpy(given["labels"])].mean()
loss.backward()
found = {"probabilities": outputs.softmax(1).detach().numpy(), "images": images.grad.numpy().copy()}
for name, value in model.named_parameters():
    found[name.replace(".", "_")] = value.grad.numpy()
chosen = model(images)[torch.arange(len(outputs)), torch.from_numpy(given["labels"])].sum()
found["saliency"] = torch.autograd.grad(chosen, images)[0].permute(0, 2, 3, 1).numpy()
seen = {}
for name, layer in model.named_children():
    layer.register_forward_hook(lambda layer, given, out, name=name: seen.__setitem__(name, out.detach().numpy()))
model(images)
found.update({f"layer {name}": value for name, value in seen.items()})
model.train()
dropped = model.dropout6(torch.ones(100, 100)) if hasattr(model, "dropout6") else torch.ones(1)
assert set(dropped.unique().tolist()) <= {0.0, 1.0} and (dropped.numel() == 1 or 0.4 < dropped.mean() < 0.6)
np.savez("found.npz", **found)
"""


def in_torch(out, images, labels):
    """Probabilities, gradients and each layer's output by PyTorch itself, in the environment of the benchmarks."""
    np.savez(out.with_name("given.npz"), images=images, labels=labels)
    subprocess.run([TORCH, "-c", IN_TORCH], cwd=out.parent, check=True)
    return dict(np.load(out.with_name("found.npz")))


def close(ours, theirs, share, what):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=share * max(np.abs(theirs).max(), 1e-12), err_msg=what)


def gradient_close(ours, theirs, what):
    """To 1e-4 of the largest; as a whole to 2 % where a ReLU or a maximum falls the other way by a bit."""
    if np.abs(ours - theirs).max() > 1e-4 * np.abs(theirs).max():
        assert np.linalg.norm(ours - theirs) <= 0.02 * np.linalg.norm(theirs), what
        assert np.median(np.abs(ours - theirs)) <= 1e-5 * np.abs(theirs).max(), what


def held_in_torch(out, images, labels, share=1e-5):
    """Probabilities, gradients and every layer of the exported graph against PyTorch's; share: of a layer's largest."""
    theirs = in_torch(out, images, labels)
    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(out), 0)
    # In MXNet on a CPU, LRN and pooling have gradients in training mode only; there dropout must do nothing.
    graph = re.sub(r'"p": "[0-9.]+"', '"p": "0"', symbol.tojson())
    values = {**arguments, "data": mx.nd.array(images)}
    gradients = {name: mx.nd.zeros(value.shape) for name, value in values.items() if name != "mean"}
    executor = mx.sym.load_json(graph).bind(mx.cpu(), values, gradients, "write", auxiliary)
    probabilities = executor.forward(is_train=True)[0]
    outward = np.zeros(probabilities.shape)
    chosen = np.arange(len(labels)), labels
    outward[chosen] = -1 / probabilities.asnumpy()[chosen] / len(labels)
    executor.backward([mx.nd.array(outward)])
    np.testing.assert_allclose(theirs["probabilities"], probabilities.asnumpy(), rtol=0, atol=1e-5)
    for name, gradient in gradients.items():
        gradient_close(gradient.asnumpy(), theirs["images" if name == "data" else name], f"gradient of {name}")
    graph = activations.Graph(symbol, {**arguments, **auxiliary}, images.shape[-1], "0" * 64)
    names = [name for name in activations.layer_shapes(graph) if name != "softmax"]
    found = activations.open_layers(graph, names, True, mx.cpu()).compute(images.transpose(0, 2, 3, 1).astype(np.uint8))
    views = images.transpose(0, 2, 3, 1).astype(np.uint8)
    gradient_close(saliency.image_gradient(graph, views, labels, mx.cpu()), theirs["saliency"], "saliency")
    for name in names:  # against PyTorch's hooks
        close(found[name], theirs[f"layer {name}"], share, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_in_pytorch_probabilities_gradients_and_layers_are_the_same(small_recipe, rng, tmp_path, name):
    out = written(classifier_of(changed(small_recipe, name), rng), tmp_path)
    images = rng.integers(0, 256, (4, 3, SIZE, SIZE)).astype(np.float32)
    # tanh makes values below 1 of values of hundreds, which have that much rounding.
    held_in_torch(out, images, rng.integers(0, 7, 4), 1e-4 if "tanh" in name else 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "as-run"])
def test_in_pytorch_the_full_net_is_the_same(rng, tmp_path, name):
    parameters = initial_parameters(presets.RECIPES[name].network, len(CLASSES), seed=1)
    parameters["mean"] = mx.nd.array(rng.uniform(90, 130, (3, 224, 224)))
    classifier = build_classifier(presets.RECIPES[name].network, parameters, mx.cpu())
    out = written(classifier, tmp_path, 224)
    images = rng.integers(0, 256, (4, 3, 224, 224)).astype(np.float32)
    held_in_torch(out, images, rng.integers(0, 7, 4))


@pytest.mark.slow
@pytest.mark.parametrize("net", [caffemodels.CAFFENET, caffemodels.ALEXNET], ids=["CaffeNet", "BVLC AlexNet"])
def test_in_pytorch_the_gradient_of_a_caffe_net_s_pixels_is_the_same(rng, tmp_path, net):
    files = caffemodels.written(tmp_path, rng, net, size=104)
    architecture = caffe.read_architecture(files[0])
    weights = caffe_weights.read_weights(files[1], architecture)
    classifier = caffe_network.build_classifier(architecture, weights, np.full(3, 120, np.float32), mx.cpu())
    out = written(classifier, tmp_path, 104)
    graph_file = out.with_name("net-symbol.json")
    graph_file.write_text(re.sub(r'"alpha": "[^"]+"', '"alpha": "0.05"', graph_file.read_text()))  # so that it matters
    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(out), 0)
    layers = layer_chain.read(symbol, 104)
    assert {layer.kind.alpha for layer in layers if isinstance(layer.kind, layer_chain.ResponseNorm)} == {0.05}
    pytorch.write(out, layers, {name: value.asnumpy() for name, value in arguments.items()}, CLASSES)
    views, labels = rng.integers(0, 256, (3, 104, 104, 3), dtype=np.uint8), np.array([1, 5, 0])
    theirs = in_torch(out, views.transpose(0, 3, 1, 2).astype(np.float32), labels)
    graph = activations.Graph(symbol, {**arguments, **auxiliary}, 104, "0" * 64)
    gradient_close(saliency.image_gradient(graph, views, labels, mx.cpu()), theirs["saliency"], "saliency")
