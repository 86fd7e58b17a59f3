"""What options are chosen from, and what is taken unless one is chosen; importing this loads nothing heavy."""

from __future__ import annotations

from gluon_alexnet.recordio.dataset.manifest import ENCODINGS, SMALL

from ..experiments.config import FIGURE_ONE, NORMALIZATION_TEST
from ..importers import KINDS
from ..recipes.presets import RECIPES as _PRESETS

__all__ = ["ENCODINGS", "FIGURE_ONE", "KINDS", "NORMALIZATION_TEST", "RECIPES", "SMALL"]

RECIPES = tuple(_PRESETS)  # names, in the order in which they are listed
