"""Whole nets against PyTorch, which computes them from the formulas with the same weights in a process of its own.

`make test-slow` makes the environment with PyTorch; TORCH_PYTHON names another one.
"""

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.column_parallel import join
from gluon_alexnet.recipes import presets, serialization, variants
from gluon_alexnet.training.lr_schedule import LearningRates
from gluon_alexnet.training.trainer import Trainer

ROOT = Path(__file__).parent.parent
TORCH = os.environ.get("TORCH_PYTHON", str(ROOT / ".venv-bench" / "bin" / "python"))
CLASSES = 10
# Biases have a rate of their own, and both change on the way.
RATES = [
    LearningRates(0.001, 0.002),
    LearningRates(0.001, 0.002),
    LearningRates(0.0001, 0.002),
]

pytestmark = pytest.mark.slow


def without_dropout(one):
    return dataclasses.replace(one, network=dataclasses.replace(one.network, dropout=0.0))


def in_torch(one, parameters, images, labels, folder):
    arrays = {name: value.asnumpy() for name, value in parameters.items()}
    arrays.update(images=images, labels=labels, network=json.dumps(serialization.to_dict(one)["network"]))
    arrays["rates"] = json.dumps([dataclasses.asdict(rates) for rates in RATES])
    np.savez(folder / "in.npz", **arrays)
    script = ROOT / "tests" / "helpers" / "parity_torch.py"
    subprocess.run([TORCH, str(script), str(folder / "in.npz"), str(folder / "out.npz")], check=True)
    return dict(np.load(folder / "out.npz"))


def in_mxnet(one, parameters, images, labels, contexts):
    trainer = Trainer(one, CLASSES, contexts)
    trainer.restore(parameters, {})
    found = {"logits": trainer._net(mx.nd.array(images[0])).asnumpy()}
    for step, rates in enumerate(RATES):
        found[f"loss{step}"] = trainer.step(images[step], labels[step], rates, seed=0)
        if step == 0:
            parts = [{name: p.grad().copy() for name, p in pairs} for pairs in trainer._parameters]
            found.update({f"gradient {name}": value.asnumpy() for name, value in join(parts).items()})
    found.update({f"after {name}": value.asnumpy() for name, value in trainer.parameters().items()})
    return found


def compare(one, rng, folder, contexts, tolerance):
    network = one.network
    parameters = initial_parameters(network, CLASSES, seed=3)
    images = rng.normal(0, 50, (3, 4, 3, network.input_size, network.input_size)).astype(np.float32)
    labels = rng.integers(0, CLASSES, (3, 4))
    theirs = in_torch(one, parameters, images, labels, folder)
    ours = in_mxnet(one, parameters, images, labels, contexts)
    assert sorted(theirs.pop("names")) == sorted(parameters)
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        if name.startswith("after "):
            # What three updates did, as a whole: a ReLU or a maximum that flips in the last bit moves single numbers.
            # Each update is rounded to the float32 numbers around the parameter, on both sides.
            before = parameters[name[len("after ") :]].asnumpy()
            rounding = len(RATES) * np.finfo(np.float32).eps * np.linalg.norm(value)
            assert np.linalg.norm(ours[name] - value) <= 0.01 * np.linalg.norm(value - before) + rounding, name
            assert (value != before).any(), name
            continue
        largest = np.abs(value).max()
        assert largest > 0, name
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=tolerance * largest, err_msg=name)


@pytest.mark.parametrize("name", ["paper", "printed", "as-run", "one-weird-trick"])
def test_the_full_net_is_pytorch_s(name, rng, tmp_path):
    compare(without_dropout(presets.RECIPES[name]), rng, tmp_path, [mx.cpu(0)], tolerance=2e-5)


NAMES = [variant.name for variant in variants.VARIANTS]


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("as_run", [False, True], ids=["paper", "as-run"])
@pytest.mark.parametrize(
    "names", [[], *([name] for name in NAMES), ["no-lrn", "pool-2x2", "tanh", "six-conv"]], ids="+".join
)
def test_each_variant_is_pytorch_s(small_recipe, names, as_run, contexts, rng, tmp_path):
    # The fixture has no dropout; the variant that takes it away needs some to take.
    network = dataclasses.replace(small_recipe.network, dropout=0.5)
    if as_run:
        fields = ("normalization", "relu_before_normalization", "map_normalization")
        network = dataclasses.replace(network, **{name: getattr(presets.AS_RUN.network, name) for name in fields})
    one = dataclasses.replace(small_recipe, network=network)
    one = without_dropout(variants.apply(one, names))
    compare(one, rng, tmp_path, [mx.cpu(i) for i in range(min(contexts, one.network.columns))], tolerance=5e-5)
