"""Where data sets and runs lie unless the user names another place."""

from __future__ import annotations

from pathlib import Path

DATA_DEFAULT = Path("data/ilsvrc2012")
RUNS = Path("runs")
CIFAR = Path("data/cifar-10-binary.tar.gz")


def folder_of_year(year: int) -> Path:
    """The default folder of the data set of ILSVRC of that year."""
    return DATA_DEFAULT.with_name(f"ilsvrc{year}")
