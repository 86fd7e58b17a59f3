"""Which AlexNet is it? `identify("alexnet.pth")`, for files of weights, exported nets, runs and Caffe's prototxts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidRequest
from ..importers import identify as of_files
from ..importers.arrays import StoredArray
from ..importers.identify import Identity

if TYPE_CHECKING:
    from ..importers.families import Match


def identify(path: Path | str) -> Identity:
    """Which of the AlexNets a file, an export OUT, a run or a checkpoint is, and whether conv1 was ever trained.

    Raises InvalidRequest for what none of them is, OperationFailed where a file is cut, damaged or hostile.
    """
    from ..exporters import symbol
    from ..importers.caffe.files import is_text

    path = Path(path)
    if path.is_dir():
        return _of_run(path)
    export = _export_of(path)
    if export is not None and symbol.is_export(export):
        return _of_export(export)
    if not path.exists():
        raise InvalidRequest(f"There is no file, run or exported net {path}.")
    if is_text(path):
        return _of_prototxt(path)
    return of_files.identify_arrays(path)


def _export_of(path: Path) -> Path | None:
    """OUT, where a path is OUT or one of the files of an export; None for another file."""
    if not path.is_file():
        return path
    ends = (".json", "-symbol.json", "-0000.params", ".onnx", ".safetensors")
    end = max((end for end in ends if path.name.endswith(end)), key=len, default=None)
    return None if end is None else path.with_name(path.name[: -len(end)])


def _of_run(path: Path) -> Identity:
    from ..importers.families import Match, lines_of_network, match
    from ..recipes.layer_graph import LayerGraph
    from ..training import checkpoint

    description, _, parameters, _ = checkpoint.load_run(path)
    network = description.recipe.network
    if isinstance(network, LayerGraph):
        found = Match("a net of cuda-convnet's layer files", ())
    else:
        found = match(lines_of_network(network))
    arrays = {
        name: StoredArray(value.shape, "float32", value.asnumpy) for name, value in parameters.items() if name != "mean"
    }
    name = "+".join([description.recipe.name, *description.recipe.variants])
    return _with(path, f"a run of the recipe {name}", found, arrays)


def _of_export(path: Path) -> Identity:
    from ..backend import mx
    from ..exporters import symbol
    from ..exporters.files import file_of
    from ..importers.families import Match, lines_of_chain, match
    from ..importers.mxnet_params import read_params
    from ..model import layer_chain

    description = symbol.read_export(path, mx.cpu())
    arrays = read_params(file_of(path, "parameters"))
    source = description["provenance"]
    try:
        graph = mx.sym.load(str(file_of(path, "symbol")))
        found = match(lines_of_chain(layer_chain.read(graph, int(description["input"]["shape"][-1]))))
    except InvalidRequest as error:  # of a net in fewer bits, say
        found = Match(str(source.get("architecture") or source.get("recipe") or "not known"), (str(error),))
    arrays = {name: stored for name, stored in arrays.items() if name.endswith(("_weight", "_bias"))}
    return _with(path, f"an exported net of {_source(source)}", found, arrays)


def _source(provenance: Mapping) -> str:
    for key in ("run", "file", "caffemodel"):
        if provenance.get(key):
            return str(provenance[key])
    return "unknown origin"


def _of_prototxt(path: Path) -> Identity:
    from ..importers.arrays import elements
    from ..importers.caffe.architecture import read_architecture

    architecture = read_architecture(path)
    parameters = sum(map(elements, architecture.shapes.values()))
    return Identity("a prototxt", architecture.family, (), architecture.classes, parameters, None, "Caffe")


def _with(path: Path, title: str, found: Match, arrays: Mapping[str, StoredArray]) -> Identity:
    identity = of_files.of_named(path, title, found, arrays)
    return replace(identity, names="this program")
