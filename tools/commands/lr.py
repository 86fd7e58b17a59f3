"""`alexnet-tools lr`: turn the learning rate of a run while it goes on, as the author did by hand (Sec. 5)."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ..options import Layers

REFUSED = "{} is no learning rate; give a number above 0."


class _Rate(click.Command):
    """A negative number is a rate that is refused, not an option that there is not."""

    def parse_args(self, ctx, args):
        for before, word in zip([None, *args], args):
            if re.match(r"-\.?\d|-inf", word) and before != "--layers":
                raise click.BadParameter(REFUSED.format(word), ctx, param_hint="RATE")
        return super().parse_args(ctx, args)


@click.command("lr", cls=_Rate)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("rate", type=float)
@click.option("--layers", type=Layers(), help="Of these layers alone, e.g. conv1-2; 0 stops them.")
@click.option("--biases", is_flag=True, help="Of biases, in place of weights.")
def command(run, rate, layers, biases):
    """Set the learning rate of a run that is being trained.

    \b
    Example: alexnet-tools lr runs/20120930-120000-paper 0.001

    RATE holds for the weights from the next step on; later drops of the schedule divide it. With --layers or --biases
    it is one more change of the run's timetable, which holds till the timetable says otherwise. The run saves a
    checkpoint with it, and log.jsonl says who set it, and when.
    """
    from gluon_alexnet.workflows.set_learning_rate import set_learning_rate

    if not set_learning_rate(run, rate, layers or (), biases):
        click.echo(f"{run} has not taken the rate yet (a validation?); it will after its next step.")
        return
    whose = f" of {', '.join(layers)}" if layers else ""
    click.echo(f"{run}: the rate{' of biases' * biases}{whose} is {rate:g} from now on")
