"""`alexnet-tools doctor`: what this machine can do, and what it lacks."""

from __future__ import annotations

import os
import platform

import click


@click.command("doctor")
def command():
    """Print what training would run on, and what it lacks.

    \b
    Example: alexnet-tools doctor

    Exit code 1 if training could not work.
    """
    from gluon_alexnet import backend
    from gluon_alexnet.errors import OperationFailed

    problems = [f"{library} is missing: apt-get install {package}" for library, package in backend.missing_libraries()]
    build, gpus = backend.build(), backend.gpus()
    _row("Python", platform.python_version())
    for name, version in backend.versions().items():
        _row(name, version)
    _row("MXNet build", {"cpu": "CPU", "cu112": "CUDA 11.2", None: "none"}[build])
    _row("cores", f"{backend.usable_cores()}, threads {os.environ.get('OMP_NUM_THREADS', backend.usable_cores())}")
    for index, gpu in enumerate(gpus):
        state = "supported" if gpu.supported else "not supported: MXNet 1.9.1 has no code for it"
        _row(f"gpu({index})", f"{gpu.name}, compute capability {gpu.capability[0]}.{gpu.capability[1]}, {state}")
    if not gpus:
        _row("GPUs", "none (no NVIDIA driver, or no device)")
    if gpus and build == "cpu":
        _row("note", "GPUs are there, but MXNet is the CPU build; install the extra cu112 to use them")
    if not problems:
        problems = _try(build, gpus, backend, OperationFailed)
    for problem in problems:
        _row("problem", problem)
    if problems:
        raise SystemExit(1)
    _row("training", "works")


def _try(build, gpus, backend, failure):
    try:
        mx = backend.mx
        kind = "gpu" if build == "cu112" and any(gpu.supported for gpu in gpus) else "cpu"
        index = next((i for i, gpu in enumerate(gpus) if gpu.supported), 0) if kind == "gpu" else 0
        context = mx.Context(kind, index)
        total = mx.nd.Convolution(
            mx.nd.ones((1, 1, 3, 3), ctx=context),
            mx.nd.ones((1, 1, 3, 3), ctx=context),
            kernel=(3, 3),
            num_filter=1,
            no_bias=True,
        ).asscalar()
        import cv2  # noqa: F401
    except failure as error:
        return [str(error)]
    except ImportError as error:
        return [f"{error}; install this package again"]
    except mx.base.MXNetError as error:
        return [str(backend.mxnet_sentence(error))]
    _row(
        "contexts",
        f"{context} computes" + (f"; gpu(0) to gpu({len(gpus) - 1})" if build == "cu112" and gpus else "; any cpu(N)"),
    )
    return [] if total == 9 else [f"a convolution of ones on {context} gives {total}, not 9"]


def _row(name, value):
    click.echo(f"{name:<14} {value}")
