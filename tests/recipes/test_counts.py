"""Parameters of every recipe and variant by hand: kernel · kernel · maps that it reads · kernels, and a bias each."""

import pytest

from gluon_alexnet.model.shapes import parameter_count
from gluon_alexnet.recipes import presets, variants

# (kernel, maps that a kernel reads, kernels) and (inputs, neurons), from Fig. 2: layers 2, 4 and 5 read half the maps.
PAPER = {
    "conv1": (11, 3, 96),
    "conv2": (5, 48, 256),
    "conv3": (3, 256, 384),
    "conv4": (3, 192, 384),
    "conv5": (3, 192, 256),
    "fc6": (6 * 6 * 256, 4096),
    "fc7": (4096, 4096),
    "fc8": (4096, 1000),
}
ONE_GPU = {"conv1": (11, 3, 48), "conv2": (5, 48, 128), "conv3": (3, 128, 192), "conv4": (3, 192, 192)}
SIX = {"conv6": (3, 256, 256)}
ONE_COLUMN = {"conv2": (5, 96, 256), "conv4": (3, 384, 384), "conv5": (3, 384, 256)}
CHANGED = {
    "net-145-half": ONE_GPU,
    "net-150": {"conv2": (5, 48, 320), "conv3": (3, 160, 384), "fc6": (6 * 6 * 128, 8192), "fc7": (4096, 4096)},
    "net-146-2009": SIX,
    "net-146-2011": {**SIX, "bottleneck": (4096, 2048), "fc8": (2048, 1000)},
    "net-146-2012-2011": SIX,
    "net-146-2012-2009": SIX,
    "six-conv-2009-half": SIX,
    "narrow": {  # an eighth of all but the colours and the classes
        name: (*kernel, inputs if name == "conv1" else inputs // 8, outputs if name == "fc8" else outputs // 8)
        for name, (*kernel, inputs, outputs) in PAPER.items()
    },
    "one-weird-trick": {
        "conv1": (11, 3, 64),
        "conv2": (5, 64, 192),
        "conv3": (3, 192, 384),
        "conv4": (3, 384, 256),
        "conv5": (3, 256, 256),
    },
    "korean-summary": ONE_COLUMN,
    "korean-summary-code": {**ONE_COLUMN, "fc6": (5 * 5 * 256, 4096)},
}
VARIANTS = {
    "one-gpu": ONE_GPU,
    "no-cross-link": {"conv3": (3, 128, 384)},
    "without-conv3": {"conv3": None, "conv4": (3, 128, 384)},
    "without-conv4": {"conv4": None, "conv5": (3, 192, 256)},
    "without-conv5": {"conv5": None, "fc6": (6 * 6 * 384, 4096)},
    "six-conv": SIX,
}
# Printed by others: Caffe and the 2012 code's sizes, torchvision's page of models, and many for one column.
PRINTED = {
    "paper": 60_965_224,
    "bvlc": 60_965_224,
    "caffenet": 60_965_224,
    "net-150": 60_714_408,
    "one-weird-trick": 61_100_840,
    "korean-summary": 62_378_344,
}


def counted(changes):
    """Layer → parameters."""
    layers = {name: shape for name, shape in {**PAPER, **changes}.items() if shape is not None}
    found = {}
    for name, (*sizes, kernels) in layers.items():
        kernel, reads = sizes if len(sizes) == 2 else (1, sizes[0])
        found[name] = kernel * kernel * reads * kernels + kernels
    return found


@pytest.mark.parametrize("name", presets.RECIPES)
def test_recipes(name):
    found = parameter_count(presets.RECIPES[name].network, 1000)
    assert found == counted(CHANGED.get(name, {}))
    assert name not in PRINTED or sum(found.values()) == PRINTED[name]


@pytest.mark.parametrize("name", [variant.name for variant in variants.VARIANTS])
@pytest.mark.parametrize("base", ["paper", "as-run"])
def test_variants(base, name):
    one = variants.apply(presets.RECIPES[base], [name])
    assert parameter_count(one.network, 1000) == counted(VARIANTS.get(name, {}))
