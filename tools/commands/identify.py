"""`alexnet-tools identify`: which of the AlexNets a file is, and whether it was ever trained."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("identify")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
def command(files):
    """Say which AlexNet a file holds, and if it was trained.

    \b
    Example: alexnet-tools identify alexnet.pth

    FILES are weights (.pth, .safetensors, .params, a pickle of arrays, a caffemodel), Caffe's prototxts, exported nets,
    runs and checkpoints. Where a net is none of the known ones, the nearest is named with what differs. Neighbouring
    weights of a trained conv1 are alike; of numbers drawn at random they are not. Nothing in a file is executed.
    """
    from gluon_alexnet.workflows.identify import identify

    for file in files:
        found = identify(file)
        near = "nearest to " if found.differences and found.family else ""
        family = f"{near}{found.family}" if found.family else "no AlexNet"
        names = f", named as {found.names} does" if found.names and found.names != "this program" else ""
        counts = f", {found.classes or 'no'} classes, {found.parameters:,} parameters" if found.parameters else ""
        click.echo(f"{file} ({found.format}{names}): {family}{counts}")
        for difference in found.differences:
            click.echo(f"  {difference}")
        if found.kernels is not None:
            click.echo(f"  {found.kernels.sentence}")
