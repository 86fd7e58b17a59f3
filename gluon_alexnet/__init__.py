"""AlexNet (Krizhevsky, Sutskever and Hinton, NIPS 2012) on Apache MXNet 1.9.1.

    import gluon_alexnet as ga

    ga.pack(train="imagenet/train", val="imagenet/val", out="data/mine")
    ga.train("data/mine", recipe="paper", devices=["gpu(0)", "gpu(1)"], run="runs/a")
    ga.evaluate("runs/a", "data/mine").scores
    ga.load("runs/a").predict(["cat.jpg"])

Importing this package imports nothing heavy: MXNet is loaded by the first thing that computes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequest, OperationFailed
from .version import __version__

if TYPE_CHECKING:
    from .training.callbacks import TrainingCallback
    from .workflows.evaluate import Evaluation, evaluate
    from .workflows.export import export
    from .workflows.import_weights import ImportedNet, import_weights
    from .workflows.load import Guess, Model, Prediction, load
    from .workflows.pack import PackReport, pack
    from .workflows.report import report
    from .workflows.serve import serve
    from .workflows.train import TrainingOptions, TrainingResult, train
    from .workflows.training_plan import InitFrom

_HOMES = {
    "TrainingCallback": "training.callbacks",
    "Evaluation": "workflows.evaluate",
    "evaluate": "workflows.evaluate",
    "export": "workflows.export",
    "ImportedNet": "workflows.import_weights",
    "import_weights": "workflows.import_weights",
    "Guess": "workflows.load",
    "Model": "workflows.load",
    "Prediction": "workflows.load",
    "load": "workflows.load",
    "PackReport": "workflows.pack",
    "pack": "workflows.pack",
    "report": "workflows.report",
    "serve": "workflows.serve",
    "InitFrom": "workflows.training_plan",
    "TrainingOptions": "workflows.train",
    "TrainingResult": "workflows.train",
    "train": "workflows.train",
}

__all__ = [
    "Evaluation",
    "Guess",
    "ImportedNet",
    "InitFrom",
    "InvalidRequest",
    "Model",
    "OperationFailed",
    "PackReport",
    "Prediction",
    "TrainingCallback",
    "TrainingOptions",
    "TrainingResult",
    "__version__",
    "evaluate",
    "export",
    "import_weights",
    "load",
    "pack",
    "report",
    "serve",
    "train",
]


def __getattr__(name: str) -> Any:
    """The public API, each part loaded when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
