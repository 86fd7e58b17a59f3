"""Opening what a user calls a model: a run, a checkpoint or an exported net."""

from __future__ import annotations

from pathlib import Path

import click

from .options import DATA_DEFAULT


def open_model(path: Path, context):
    """The :class:`gluon_alexnet.deployment.Model` that ``path`` names, on one context."""
    from gluon_alexnet import deployment

    if deployment.is_export(path):
        return deployment.load_export(path, context)
    if not path.is_dir():
        raise click.UsageError(f"{path} is neither a run folder nor an exported net ({path}.json is not there).")
    classifier, description, _ = open_run(path, context)
    classify = deployment.classify_with(classifier, context)
    recipe = description.recipe
    return deployment.Model(classify, recipe.network.input_size, description.classes, str(path), recipe.variants)


def data_of_run(path: Path) -> Path:
    """The data set folder a run was trained on; for an exported net, which has no record of it, the default one."""
    from gluon_alexnet import checkpoint, deployment

    if deployment.is_export(path) or not path.is_dir():
        return DATA_DEFAULT
    return Path(checkpoint.read_description(checkpoint.run_of(checkpoint.find_checkpoint(path))).data)


def open_run(path: Path, context):
    """(classifier on the context, description of the run, state) of a run or checkpoint folder."""
    from gluon_alexnet import checkpoint, deployment

    folder = checkpoint.find_checkpoint(path)
    description = checkpoint.read_description(checkpoint.run_of(folder))
    state, parameters, _ = checkpoint.load(folder)
    return deployment.build_classifier(description.recipe.network, parameters, context), description, state
