"""What can be trained, and the published errors that it is compared with (Sec. 3, 6, 7; the diary of the 2012 code)."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.shapes import parameter_count
from ..recipes import presets, published, variants
from ..recipes.published import PublishedResult, Table
from ..recipes.schema import Recipe

CLASSES = 1000  # of ILSVRC; fc8's size, and so the counts, depend on it


@dataclass(frozen=True)
class RecipeEntry:
    """A recipe, or the recipe "paper" with a variant."""

    name: str
    summary: str
    parameters: int  # with 1000 classes
    results: list[PublishedResult]  # what its own net earned; of a variant: what nets with this change did
    difference: str | None = None  # of a variant: what the paper says of it, against the full net


@dataclass(frozen=True)
class RecipeList:
    """What :func:`list_recipes` gives, in the order to show it."""

    recipes: list[RecipeEntry]
    variants: list[RecipeEntry]
    others: list[PublishedResult]  # results of nets whose recipe is not known, or of several


def list_recipes() -> RecipeList:
    """Every recipe and every variant, with the errors to compare with."""
    return RecipeList(
        [
            RecipeEntry(name, presets.SUMMARIES[name], _parameters(one), published.of_recipe(name))
            for name, one in presets.RECIPES.items()
        ],
        [
            RecipeEntry(
                one.name,
                one.summary,
                _parameters(variants.apply(presets.PAPER, [one.name])),
                [row for row in published.RESULTS if row.variants == (one.name,) and row.recipe],
                published.DIFFERENCES.get(one.name),
            )
            for one in variants.VARIANTS
        ],
        [row for row in published.RESULTS if row.recipe is None and None not in (row.top1, row.top5)],
    )


@dataclass(frozen=True)
class PublishedErrors:
    """What a net's errors are shown beside: the paper's table, and rows of other sources by their source."""

    table: Table
    others: list[PublishedResult]
    year: list[PublishedResult]  # all of that year


def published_errors(year: int, split: str, changes: tuple[str, ...] = (), recipe: str = "") -> PublishedErrors:
    """The published errors of ILSVRC of a year, 2010 or 2012, for a net with these variants on this split.

    recipe: the net's, by name, whose own rows come first.
    """
    table = published.table(year)
    others = [row for row in published.results(year, split, changes, recipe) if row.source != table.name]
    return PublishedErrors(table, others, [row for row in published.RESULTS if row.year == year])


def _parameters(recipe: Recipe) -> int:
    return sum(parameter_count(recipe.network, CLASSES).values())
