"""One section of each file → one layer of a graph."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import InvalidRequest as InvalidRequest
from ...recipes import layer_graph as graphs
from .ini import Section

MOST_DEVICES = 64

UNSUPPORTED = {
    "treefc": "its classes' tree is in no file of its own",
    "resize": "it is in none of the 2012 nets",
    "rscale": "it is in none of the 2012 nets",
    "rgb2yuv": "it is in none of the 2012 nets",
    "rgb2lab": "it is in none of the 2012 nets",
    "cost.crossent": "it is in none of the 2012 nets",
    "cost.msm": "it is in none of the 2012 nets",
    "cost.gsum2": "it is in none of the 2012 nets",
    "cost.tica": "it is in none of the 2012 nets",
}
COSTS = ("cost.logreg", "cost.crossent2", "cost.rflickr", "cost.sum2")

Common = dict  # name, inputs, device and neuron of a layer


def read_layer(kind: str, section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    """The layer of this type. numbers: its section in the parameter file, if it has one.

    Raises InvalidRequest where a key is missing, unknown or out of range.
    """
    layer = _READERS[kind](section, numbers, common)
    section.finish()
    return layer


def known(kind: str) -> bool:
    """Whether :func:`read_layer` reads this type."""
    return kind in _READERS


def _filters(section: Section, common: Common) -> tuple[int, tuple[graphs.Filters, ...]]:
    count = len(common["inputs"])
    each = {
        "channels": section.integers("channels", count, least=1),
        "size": section.integers("filterSize", count, least=1),
        "stride": section.integers("stride", count, 1, least=1),
        "padding": section.integers("padding", count, 0),
        "groups": section.integers("groups", count, 1, least=1),
    }
    stds = section.numbers("initW", count)
    maps = [a * b for a, b in zip(section.integers("filters", count, least=1), each["groups"])]
    if len(set(maps)) > 1:
        raise section.refuse(f"its inputs give different numbers of maps, {', '.join(map(str, maps))}")
    sparse = section.flags("randSparse", count)
    own = [channels // groups for channels, groups in zip(each["channels"], each["groups"])]
    chosen = section.integers("filterChannels", count, least=1) if "filterChannels" in section else own
    section.skip("partialSum")  # how a GPU divides the sum over places
    section.refuse_keys({"weightSource": "each layer has weights of its own"})
    filters = []
    for place in range(count):
        channels, groups = each["channels"][place], each["groups"][place]
        if channels % groups:
            raise section.refuse(f"{groups} groups do not divide {channels} channels")
        if sparse[place] and (groups == 1 or (groups * chosen[place]) % channels):
            raise section.refuse(
                "randSparse needs 2 groups or more that read each channel equally often, not "
                f"{groups} of {chosen[place]} channels among {channels}"
            )
        numbers = {name: values[place] for name, values in each.items()}
        drawn = chosen[place] if sparse[place] else None
        filters.append(graphs.Filters(**numbers, sparse_channels=drawn, weight_std=stds[place]))
    return maps[0], tuple(filters)


def _convolution(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    maps, filters = _filters(section, common)
    bias = section.number("initB", 0.0, least=None)
    return graphs.Convolution(
        **common, maps=maps, filters=filters, bias=bias, shared_biases=_flag(section, "sharedBiases", True)
    )


def _local(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    maps, filters = _filters(section, common)
    if any(each.groups > 1 for each in filters):
        raise section.refuse("a local layer in groups is not supported")
    return graphs.Local(**common, maps=maps, filters=filters, bias=section.number("initB", 0.0, least=None))


def _fully_connected(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    section.refuse_keys({"weightSource": "each layer has weights of its own"})
    return graphs.FullyConnected(
        **common,
        outputs=section.integer("outputs", least=1),
        weight_std=section.numbers("initW", len(common["inputs"]), 0.01),
        bias=section.number("initB", 0.0, least=None),
    )


def _pooling(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    pool = section.text("pool")
    if pool == "rand":  # the only 2012 net with it takes the maximum in its parameter file
        if numbers is None or not _flag(numbers, "doMax", False):
            raise section.refuse("pool=rand draws its values at random and is not supported, except with doMax=true")
        pool = "max"
    if pool not in ("max", "avg"):
        raise section.refuse(f"pool must be max or avg, not {pool!r}")
    size = section.integer("sizeX", least=1)
    layer = graphs.Pooling(
        **common,
        channels=section.integer("channels", least=1),
        pool=pool,
        size=size,
        stride=section.integer("stride", least=1),
        start=section.integer("start", 0, least=None),
        outputs=section.integer("outputsX", 0),
    )
    if layer.stride > size:
        raise section.refuse(f"stride must be sizeX or less, not {layer.stride}")
    return layer


def _cross_map(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    size = section.integer("size", least=2)
    if size % 2 == 0:
        raise section.refuse(f"size must be odd, not {size}: MXNet sums over as many maps on either side")
    section.refuse_keys({"blocked": "the sum slides over the maps"})
    numbers = _needed(section, numbers)
    return graphs.CrossMapNormalization(
        **common,
        channels=section.integer("channels", least=1),
        size=size,
        scale=numbers.number("scale"),
        power=numbers.number("pow"),
        minimum=numbers.number("minDiv", 1.0, least=1e-9),
    )


def _same_map(cls: type[graphs.MapNormalization]) -> Callable:
    def read(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
        section.refuse_keys({"blocked": "it is for sums over maps"})
        # Older files have both numbers in the layer's section, and call the window sizeX.
        numbers = section if "scale" in section else _needed(section, numbers)
        return cls(
            **common,
            channels=section.integer("channels", least=1),
            size=section.integer("sizeX" if "sizeX" in section else "size", least=1),
            scale=numbers.number("scale"),
            power=numbers.number("pow"),
        )

    return read


def _blur(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    size = section.integer("filterSize", least=3)
    if size not in (3, 5, 7, 9):
        raise section.refuse(f"filterSize must be 3, 5, 7 or 9, not {size}")
    std = section.number("stdev", least=1e-9)
    return graphs.Blur(**common, channels=section.integer("channels", least=1), size=size, std=std)


def _nailbed(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    stride = section.integer("stride", least=1)
    return graphs.Nailbed(**common, channels=section.integer("channels", least=1), stride=stride)


def _reflection(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    return graphs.Reflection(**common, channels=section.integer("channels", least=1))


def _concatenation(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    return graphs.Concatenation(**common)


def _sum(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    coefficients = section.numbers("coeffs", len(common["inputs"]), 1.0, least=None)
    return graphs.Sum(**common, coefficients=coefficients)


def _maximum(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    if len(common["inputs"]) < 2:
        raise section.refuse("eltmax needs 2 inputs or more")
    return graphs.Maximum(**common)


def _dropout(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    keep = section.number("keep")
    if not 0 < keep <= 1:
        raise section.refuse(f"keep must be above 0 and up to 1, not {keep:g}")
    return graphs.Dropout(**common, keep=keep, enabled=_flag(_needed(section, numbers), "enable", None))


def _neurons(section: Section, numbers: Section | None, common: Common) -> graphs.Layer:
    return graphs.Neurons(**common)


_READERS: dict[str, Callable[[Section, Section | None, Common], graphs.Layer]] = {
    "conv": _convolution,
    "local": _local,
    "fc": _fully_connected,
    "pool": _pooling,
    "cmrnorm": _cross_map,
    "rnorm": _same_map(graphs.MapNormalization),
    "cnorm": _same_map(graphs.ContrastNormalization),
    "blur": _blur,
    "nailbed": _nailbed,
    "href": _reflection,
    "concat": _concatenation,
    "eltsum": _sum,
    "eltmax": _maximum,
    "hs": _dropout,
    "neuron": _neurons,
}


def read_common(section: Section, name: str, inputs: tuple[str, ...], device_below: int) -> Common:
    """What each layer has: its neuron, and its device, which is that of its first input where the file gives none."""
    device = section.integer("gpu", max(device_below, 0))
    if device >= MOST_DEVICES:
        raise section.refuse(f"gpu must be below {MOST_DEVICES}, not {device}")
    neuron = section.text("neuron", "")
    try:
        if neuron:
            graphs.neuron_parts(neuron)
    except InvalidRequest as error:
        raise section.refuse(str(error).rstrip(".")) from error
    return {"name": name, "inputs": inputs, "device": device, "neuron": neuron}


def _needed(section: Section, numbers: Section | None) -> Section:
    if numbers is None:
        raise section.refuse("the parameter file has no section of this name: it belongs to another net")
    return numbers


def _flag(section: Section, key: str, default: bool | None) -> bool:
    if key not in section:
        section.skip(key)
        if default is None:
            raise section.refuse(f"{key} is missing")
        return default
    return section.flags(key, 1)[0]
