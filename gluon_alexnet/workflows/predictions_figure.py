"""Fig. 4 left: images with their most probable classes as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import plots
from .load import Prediction


def draw_predictions(shown: Sequence[Prediction], classes: Sequence[dict[str, str]], file: Path) -> None:
    """Write the figure. An image's true class is known if it lies in a folder named like a class."""
    names = {info["wnid"]: info["name"] for info in classes}
    plots.draw_predictions(
        [
            plots.Prediction(
                one.pixels,
                names.get(Path(one.source).resolve().parent.name),
                [(guess.name, guess.probability) for guess in one.guesses],
            )
            for one in shown
            if one.pixels is not None
        ],
        file,
    )
