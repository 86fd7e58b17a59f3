"""The examples load what we write without our package, and get what our own reader gets."""

import ast
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.data.augmentation import crop_views
from gluon_alexnet.exporters import onnx, symbol
from gluon_alexnet.exporters.files import Publication
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier
from gluon_alexnet.recordio.dataset.images import decode, shorter_side_256

EXAMPLES = Path(__file__).parent.parent / "examples"
CLASSES = [{"wnid": f"n{i}", "name": f"class{i}"} for i in range(7)]
NAMES = ("predict_mxnet", "predict_onnx", "predict_opencv")


@pytest.fixture
def exported(small_recipe, rng, tmp_path):
    """A small net with an ONNX file, and images whose sides 256 is not a round part of."""
    parameters = initial_parameters(small_recipe.network, len(CLASSES), seed=1)
    parameters["mean"] = mx.nd.array(rng.uniform(90, 130, (3, 99, 99)))
    classifier = build_classifier(small_recipe.network, parameters, mx.cpu())
    out = tmp_path / "net"
    noise = rng.integers(0, 256, (2, 99, 99, 3), dtype=np.uint8)
    with Publication() as publication:
        draft = publication.draft(out)
        symbol.write_pair(publication, draft, classifier, noise, mx.cpu())
        onnx.write(draft, 99, len(CLASSES))
        publication.describe(draft, 99, {"classes": CLASSES, "provenance": {"variants": []}})
        publication.publish()
    files = []
    for index, shape in enumerate(((301, 427), (256, 256), (333, 190))):
        image = cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), shape, interpolation=cv2.INTER_CUBIC)
        files.append(tmp_path / f"{index}.png")
        assert cv2.imwrite(str(files[-1]), image)
    return out, files


@pytest.mark.parametrize("name", NAMES)
def test_the_example_sees_what_we_see(exported, name):
    out, files = exported
    command = [sys.executable, "-W", "ignore", EXAMPLES / f"{name}.py", out, *files]
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    model = symbol.load_export(out, mx.cpu())
    lines = done.stdout.splitlines()
    assert len(lines) == len(files)
    for line, file in zip(lines, files):
        image = shorter_side_256(decode(file.read_bytes()))
        probabilities = model.classify(crop_views(image[None], 99, 1)[:, 0])[0]
        path, guesses = line.split(" ", 1)
        assert path == str(file)
        said = [guess.split() for guess in guesses.split(", ")]
        best = np.argsort(-probabilities)[:5]
        assert [guess[0] for guess in said] == [CLASSES[index]["name"] for index in best]
        np.testing.assert_allclose([float(guess[1]) for guess in said], probabilities[best], atol=6e-4)
    assert np.ptp(probabilities) > 0.05


@pytest.mark.parametrize("name", NAMES)
def test_the_example_imports_nothing_of_ours(name):
    tree = ast.parse((EXAMPLES / f"{name}.py").read_text())
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    runtime = {"predict_mxnet": {"mxnet"}, "predict_onnx": {"onnxruntime"}, "predict_opencv": set()}[name]
    assert modules - sys.stdlib_module_names - {"cv2", "numpy"} == runtime


@pytest.mark.parametrize("name", [*NAMES, "digits"])
def test_an_example_without_its_files_says_so(name, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for words in ([], [tmp_path / "none" if name != "digits" else tmp_path / "file", tmp_path / "x.jpg"]):
        words = words[:1] if name == "digits" else words
        command = [sys.executable, "-W", "ignore", EXAMPLES / f"{name}.py", *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert ("is not there" in done.stderr or "Not a directory" in done.stderr) if words else "usage" in done.stderr
