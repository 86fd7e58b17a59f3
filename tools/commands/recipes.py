"""`alexnet-tools recipes`: what can be trained, and what it is measured against."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("recipes")
@click.option("--cuda-convnet", "layer_files", is_flag=True, help="Show the nets of cuda-convnet's layer files FILES.")
@click.option("--input-size", type=click.IntRange(min=1), help="Pixels a side that these nets read.  [default: 224]")
@click.argument("files", type=click.Path(path_type=Path, exists=True, dir_okay=False), nargs=-1)
def command(layer_files, input_size, files):
    """List recipes and variants, with the errors to compare with.

    \b
    Example: alexnet-tools recipes
    Example: alexnet-tools recipes --cuda-convnet layers-145.cfg layers-150.cfg

    With --cuda-convnet: layers, output sizes and parameters of each file, without training.
    """
    if layer_files != bool(files):
        raise click.UsageError("--cuda-convnet and the layer files to show go together.")
    if layer_files:
        for file in files:
            _show(file, input_size)
        return
    if input_size is not None:
        raise click.UsageError("--input-size belongs to --cuda-convnet; a recipe has its own.")
    _list()


def _list():
    from gluon_alexnet.workflows.recipes import CLASSES, list_recipes

    found = list_recipes()
    click.echo(f"recipe              parameters ({CLASSES} classes); what its own net earned, top-1/top-5 %")
    for one in found.recipes:
        click.echo(f"{one.name:<19} {one.parameters:>10,}  {one.summary}")
        for row in one.results:
            click.echo(f"{'':<32}{'centre view: ' if 'centre' in row.net else ''}{_score(row)}")
    click.echo("\nvariant          parameters of paper+variant; what is said of such a change, top-1/top-5 %")
    for one in found.variants:
        click.echo(f"{one.name:<16} {one.parameters:>10,}  {one.summary}")
        if one.difference:
            click.echo(f"{'':<29}paper, against the full net: {one.difference}")
        for row in one.results:
            click.echo(f"{'':<29}another net: recipe {row.recipe}, {_score(row)}")
    click.echo("\nother results, top-1/top-5 %")
    for row in found.others:
        click.echo(f"{row.net:<34} {_score(row)}")


def _score(row):
    return f"{row.top1:.2f}/{row.top5:.2f} on {row.year} {row.split} ({row.source})"


def _show(file, input_size):
    from gluon_alexnet.workflows.layer_files import INPUT_SIZE, lines_of

    graph, lines = lines_of(file, input_size or INPUT_SIZE)
    total = sum(line.parameters for line in lines)
    devices = f"{graph.devices} device{'s' * (graph.devices > 1)}"
    click.echo(f"{file.name}: {len(lines)} layers on {devices}, {total:,} parameters")
    for line in lines:
        size = "×".join(map(str, line.output))
        parameters = f"{line.parameters:,}" if line.parameters else ""
        reads = ", ".join(line.inputs)
        click.echo(f"  {line.name:<12} {line.kind:<8} {size:>12} {parameters:>12}  gpu {line.device}  reads {reads}")
