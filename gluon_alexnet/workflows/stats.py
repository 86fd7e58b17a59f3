"""What the images of a data set are like (Sec. 2, 4.1)."""

from __future__ import annotations

import os
from pathlib import Path

from gluon_alexnet.recordio.dataset import report
from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.recordio.dataset.statistics import read_statistics

from ..errors import InvalidRequest


def describe_data(data: str | os.PathLike[str], figure: Path | None = None) -> list[str]:
    """Lines about counts, mean, colour axes (grey levels) and source sizes; ``figure`` is a PNG to draw them in.

    Raises InvalidRequest where there is no data set or the figure is no PNG, DatasetError where it is damaged.
    """
    if figure is not None and figure.suffix.lower() != ".png":
        raise InvalidRequest(f"{figure}: the figure is a PNG; name a file that ends in .png")
    manifest, statistics = read_manifest(data), read_statistics(data)
    if figure is not None:
        report.draw(manifest, statistics, figure)
    return report.lines(manifest, statistics)
