"""Writes the tables of the page "Which AlexNet?" from the recipes and from what benchmarks/which.py measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from gluon_alexnet.model.shapes import parameter_count
from gluon_alexnet.recipes import presets
from gluon_alexnet.recipes.schema import Network, Recipe

NAMES = ("paper", "printed", "as-run", "bvlc", "caffenet", "one-weird-trick", "korean-summary", "korean-summary-code")
CLASSES = 1000
Cell = Callable[[Recipe], str]


def tables(root: Path) -> dict[str, str]:
    """The page's tables by their names, in Markdown; root: the repository's folder."""
    measured = json.loads(max((root / "benchmarks" / "results").glob("which-*.json")).read_text(encoding="utf-8"))
    return {"decisions": decisions(), "outputs": outputs(measured), "colours": colours(measured)}


def decisions() -> str:
    """One row a decision, one column a recipe; what differs from `paper` is in bold."""
    recipes = [presets.RECIPES[name] for name in NAMES]
    lines = ["| | " + " | ".join(f"`{name}`" for name in NAMES) + " |", "|---" * (1 + len(NAMES)) + "|"]
    for title, cell in ROWS:
        first, *others = [cell(recipe) for recipe in recipes]
        shown = [first, *(text if text == first else f"**{text}**" for text in others)]
        lines.append(f"| {title} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def column(recipe: Recipe) -> dict[str, str]:
    """Decision → what a recipe does."""
    return {title: cell(recipe) for title, cell in ROWS}


def _network(cell: Callable[[Network], str]) -> Cell:
    return lambda recipe: cell(recipe.alexnet)


def _per_layer(name: str, unit: str = "") -> Cell:
    """A number of each layer with weights: "0.01; conv3 0.03"; the most common first, the others with their layers."""

    def cell(recipe: Recipe) -> str:
        network = recipe.alexnet
        values = {layer: getattr(numbers, name) for layer, numbers in [*network.convolutions(), *network.hidden()]}
        values["fc8"] = getattr(network, f"fc8_{name}")
        common = max(dict.fromkeys(values.values()), key=lambda value: list(values.values()).count(value))
        others: dict[float, list[str]] = {}
        for layer, value in values.items():
            if value != common:
                others.setdefault(value, []).append(layer)
        return "; ".join([f"{common:g}{unit}", *(f"{', '.join(layers)} {value:g}" for value, layers in others.items())])

    return cell


def _kernels(network: Network) -> str:
    convolutions = network.convolutions()
    sizes = "; ".join(
        f"{layer.size}×{layer.size}" + (f"/{layer.stride}" if layer.stride > 1 else "") for _, layer in convolutions
    )
    return "/".join(str(layer.kernels) for _, layer in convolutions) + f" of {sizes}"


def _groups(network: Network) -> str:
    names = [name for name, layer in [*network.convolutions(), *network.hidden()] if not layer.both_columns]
    return "none" if network.columns == 1 else f"{', '.join(names)} read their own column"


def _borders(network: Network) -> str:
    return "; ".join(
        f"{a}" if a == b else f"{a} before, {b} after" for a, b in (one.padding for _, one in network.convolutions())
    )


def _sides(network: Network) -> str:
    size = network.conv1
    side = (network.input_size + sum(size.padding) - size.size) // size.stride + 1
    return f"{network.input_size} → {side}"


def _order(network: Network) -> str:
    norm = ["LRN"] if network.normalization else []
    first = [*norm, "pool"]
    if network.pool_before_normalization:
        first.reverse()
    one = [network.activation, *first] if network.relu_before_normalization else [*first, network.activation]
    return ", ".join(["conv", *one])


def _normalization(network: Network) -> str:
    numbers = network.normalization
    if numbers is None:
        return "none"
    alpha = f"α {numbers.alpha:g}{'/n' if numbers.alpha_divided_by_n else ''}"
    where = "all maps" if numbers.both_columns or network.columns == 1 else "own column"
    return f"k {numbers.k:g}, n {numbers.n}, {alpha}, β {numbers.beta:g}, {where}"


def _map_normalization(network: Network) -> str:
    numbers = network.map_normalization
    return (
        "none"
        if numbers is None
        else f"{numbers.size}×{numbers.size} of a map, α {numbers.alpha:g}, β {numbers.beta:g}"
    )


def _pooling(network: Network) -> str:
    return f"{network.pooling.size}/{network.pooling.stride}" + (", sizes round up" if network.pooling.round_up else "")


def _dropout(network: Network) -> str:
    if not network.dropout:
        return "none"
    place = "before" if network.dropout_before else "after"
    kept = "kept ones × " + f"{1 / (1 - network.dropout):g} in training"
    return f"{network.dropout:g} {place} fc6, fc7; " + (
        kept if network.inverted_dropout else f"all × {1 - network.dropout:g} in test"
    )


def _mean(recipe: Recipe) -> str:
    network = recipe.alexnet
    if network.channel_mean is not None:
        text = (
            "none"
            if not any(network.channel_mean)
            else "of each colour: " + ", ".join(f"{v:g}" for v in network.channel_mean)
        )
    else:
        text = (
            "of each pixel, before the crop"
            if recipe.augmentation.mean_before_crop
            else "mean image's centre, after the crop"
        )
    return text + (
        "" if network.channel_std is None else "; then divided by " + ", ".join(f"{v:g}" for v in network.channel_std)
    )


def _crops(recipe: Recipe) -> str:
    numbers = recipe.augmentation
    text = "random" if numbers.random_crops else "the middle"
    shared = "" if numbers.shared_crops == 1 else f", {numbers.shared_crops} images share one"
    return text + (" and mirrored" if numbers.mirror else "") + shared


def _colour(recipe: Recipe) -> str:
    numbers = recipe.augmentation
    if not numbers.colour_std:
        return "none" if numbers.colour_divisor == 1 else f"none; images divided by {numbers.colour_divisor:g}"
    text = f"N(0, {numbers.colour_std:g}) × {'eigenvalue' if numbers.colour_by_eigenvalue else '√eigenvalue'}"
    return text + ("" if numbers.colour_divisor == 1 else f", then /{numbers.colour_divisor:g}")


def _jitter(recipe: Recipe) -> str:
    numbers = recipe.augmentation
    parts = [f"brightness ±{numbers.brightness:g} grey levels"] if numbers.brightness else []
    for name in ("contrast", "saturation"):
        low, high = getattr(numbers, name)
        parts += [f"{name} ×{low:g} to {high:g}"] if (low, high) != (1, 1) else []
    return ", ".join(parts) or "none"


def _rates(recipe: Recipe) -> str:
    learning = recipe.learning
    parts = [f"{learning.learning_rate:g}"]
    if learning.drops_on_plateau:
        parts.append(
            f"/{learning.rate_divisor:g} on a plateau of {learning.patience} epochs, {learning.rate_drops} times"
        )
    parts += [str(change) for change in learning.timetable]
    return "; ".join(parts)


ROWS: tuple[tuple[str, Cell], ...] = (
    ("columns", _network(lambda n: str(n.columns))),
    ("kernels", _network(_kernels)),
    ("groups", _network(_groups)),
    ("input → conv1, pixels", _network(_sides)),
    ("zeros around conv1; …; conv5", _network(_borders)),
    ("fc6, fc7", _network(lambda n: ", ".join(str(layer.neurons) for _, layer in n.hidden()))),
    ("order of layer 1", _network(_order)),
    ("LRN after layers 1, 2", _network(_normalization)),
    ("second normalisation in layer 2", _network(_map_normalization)),
    ("max-pooling", _network(_pooling)),
    ("dropout", _network(_dropout)),
    ("initial weights, deviation", _per_layer("weight_std")),
    ("initial biases", _per_layer("bias")),
    ("mean subtracted", _mean),
    ("crops", _crops),
    ("colour shift", _colour),
    ("other changes of colour", _jitter),
    ("batch", lambda r: str(r.learning.batch_size)),
    ("batches", lambda r: "the same in every epoch" if r.learning.same_batches else "new in every epoch"),
    ("momentum, decay", lambda r: f"{r.learning.momentum:g}, {r.learning.weight_decay:g} (no biases)"),
    ("learning rate", _rates),
    ("epochs", lambda r: str(r.learning.epochs)),
    ("parameters, 1,000 classes", lambda r: f"{sum(parameter_count(r.network, CLASSES).values()):,}"),
)


HEADS = ("difference", "nets that have it", "outputs change by", "probability of its first class", "first class stays")


def outputs(measured: dict) -> str:
    """What each difference does to one image's output with the same weights."""
    lines = [
        f"{measured['weights']}, {measured['date']}; the image is {measured['image']}, and it and "
        f"{measured['photographs']} other photographs say how often the first class stays.",
        "",
        "| " + " | ".join(HEADS) + " |",
        "|---" * len(HEADS) + "|",
    ]
    for row in measured["outputs"]:
        cells = [
            row["difference"],
            ", ".join(f"`{name}`" for name in row["nets"]) or "none, a mistake in use",
            f"{100 * row['relative']:.{0 if row['relative'] >= 0.1 else 1}f} %",
            f"{row['before']:.3f} → {row['after']:.3f}",
            f"{100 * row['same_class']:.0f} %",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


CUDA_CONVNET2 = (121.78, 37.09, 19.72)  # its statistics of ILSVRC-2012: deviations along the axes, grey levels
COPIED = (0.2175, 0.0188, 0.0045)  # fb.resnet.torch's constants for images in 0-1, and its descendants'


def colours(measured: dict) -> str:
    """The deviations along the axes of the colours, and the constants that are copied."""
    lines = [
        f"| | {measured['colours_of']} | ILSVRC-2012, by cuda-convnet2 | copied from fb.resnet.torch |",
        "|---|---|---|---|",
    ]
    rows: list[tuple[str, Callable[[float], float], str]] = [
        ("deviation, grey levels", lambda value: value, "{:.2f}"),
        ("deviation, images in 0–1", lambda value: value / 255, "{:.3f}"),
        ("eigenvalue, images in 0–1", lambda value: (value / 255) ** 2, "{:.4f}"),
    ]
    for title, of, form in rows:
        cells = [", ".join(form.format(of(value)) for value in row) for row in (measured["deviations"], CUDA_CONVNET2)]
        copied = ", ".join(map(form.format, COPIED)) if title.startswith("eigenvalue") else ""
        lines.append("| " + " | ".join([title, *cells, copied]) + " |")
    return "\n".join(lines)
