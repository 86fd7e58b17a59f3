"""`alexnet-tools serve`: a net behind HTTP, and a page that shows what it sees."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path

import click

from ..console import verbosity
from ..options import checkpoint_choice, devices, names_of
from ..progress import say


@click.command("serve")
@click.argument("model", type=click.Path(path_type=Path))
@checkpoint_choice("model")
@devices
@click.option("--data", type=click.Path(path_type=Path), help="Data set whose images the page offers and searches.")
@click.option(
    "--features", type=click.Path(path_type=Path), help="Folder of fc7's activations.  [default: that of `similar`]"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is every network.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@verbosity
def command(model, devices, data, features, host, port):
    """Serve a net over HTTP, with a page that shows what it sees.

    \b
    Example: alexnet-tools serve RUN --data data/ilsvrc2012

    MODEL is a run, a checkpoint or an exported OUT. The page is at /; programs send an image's bytes to POST /predict,
    or speak the Open Inference Protocol at /v2; Prometheus reads /metrics. The nearest training images are shown
    where `similar` has computed their activations. SIGTERM, SIGHUP and Ctrl-C end the server once what has begun is
    answered.
    """
    if features is not None and data is None:
        raise click.UsageError("--features are searched with the images of --data; give that, too.")
    for package in ("starlette", "uvicorn", "prometheus_client"):
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise click.UsageError(
                f"{package} is not installed; install this package with its extra serve, e.g. "
                "pip install -e '.[cpu,serve]'."
            ) from error
    from gluon_alexnet.workflows import serve

    def started(service, address):
        click.echo(f"{service.model.name} is served at {address}/ (Ctrl-C ends it)")
        if service.gallery is not None and not service.gallery.searchable:
            say(
                f"The nearest training images are not shown: alexnet-tools similar {model} --data {data} IMAGE "
                "computes what that needs, once."
            )

    def ending():
        with contextlib.suppress(OSError):  # the terminal may be gone
            say("Ending: what has begun is answered.")

    serve.serve(model, data, features, host, port, names_of(devices), started, ending)
