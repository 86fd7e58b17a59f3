"""Files that PyTorch itself saved: the same probabilities, and the same numbers after every layer.

`make test-slow` makes the environment with PyTorch; TORCH_PYTHON names another one.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import every_layer

from gluon_alexnet.workflows.import_weights import import_weights

ROOT = Path(__file__).parents[2]
TORCH = os.environ.get("TORCH_PYTHON", str(ROOT / ".venv-bench" / "bin" / "python"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch")
    np.save(folder / "images.npy", np.random.default_rng(2).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8))
    subprocess.run([TORCH, str(ROOT / "tests" / "helpers" / "torch_alexnet.py"), str(folder)], check=True)
    return folder


@pytest.mark.parametrize("form", ["zip", "stream", "checkpoint", "lpips"])
def test_every_layer_is_pytorch_s(saved, tmp_path, form):
    found = import_weights([saved / f"{form}.pth"], tmp_path / "out")
    expected, images = dict(np.load(saved / "outputs.npz")), np.load(saved / "images.npy")
    ours = every_layer.outputs(tmp_path / "out", images)
    if form == "lpips":
        expected = {name: value for name, value in expected.items() if name[:2] != "fc" and name[-1] in "12345"}
    else:
        assert found.classes == 1000
        assert expected["softmax"].max() > 0.1
    compared = [name for name in expected if name in ours]
    assert len(compared) >= (13 if form == "lpips" else 17)
    for name in compared:
        largest = 1 if name == "softmax" else np.abs(expected[name]).max()
        np.testing.assert_allclose(ours[name], expected[name], rtol=0, atol=1e-5 * largest, err_msg=name)
        print(f"{form} {name}: {np.abs(ours[name] - expected[name]).max() / largest:.1e}")
