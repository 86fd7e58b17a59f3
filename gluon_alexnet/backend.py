"""The only file that prepares and imports MXNet: threads, NumPy names, CUDA libraries, contexts.

``from .backend import mx`` imports MXNet at that moment, prepared; nothing else in this module does,
so that what is missing can be told even where MXNet cannot be imported.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .errors import InvalidRequest, OperationFailed

# The mxnet-cu112 wheel holds machine code of these compute capabilities and no PTX: a GPU runs it
# only if the major number is the same and the minor one not lower.
COMPILED_CAPABILITIES = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))

# In the order in which they need each other: (distribution's folder below nvidia/, library).
CUDA_LIBRARIES = (
    ("cuda_runtime", "libcudart.so.11.0"),
    ("cuda_nvrtc", "libnvrtc.so.11.2"),
    ("cublas", "libcublasLt.so.11"),
    ("cublas", "libcublas.so.11"),
    ("cufft", "libcufft.so.10"),
    ("curand", "libcurand.so.10"),
    ("cusolver", "libcusolver.so.11"),
    ("nvtx", "libnvToolsExt.so.1"),
    ("cudnn", "libcudnn.so.8"),
    ("nccl", "libnccl.so.2"),
)

# What the wheels of MXNet and OpenCV need of the system, and the Debian/Ubuntu package that has it.
SYSTEM_LIBRARIES = {
    "libgomp.so.1": "libgomp1",
    "libquadmath.so.0": "libquadmath0",
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
}

CUDA_DRIVER = "libcuda.so.1"

# What OpenMP, MXNet and Numba read as a number of threads when they are loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_THREAD_LIMIT",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "MXNET_CPU_WORKER_NTHREADS",
    "MXNET_CPU_PRIORITY_NTHREADS",
    "MXNET_OMP_MAX_THREADS",
)
MOST_THREADS = 4096

# What `import mxnet` looks for, does without where it is absent, and needs half of its time to import: the base class
# of an estimator that nobody here uses, and the statistics of int8, which exporters/int8.py imports itself.
OPTIONAL_FOR_MXNET = ("sklearn", "scipy.stats")


class Gpu(NamedTuple):
    """One GPU as the CUDA driver describes it."""

    name: str
    capability: tuple[int, int]

    @property
    def supported(self) -> bool:
        """Whether MXNet's wheel holds machine code that this GPU can run."""
        major, minor = self.capability
        return any(major == m and minor >= n for m, n in COMPILED_CAPABILITIES)


def __getattr__(name: str) -> Any:
    # PEP 562: MXNet, and gluoncv, which imports it, are imported when somebody first asks for them.
    modules = {"mx": "mxnet", "gluoncv": "gluoncv", "amp": "mxnet.contrib.amp"}
    if name in modules:
        _prepare()
        globals()[name] = _import(modules[name])
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def usable_cores() -> int:
    """Number of cores this process may run on."""
    return len(os.sched_getaffinity(0))


def threads() -> int:
    """Number of threads to compute with: the user's OMP_NUM_THREADS, or all usable cores."""
    check_threads()
    return int(os.environ.get("OMP_NUM_THREADS") or usable_cores())


def check_threads() -> None:
    """Raise InvalidRequest where a variable of the environment asks for no number of threads.

    To be called before anything is imported that computes: MXNet, OpenMP and the C library abort the process, or print
    what no user understands, where they meet such a value. A variable that is empty is removed: it says nothing.
    """
    for name in THREAD_VARIABLES:
        given = os.environ.get(name)
        if given is None:
            continue
        if not given.strip():
            del os.environ[name]
        elif not (given.strip().isascii() and given.strip().isdigit() and 1 <= int(given[:9]) <= MOST_THREADS):
            raise InvalidRequest(
                f"The environment variable {name} is {given[:40]!r}, which is no number of threads from 1 to "
                f"{MOST_THREADS}; give one, or unset it."
            )


def missing_libraries() -> list[tuple[str, str]]:
    """System libraries that the wheels need and that cannot be loaded, as (library, package)."""
    return [(library, package) for library, package in SYSTEM_LIBRARIES.items() if not _loadable(library)]


def build() -> str | None:
    """The MXNet wheel installed: ``"cpu"``, ``"cu112"``, or None where there is none."""
    for distribution, name in (("mxnet-cu112", "cu112"), ("mxnet", "cpu")):
        try:
            importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        return name
    return None


def gpus() -> list[Gpu]:
    """GPUs the CUDA driver shows, in its order; empty without a driver or a device."""
    try:
        driver = ctypes.CDLL(CUDA_DRIVER)
    except OSError:
        return []
    count = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    found = []
    for index in range(count.value):
        device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        name = ctypes.create_string_buffer(256)
        driver.cuDeviceGet(ctypes.byref(device), index)
        driver.cuDeviceGetName(name, len(name), device)
        driver.cuDeviceGetAttribute(ctypes.byref(major), 75, device)  # compute capability, major
        driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)  # compute capability, minor
        found.append(Gpu(name.value.decode(), (major.value, minor.value)))
    return found


def contexts(kind: str, indices: Sequence[int]) -> list:
    """MXNet contexts for what the user gave.

    kind: ``"gpu"`` or ``"cpu"``. indices: device numbers; MXNet treats ``cpu(0)`` and ``cpu(1)`` as two
    devices. Raises InvalidRequest for a repeated, negative, absent or unsupported device.
    """
    given = ", ".join(f"{kind}({index})" for index in indices)
    if len(set(indices)) != len(indices):
        raise InvalidRequest(f"{given}: a device is named twice; name each once.")
    if any(index < 0 for index in indices):
        raise InvalidRequest(f"{given}: device numbers count from 0.")
    if kind == "gpu":
        _check_gpus(given, indices)
    from .backend import mx

    if kind == "gpu" and mx.context.num_gpus() <= max(indices):
        # MXNet aborts the process where it meets this itself.
        raise InvalidRequest(
            f"{given}: the NVIDIA driver shows these GPUs, but MXNet's CUDA 11.2 sees {mx.context.num_gpus()}; "
            "update the driver (450 or newer), or use CPU contexts as `devices`."
        )
    return [mx.Context(kind, index) for index in indices]


