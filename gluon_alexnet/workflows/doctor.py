"""What this machine can do, and what it lacks."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass

from .. import backend
from ..errors import OperationFailed


@dataclass(frozen=True)
class Diagnosis:
    """``facts``: (name, value) of what was found, for a table. ``problems``: why training could not work; none."""

    facts: list[tuple[str, str]]
    problems: list[str]


def examine() -> Diagnosis:
    """Versions, build, cores and GPUs, and whether MXNet computes here. What is missing is told, never raised."""
    problems = [f"{library} is missing: apt-get install {package}" for library, package in backend.missing_libraries()]
    build, gpus = backend.build(), backend.gpus()
    facts = [("Python", platform.python_version()), *backend.versions().items()]
    facts.append(("MXNet build", {"cpu": "CPU", "cu112": "CUDA 11.2", None: "none"}[build]))
    threads = os.environ.get("OMP_NUM_THREADS", backend.usable_cores())
    facts.append(("cores", f"{backend.usable_cores()}, threads {threads}"))
    for index, gpu in enumerate(gpus):
        state = "supported" if gpu.supported else "not supported: MXNet 1.9.1 has no code for it"
        capability = f"{gpu.capability[0]}.{gpu.capability[1]}"
        facts.append((f"gpu({index})", f"{gpu.name}, compute capability {capability}, {state}"))
    if not gpus:
        facts.append(("GPUs", "none (no NVIDIA driver, or no device)"))
    if gpus and build == "cpu":
        facts.append(("note", "GPUs are there, but MXNet is the CPU build; install the extra cu112 to use them"))
    if not problems:
        problems = _try(build, gpus, facts)
    return Diagnosis(facts, problems)


def _try(build: str | None, gpus: Sequence[backend.Gpu], facts: list[tuple[str, str]]) -> list[str]:
    """Convolve ones on the best device; what is wrong then."""
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
    except OperationFailed as error:
        return [str(error)]
    except ImportError as error:
        return [f"{error}; install this package again"]
    except mx.base.MXNetError as error:
        return [str(backend.mxnet_sentence(error))]
    others = f"gpu(0) to gpu({len(gpus) - 1})" if build == "cu112" and gpus else "any cpu(N)"
    facts.append(("contexts", f"{context} computes; {others}"))
    return [] if total == 9 else [f"a convolution of ones on {context} gives {total}, not 9"]
