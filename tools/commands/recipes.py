"""`alexnet-tools recipes`: what can be trained, and what it is measured against."""

from __future__ import annotations

import click

CLASSES = 1000  # of ILSVRC; fc8's size, and so the counts, depend on it


@click.command("recipes")
def command():
    """List recipes and variants, with the errors to compare with.

    \b
    Example: alexnet-tools recipes
    """
    from gluon_alexnet.model.shapes import parameter_count
    from gluon_alexnet.recipes import presets, published, variants

    def parameters(one):
        return f"{sum(parameter_count(one.network, CLASSES).values()):,}"

    click.echo(f"recipe        parameters ({CLASSES} classes)")
    for name, one in presets.RECIPES.items():
        click.echo(f"{name:<13} {parameters(one):>10}  {presets.SUMMARIES[name]}")
    click.echo("\nvariant          parameters of paper+variant; error, top-1/top-5 %")
    for variant in variants.VARIANTS:
        one = variants.apply(presets.PAPER, [variant.name])
        click.echo(f"{variant.name:<16} {parameters(one):>10}  {variant.summary}")
        if variant.name in published.DIFFERENCES:
            click.echo(f"{'':<28} paper: {published.DIFFERENCES[variant.name]}")
        for row in published.RESULTS:
            if row.variants == (variant.name,) and row.nets == 1:
                click.echo(f"{'':<28} {row.year} {row.split}: {row.top1:.2f}/{row.top5:.2f} ({row.net}; {row.source})")
    click.echo("\nfull net")
    for row in published.RESULTS:
        if row.variants == () and row.nets == 1:
            click.echo(f"{'':<28} {row.year} {row.split}: {row.top1:.2f}/{row.top5:.2f} ({row.net}; {row.source})")
