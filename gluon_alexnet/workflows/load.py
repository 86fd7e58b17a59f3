"""Opening what a user calls a model: a run, a checkpoint or an exported net."""

from __future__ import annotations

from pathlib import Path

from ..errors import InvalidRequest
from .folders import DATA_DEFAULT


def open_model(path: Path, context):
    """The :class:`gluon_alexnet.export.symbol.Model` that ``path`` names, on one context."""
    from ..export import symbol
    from ..model.classifier import Model, classify_with, count_parameters

    if symbol.is_export(path):
        return symbol.load_export(path, context)
    if not path.is_dir():
        raise no_model(path)
    classifier, description, _ = open_run(path, context)
    classify = classify_with(classifier, context)
    recipe, count = description.recipe, count_parameters(classifier)
    return Model(classify, recipe.network.input_size, description.classes, str(path), recipe.variants, count)


def open_models(paths: list[Path], context):
    """The models that the paths name, all on one context, all of the same classes."""
    models = [open_model(path, context) for path in paths]
    first = models[0]
    for other in models[1:]:
        if [c["wnid"] for c in other.classes] != [c["wnid"] for c in first.classes]:
            raise InvalidRequest(
                f"{first.source} knows {len(first.classes)} classes and {other.source} knows {len(other.classes)}, and "
                "they are not the same: such nets cannot be averaged."
            )
    return models


def no_model(path: Path) -> InvalidRequest:
    """The sentence for a path that is neither a run nor an exported net."""
    return InvalidRequest(f"{path} is neither a run folder nor an exported net ({path}.json is not there).")


def data_of_run(path: Path) -> Path:
    """The data set folder a run was trained on; for an exported net, which has no record of it, the default one."""
    from ..export import symbol
    from ..training import checkpoint

    if symbol.is_export(path) or not path.is_dir():
        return DATA_DEFAULT
    return Path(checkpoint.read_description(checkpoint.run_of(checkpoint.find_checkpoint(path))).data)


def open_run(path: Path, context):
    """(classifier on the context, description of the run, state) of a run or checkpoint folder."""
    from ..model.classifier import build_classifier
    from ..training import checkpoint

    description, state, parameters, _ = checkpoint.load_run(path)
    return build_classifier(description.recipe.network, parameters, context), description, state
