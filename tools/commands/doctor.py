"""`alexnet-tools doctor`: what this machine can do, and what it lacks."""

from __future__ import annotations

from pathlib import Path

import click

from .. import options
from ..option_names import with_options
from ..progress import say


@click.command("doctor")
@click.option("--check", is_flag=True, help="Run the full net on the devices, and compare it with cpu(0).")
@options.devices
@click.option(
    "--recipe", type=click.Choice(["paper", "narrow"]), default="paper", show_default=True, help="Net to check with."
)
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True, help="Images in an update.")
@click.option(
    "--report",
    type=options.OutputFile(),
    help="Report of the check, to hand on.  [default: device-check.json]",
)
def command(check, devices, recipe, batch_size, report):
    """Print what training would run on, and what it lacks.

    \b
    Example: alexnet-tools doctor
    Example: alexnet-tools doctor --check --gpus 0,1

    --check compares outputs, gradients, three updates and ten views with those of cpu(0), with TF32 and without, and
    measures speed, memory and the copies between the columns.

    Exit code 1 if training could not work, or cannot be trusted.
    """
    if check:
        _check(devices, recipe, batch_size, report or Path("device-check.json"))
        return
    if devices is not None:
        raise click.UsageError("Devices are compared with cpu(0) by --check; give it, too.")
    from gluon_alexnet.workflows.doctor import examine

    found = examine()
    for name, value in found.facts:
        _row(name, value)
    for problem in found.problems:
        _row("problem", problem)
    if found.problems:
        raise SystemExit(1)
    _row("training", "works")


def _row(name, value):
    click.echo(f"{name:<14} {value}")


def _check(devices, recipe, batch_size, report):
    from gluon_alexnet.workflows.check_devices import check_devices

    found = check_devices(
        options.names_of(devices),
        recipe=recipe,
        batch_size=batch_size,
        progress=lambda what: say(f"Measuring {what} …"),
    )
    for name, value in found.machine.items():
        _row(name, value)
    click.echo(
        f"\nRecipe {found.recipe}, batch {found.batch_size}, dropout off; largest relative difference from "
        f"{found.reference.devices[0]} of any layer\n"
    )
    heading = f"{'devices':<24}{'outputs':>9}{'gradients':>11}{'3 updates':>11}{'10 views':>10}"
    click.echo(f"{heading}{'images/s':>10}{'copies GB/s':>13}  memory, MB")
    _measured(found.reference.devices[0], found.reference)
    for result in found.results:
        if result.measurement is not None:
            _measured(result.name, result.measurement)
    click.echo()
    for note in found.notes:
        click.echo(with_options(f"Note: {note}"))
    found.write(report)
    click.echo(f"Report: {report}; {found.seconds:.0f} s")
    for problem in found.problems:
        name, _, reason = problem.partition(": ")
        click.echo(f"Do not train on {name}: {reason}", err=True)
    if not found.trusted:
        raise SystemExit(1)
    click.echo(f"Training can be trusted on {', '.join(found.results[-1].devices)}.")


def _measured(name, measurement):
    cells = [measurement.differences.get(what) for what in ("outputs", "gradients", "updates", "ten views")]
    shown = ["reference" if cell is None else f"{cell:.1e}" for cell in cells]
    copies = "-" if measurement.copies_gb_per_second is None else f"{measurement.copies_gb_per_second:.1f}"
    memory = ", ".join(f"{size:.0f}" for size in measurement.peak_memory_mb)
    click.echo(
        f"{name:<24}{shown[0]:>9}{shown[1]:>11}{shown[2]:>11}{shown[3]:>10}"
        f"{measurement.images_per_second:>10.1f}{copies:>13}  {memory}"
    )
