"""What a user chooses from, and what is taken unless something is chosen. Importing this loads nothing heavy."""

from __future__ import annotations

from pathlib import Path

from gluon_alexnet.recordio.dataset.manifest import ENCODINGS, SMALL

from ..experiments.config import FIGURE_ONE, NORMALIZATION_TEST
from ..importers import KINDS
from ..recipes.presets import RECIPES as _PRESETS

__all__ = ["CIFAR", "ENCODINGS", "FIGURE_ONE", "KINDS", "NORMALIZATION_TEST", "RECIPES", "SMALL"]

RECIPES = tuple(_PRESETS)  # names, in the order in which they are listed
CIFAR = Path("data/cifar-10-binary.tar.gz")  # where CIFAR-10 is looked for
