"""A net that begins with another net's layers (Sec. 6: pre-trained on Fall 2011, fine-tuned on ILSVRC-2012)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..backend import mx
from ..errors import InvalidRequest
from ..exporters import symbol
from ..exporters.files import file_of
from . import checkpoint, run_folder


@dataclass(frozen=True)
class Transfer:
    """What a new net took of another one."""

    source: str
    layers: tuple[str, ...]  # those taken whole
    matched_classes: int = 0  # classes of the same wnid whose part of layer 8 was taken
    biases: bool = True  # False: the layers' weights alone


def read_net(path: Path) -> tuple[dict, list[dict]]:
    """(parameters by name on cpu(0), classes) of a run, a checkpoint or an exported net.

    Raises InvalidRequest where it is none of them, OperationFailed where a file is damaged.
    """
    if symbol.is_export(path):
        classes = symbol.read_export(path, mx.cpu())["classes"]
        stored = mx.nd.load(str(file_of(path, "parameters")))
        return {name.partition(":")[2]: value for name, value in stored.items()}, classes
    if not path.is_dir():
        raise run_folder.no_net(path)
    description, _, parameters, _ = checkpoint.load_run(path)
    return parameters, description.classes


def transfer(
    initial: dict,
    classes: Sequence[dict],
    path: Path,
    layers: Sequence[str] | None = None,
    match: bool = False,
    last: Sequence[str] | None = None,
    biases: bool = True,
) -> tuple[dict, Transfer]:
    """The initial parameters of a net with these classes, with layers of the net at ``path`` put in.

    layers: those to take; None takes every hidden layer that both nets have, and layer 8 where the classes are the
    same. match: take layer 8's rows of the classes that both have, by wnid. last: the layers whose outputs are the
    classes, in a graph with names of its own. biases: False leaves them at their initial values. Raises InvalidRequest
    where a layer is missing or has another shape in one of the nets, and where no class matches.
    """
    found, their_classes = read_net(path)
    wnids, theirs = ([one["wnid"] for one in every] for every in (classes, their_classes))
    if layers is None:
        outputs = {"fc8"} if last is None else set(last)
        layers = [layer for layer in _layers_of(initial) if f"{layer}_bias" in found]
        if wnids != theirs:
            layers = [layer for layer in layers if layer not in outputs]
    if match and "fc8" in layers:
        raise InvalidRequest(f"Layer 8 of {path} is taken whole: there are no classes to match.")
    parameters = dict(initial)
    for layer in layers:
        taken = _layer(initial, found, layer, path)
        parameters |= {name: value for name, value in taken.items() if biases or not name.endswith("_bias")}
    matched = 0
    if match:
        pairs = [(row, theirs.index(wnid)) for row, wnid in enumerate(wnids) if wnid in theirs]
        parameters |= _matched_rows(initial, found, pairs, path)
        matched = len(pairs)
    return parameters, Transfer(str(path), tuple(layers), matched, biases)


def _layer(initial: dict, found: dict, layer: str, path: Path) -> dict:
    """The parameters of a layer that is taken, once they are known to fit."""
    names = [name for name in initial if name.rpartition("_")[0] == layer] or [f"{layer}_weight"]
    for name in names:
        for net, values in (("the new net", initial), (str(path), found)):
            if name not in values:
                raise InvalidRequest(f"{layer} cannot be taken: {net} has no such layer; leave it out of `layers`.")
        if found[name].shape != initial[name].shape:
            raise InvalidRequest(
                f"{layer} cannot be taken: {name} of {path} has the shape {found[name].shape}, that of the new net "
                f"{initial[name].shape}; leave it out of `layers`."
            )
    return {name: found[name] for name in names}


def _matched_rows(initial: dict, found: dict, pairs: Sequence[tuple[int, int]], path: Path) -> dict:
    """Layer 8 with the rows of the classes that both nets have. pairs: (row of the new net, row of the other)."""
    if not ("fc8_weight" in initial and "fc8_weight" in found):
        raise InvalidRequest(f"No class of {path} can be matched: both nets need a layer fc8.")
    if not pairs or found["fc8_weight"].shape[1:] != initial["fc8_weight"].shape[1:]:
        raise InvalidRequest(
            f"No class of {path} can be matched: no wnid is in both nets, or layer 7 has another size."
        )
    taken = {}
    for name in ("fc8_weight", "fc8_bias"):
        values, source = initial[name].asnumpy(), found[name].asnumpy()
        for row, other in pairs:
            values[row] = source[other]
        taken[name] = mx.nd.array(values)
    return taken


def _layers_of(parameters: dict) -> list[str]:
    """Names of the layers with weights, in the net's order."""
    return list(dict.fromkeys(name.rpartition("_")[0] for name in parameters if name.endswith("_bias")))


def to_dict(taken: Transfer) -> dict:
    """For recipe.json."""
    return {**asdict(taken), "layers": list(taken.layers)}