def default_devices(columns: int) -> tuple[str, list[int]]:
    """(kind, indices) to use where the user names none: as many usable GPUs as columns, or cpu(0)."""
    usable = [index for index, gpu in enumerate(gpus()) if gpu.supported] if build() == "cu112" else []
    if usable:
        return "gpu", usable[:columns]
    return "cpu", [0]


def mxnet_sentence(error: Exception) -> str | None:
    """What went wrong, in one line, if the error is MXNet's own; None if it is not."""
    base = sys.modules.get("mxnet.base")
    if base is None or not isinstance(error, base.MXNetError):
        return None
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = next(
        (line for line in lines if "Check failed" in line or "rror:" in line), lines[-1] if lines else "no reason"
    )
    hint = "; a smaller `batch_size` needs less memory" if "out of memory" in str(error) else ""
    return f"MXNet failed: {reason}{hint}."


def versions() -> dict[str, str]:
    """Installed version of each library that a result depends on, by name."""
    names = ("mxnet-cu112", "mxnet", "numpy", "opencv-python", "gluoncv", "numba")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _check_gpus(given: str, indices: Sequence[int]) -> None:
    found = gpus()
    if not found:
        raise InvalidRequest(
            f"{given}: this machine shows no NVIDIA GPU (no driver, or no device); name CPU "
            f"contexts as `devices` for the same columns: {', '.join(f'cpu({index})' for index in indices)}."
        )
    absent = [index for index in indices if index >= len(found)]
    if absent:
        here = "1 GPU, number 0" if len(found) == 1 else f"{len(found)} GPUs, numbers 0 to {len(found) - 1}"
        raise InvalidRequest(f"{given}: there is no GPU {absent[0]}; this machine has {here}.")
    for index in indices:
        gpu = found[index]
        if not gpu.supported:
            newest = ".".join(map(str, COMPILED_CAPABILITIES[-1]))
            raise InvalidRequest(
                f"{given}: GPU {index} ({gpu.name}, compute capability {gpu.capability[0]}.{gpu.capability[1]}) cannot "
                f"run MXNet 1.9.1, whose wheel holds machine code for 5.0 to {newest} and nothing newer; "
                "use another GPU, or CPU contexts as `devices`."
            )
    if build() != "cu112":
        raise InvalidRequest(
            f"{given}: the MXNet installed here is the CPU build; install the extra cu112 instead of cpu "
            "(`make` does so where it finds the NVIDIA driver), or use CPU contexts as `devices`."
        )


def _loadable(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _prepare() -> None:
    check_threads()
    missing = missing_libraries()
    if missing:
        libraries, packages = zip(*missing)
        raise OperationFailed(
            f"The system lacks {', '.join(libraries)}; on Debian or Ubuntu: apt-get install {' '.join(packages)}"
        )
    # MXNet takes half of the cores where there is no hyper-threading; a user's own number wins.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads()))
    # Each executor of a symbol would print a line about oneDNN that no user needs.
    os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")
    _restore_numpy_names()
    if build() == "cu112":
        _load_cuda()


def _import(name: str) -> Any:
    # As a job's scheduler or server MXNet would serve inside its import, with a loop that unpickles what it is sent.
    role = os.environ.pop("DMLC_ROLE", None)
    try:
        with warnings.catch_warnings():
            # Both tell of names that NumPy and Python have retired, which the pinned versions still have.
            warnings.simplefilter("ignore")
            with _hidden(OPTIONAL_FOR_MXNET):
                importlib.import_module("mxnet")
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise OperationFailed(f"{error}; install this package with its extra cpu or cu112.") from error
    except OSError as error:
        raise OperationFailed(
            f"{name} cannot be loaded: {error}; `alexnet-tools doctor` tells what is missing."
        ) from error
    finally:
        if role is not None:
            os.environ["DMLC_ROLE"] = role


@contextmanager
def _hidden(names: Sequence[str]) -> Iterator[None]:
    """Within it, these modules are absent for whoever imports them, unless they have been imported already."""
    hidden = [name for name in names if name not in sys.modules]
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(hidden))  # None has an import fail
    try:
        yield
    finally:
        for name in hidden:
            del modules[name]


def _restore_numpy_names() -> None:
    # MXNet 1.9.1 reads these names at import; NumPy 1.24 removed them.
    import numpy

    for name, value in {
        "bool": bool,
        "int": int,
        "float": float,
        "complex": complex,
        "object": object,
        "str": str,
    }.items():
        if name not in vars(numpy):
            setattr(numpy, name, value)


def _load_cuda() -> None:
    # The wheel looks for CUDA in the system only; those of PyPI must be in the process before it.
    if not _loadable(CUDA_DRIVER):
        raise OperationFailed(
            "mxnet-cu112 is installed, but the NVIDIA driver (libcuda.so.1) is not; install the driver, "
            "or the extra cpu instead of cu112."
        )
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    for package, library in CUDA_LIBRARIES:
        paths = [folder / package / "lib" / library for folder in folders]
        path = next((path for path in paths if path.exists()), library)
        try:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise OperationFailed(
                f"CUDA library {library} cannot be loaded ({error}); install this package with its extra cu112."
            ) from error
