"""Results to measure against: the paper's tables and the diary of the 2012 code (Sec. 3, 4, 6, 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class PublishedResult:
    """One number pair, per cent error; None where the source has no number. Ten views unless ``net`` says otherwise."""

    net: str
    # The change, as in variants.py, whose effect the paper states by it; none for the full net; None: no such net. The
    # net that was measured may differ in more: it is the recipe's.
    variants: tuple[str, ...] | None
    year: int  # of ILSVRC; 2009: the 10,184 classes of Fall 2009, half of them to learn from
    split: str
    top1: float | None
    top5: float | None
    source: str
    nets: int = 1  # averaged
    recipe: str | None = None  # that of the net which earned it; None: its recipe is not known, or it is several nets


_DIARY = "2012 code's diary"

RESULTS = (
    PublishedResult("Sparse coding", None, 2010, "test", 47.1, 28.2, "paper, Table 1"),
    PublishedResult("SIFT + FVs", None, 2010, "test", 45.7, 25.7, "paper, Table 1"),
    PublishedResult("1 CNN", (), 2010, "test", 37.5, 17.0, "paper, Table 1"),
    PublishedResult("net-145-2010", (), 2010, "test", 37.47, 17.00, _DIARY, recipe="net-145-2010"),
    PublishedResult("net-145-2010, centre view", (), 2010, "test", 39.02, 18.30, _DIARY, recipe="net-145-2010"),
    PublishedResult("SIFT + FVs", None, 2012, "test", None, 26.2, "paper, Table 2"),
    PublishedResult("1 CNN", (), 2012, "val", 40.7, 18.2, "paper, Table 2"),
    PublishedResult("net-145", (), 2012, "val", 40.66, 18.21, _DIARY, recipe="net-145"),
    PublishedResult("net-145-continued", (), 2012, "val", 40.25, 17.99, _DIARY, recipe="net-145-continued"),
    PublishedResult("5 CNNs", (), 2012, "val", 38.1, 16.4, "paper, Table 2", 5),
    PublishedResult("5 CNNs", (), 2012, "test", None, 16.4, "paper, Table 2", 5),
    PublishedResult("1 CNN*, pre-trained on Fall 2011", ("six-conv",), 2012, "val", 39.0, 16.6, "paper, Table 2"),
    PublishedResult("7 CNNs*", None, 2012, "val", 36.7, 15.4, "paper, Table 2", 7),
    PublishedResult("7 CNNs*", None, 2012, "test", None, 15.3, "paper, Table 2", 7),
    PublishedResult("net-146-2012-2011", ("six-conv",), 2012, "val", 38.99, 16.62, _DIARY, recipe="net-146-2012-2011"),
    PublishedResult("net-146-2012-2009", ("six-conv",), 2012, "val", 39.10, 16.88, _DIARY, recipe="net-146-2012-2009"),
    PublishedResult("net-145-half", ("one-gpu",), 2010, "test", 39.17, 18.23, _DIARY, recipe="net-145-half"),
    PublishedResult("net-148", ("no-lrn",), 2012, "val", 42.03, 19.36, _DIARY, recipe="net-148"),
    PublishedResult("net-147", ("pool-2x2",), 2012, "val", 41.06, 18.51, _DIARY, recipe="net-147"),
    PublishedResult("net-150", ("no-cross-link",), 2012, "val", 41.83, 19.33, _DIARY, recipe="net-150"),
    # Single nets that were there before October 2012: that these and #145 are the paper's five is our inference.
    PublishedResult("#120", None, 2012, "val", 41.04, 18.71, _DIARY),
    PublishedResult("#131", None, 2012, "val", 40.93, 18.57, _DIARY),
    PublishedResult("#135", None, 2012, "val", 41.07, 18.42, _DIARY),
    PublishedResult("#137", None, 2012, "val", 40.78, 18.34, _DIARY),
    PublishedResult("6 conv layers, 10,184 classes", None, 2009, "half", 67.4, 40.9, "paper, Sec. 6"),
    PublishedResult("others, 10,184 classes", None, 2009, "half", 78.1, 60.9, "paper, Sec. 6"),
    PublishedResult("#131 on Fall 2009", None, 2009, "half", 69.42, 43.73, _DIARY),
)

# What the paper says in words, as differences from the full net.
DIFFERENCES = {
    "one-gpu": "+1.7 top-1, +1.2 top-5 (Sec. 3.2)",
    "no-lrn": "+1.4 top-1, +1.2 top-5 (Sec. 3.3)",
    "pool-2x2": "+0.4 top-1, +0.3 top-5 (Sec. 3.4)",
    "no-colour-shift": "more than +1 top-1 (Sec. 4.1)",
    "without-conv3": "about +2 top-1 (Sec. 7)",
    "without-conv4": "about +2 top-1 (Sec. 7)",
    "without-conv5": "about +2 top-1 (Sec. 7)",
}


class TableRow(NamedTuple):
    """One line of a table: per cent error under each of the table's columns, None where nothing is printed."""

    net: str
    errors: tuple[float | None, ...]


class Table(NamedTuple):
    """A table of the paper; ``columns``: (split, "top-1" or "top-5")."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[TableRow, ...]


COLUMNS = {
    2010: (("test", "top-1"), ("test", "top-5")),
    2012: (("val", "top-1"), ("val", "top-5"), ("test", "top-5")),
}


def table(year: int) -> Table:
    """Table 1 (2010) or Table 2 (2012), as printed."""
    printed = [row for row in RESULTS if row.year == year and row.source.startswith("paper, Table")]
    rows = []
    for net in dict.fromkeys(row.net for row in printed):  # each once, in their order
        errors = {}
        for row in printed:
            if row.net == net:
                errors.update({(row.split, "top-1"): row.top1, (row.split, "top-5"): row.top5})
        rows.append(TableRow(net, tuple(errors.get(column) for column in COLUMNS[year])))
    return Table(printed[0].source, COLUMNS[year], tuple(rows))


def of_recipe(name: str) -> list[PublishedResult]:
    """What the net of a recipe earned itself, in the diary of 2012."""
    aliases = {"as-run": "net-145", "as-run-2010": "net-145-2010"}
    return [row for row in RESULTS if row.recipe is not None and row.recipe == aliases.get(name, name)]


def results(year: int, split: str, variants: Sequence[str] = (), recipe: str = "") -> list[PublishedResult]:
    """Rows for the net with these variants on that split; where there is none for the split, those of the year.

    A net nobody published is compared with the full one. recipe: a recipe's name, whose own rows come first.
    """
    own = [row for row in of_recipe(recipe) if row.year == year and not variants]
    rows = _with_variants(year, split, variants)
    return [*own, *(row for row in rows if row not in own)]


def _with_variants(year: int, split: str, variants: Sequence[str]) -> list[PublishedResult]:
    of_year = [row for row in RESULTS if row.year == year and row.variants is not None and row.nets == 1]
    rows = [row for row in of_year if set(row.variants or ()) == set(variants)] or [
        row for row in of_year if not row.variants
    ]
    return [row for row in rows if row.split == split] or rows
