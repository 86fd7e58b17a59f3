"""What all drawings have in common: colours, formats, numbers per cent, names in lines. Drawn without a display."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from .atomic_files import written
from .errors import InvalidRequest

# Okabe and Ito's colours: who sees red and green alike still tells them apart. Blue and orange-red come first.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
TRUE, OTHER = COLOURS[1], COLOURS[0]  # the class of an image, and any other
FORMATS = (".png", ".svg", ".pdf")
MOST_PIXELS = 2**16 - 1  # a side of a PNG that Matplotlib draws
LINE = 0.165  # inches of a line of text


def check_format(file: Path) -> None:
    """Raise InvalidRequest unless the name of a drawing's file ends as one of the formats that can be written."""
    if file.suffix.lower() not in FORMATS:
        raise InvalidRequest(
            f"{file} must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, which says the format of the drawing."
        )


def save(figure: Any, file: Path, dpi: int = 120, tight: bool = False) -> None:
    """Write a figure in the format that the file's ending names, whole or not at all, and close it.

    tight: without the paper around it. Raises InvalidRequest for another ending.
    """
    check_format(file)
    pyplot = headless_pyplot()
    dpi = min(dpi, int(MOST_PIXELS / max(figure.get_size_inches())))
    try:
        with written(file) as draft:
            figure.savefig(draft, dpi=dpi, format=file.suffix[1:].lower(), bbox_inches="tight" if tight else None)
    finally:
        pyplot.close(figure)


def percent(value: float) -> str:
    """A number per cent as it is written everywhere: 38.2 %; what is there but would be 0.0 is < 0.1 %."""
    return "< 0.1 %" if 0 < value < 0.05 else f"{value:.1f} %"


def percent_axis(axis: Any) -> None:
    """Numbers of an axis as per cent, written as everywhere: 40 %."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))


def in_lines(name: str, most: int) -> str:
    """A name, whole, in as many lines as it takes; a dollar in it begins no formula."""
    return "\n".join(textwrap.wrap(name, most)).replace("$", r"\$") or name


def class_in_lines(name: str, most: int) -> str:
    """The same of a class's first name."""
    return in_lines(name.split(",")[0], most)


def captioned(axes: Any, image: np.ndarray, caption: str, frame: str | None = None, **style: Any) -> None:
    """An image with words beneath, framed in a colour or not; style: of the words."""
    axes.axis("on")
    axes.imshow(image)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(caption, **{"fontsize": 9, "labelpad": 3, **style})
    for spine in axes.spines.values():
        spine.set(visible=frame is not None, edgecolor=frame, linewidth=3)


def headless_pyplot() -> Any:
    """Matplotlib's pyplot, drawing to files; the backend that a notebook or a program has chosen stays."""
    import matplotlib

    if "matplotlib.pyplot" not in sys.modules:
        matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
