"""What the images of a data set are like (Sec. 2, 4.1)."""

from __future__ import annotations

import os
from pathlib import Path

from gluon_alexnet.recordio.dataset import report
from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.recordio.dataset.statistics import read_statistics

from ..drawing import check_format


def describe_data(data: str | os.PathLike[str], figure: Path | None = None) -> list[str]:
    """Lines about counts, mean, colour axes (grey levels) and source sizes; ``figure`` is a file to draw them in.

    Raises InvalidRequest where there is no data set or the figure's ending names no format, DatasetError where the data
    set is damaged.
    """
    if figure is not None:
        check_format(figure)
    manifest, statistics = read_manifest(data), read_statistics(data)
    if figure is not None:
        report.draw(manifest, statistics, figure)
    return report.lines(manifest, statistics)
