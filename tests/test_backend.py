"""What MXNet runs on: threads, devices, what is missing."""

import subprocess
import sys
import types

import numpy as np
import pytest
from helpers.runner import run

from gluon_alexnet import backend
from gluon_alexnet.errors import InvalidRequest, OperationFailed

OLD, TURING, ADA = backend.Gpu("K80", (3, 7)), backend.Gpu("T4", (7, 5)), backend.Gpu("RTX 4090", (8, 9))
HOPPER = backend.Gpu("H100", (9, 0))


def python(code, **environment):
    import os

    environment = {**{k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}, **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.strip()


THREADS = "from gluon_alexnet.backend import mx; import os; print(os.environ['OMP_NUM_THREADS'])"


def test_all_cores_are_used_and_a_user_s_number_wins():
    assert python(THREADS) == str(backend.usable_cores())
    assert python(THREADS, OMP_NUM_THREADS="3") == "3"


def test_mxnet_is_imported_without_what_nobody_here_uses_and_that_can_be_imported_afterwards():
    code = """
import sys
from gluon_alexnet.backend import gluoncv, mx
print([name for name in ("sklearn", "scipy.stats") if name in sys.modules])
import scipy.stats, sklearn.base
print(scipy.stats.entropy([0.5, 0.5]) > 0, sys.modules["sklearn"] is sklearn)
"""
    assert python(code).splitlines() == ["[]", "True True"]


def test_importing_the_package_imports_nothing_heavy():
    code = "import gluon_alexnet.backend, sys; print({'mxnet', 'numpy', 'cv2', 'gluoncv'} & set(sys.modules))"
    assert python(code) == "set()"


@pytest.mark.parametrize(
    ("gpu", "supported"), [(OLD, False), (TURING, True), (ADA, True), (HOPPER, False), (backend.Gpu("", (5, 2)), True)]
)
def test_which_gpus_the_wheel_has_code_for(gpu, supported):
    assert gpu.supported == supported


@pytest.mark.parametrize(
    ("gpus", "indices", "sentence"),
    [
        ([], [0, 1], "shows no NVIDIA GPU .* CPU contexts as `devices` for the same columns: cpu.0., cpu.1."),
        ([TURING], [0, 1], "there is no GPU 1; this machine has 1 GPU, number 0"),
        ([TURING, ADA], [0, 2], "there is no GPU 2; this machine has 2 GPUs, numbers 0 to 1"),
        ([TURING, HOPPER], [0, 1], r"GPU 1 \(H100, compute capability 9\.0\) cannot run MXNet 1\.9\.1"),
        ([TURING, TURING], [0, 0], "a device is named twice"),
        ([TURING], [-1], "device numbers count from 0"),
    ],
)
def test_gpus_that_cannot_be_used_are_said(monkeypatch, gpus, indices, sentence):
    monkeypatch.setattr(backend, "gpus", lambda: gpus)
    monkeypatch.setattr(backend, "build", lambda: "cu112")
    with pytest.raises(InvalidRequest, match=sentence):
        backend.contexts("gpu", indices)


def test_gpus_with_the_cpu_build_are_said(monkeypatch):
    monkeypatch.setattr(backend, "gpus", lambda: [TURING])
    monkeypatch.setattr(backend, "build", lambda: "cpu")
    with pytest.raises(InvalidRequest, match="is the CPU build; install the extra cu112"):
        backend.contexts("gpu", [0])


def test_cpus_are_contexts_of_their_own():
    assert [str(context) for context in backend.contexts("cpu", [0, 1])] == ["cpu(0)", "cpu(1)"]
    with pytest.raises(InvalidRequest, match=r"cpu\(0\), cpu\(0\): a device is named twice"):
        backend.contexts("cpu", [0, 0])


@pytest.mark.parametrize(
    ("build", "gpus", "columns", "expected"),
    [
        ("cpu", [TURING], 2, ("cpu", [0])),
        ("cu112", [], 2, ("cpu", [0])),
        ("cu112", [HOPPER, TURING, ADA], 2, ("gpu", [1, 2])),
        ("cu112", [ADA, TURING], 1, ("gpu", [0])),
    ],
)
def test_devices_chosen_where_none_are_named(monkeypatch, build, gpus, columns, expected):
    monkeypatch.setattr(backend, "gpus", lambda: gpus)
    monkeypatch.setattr(backend, "build", lambda: build)
    assert backend.default_devices(columns) == expected


def test_a_missing_library_names_its_package(monkeypatch):
    monkeypatch.setattr(backend, "SYSTEM_LIBRARIES", {"libc.so.6": "libc6", "libnone.so.1": "libnone1"})
    assert backend.missing_libraries() == [("libnone.so.1", "libnone1")]
    with pytest.raises(OperationFailed, match=r"lacks libnone\.so\.1; on Debian or Ubuntu: apt-get install libnone1"):
        backend._prepare()
    assert "libnone.so.1 is missing: apt-get install libnone1" in run("doctor", code=1)


def test_the_cuda_build_without_a_driver_is_said(monkeypatch):
    monkeypatch.setattr(backend, "CUDA_DRIVER", "libnone.so.1")
    assert backend.gpus() == []
    with pytest.raises(OperationFailed, match="the NVIDIA driver"):
        backend._load_cuda()


def test_a_cuda_library_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(backend, "CUDA_DRIVER", "libc.so.6")
    monkeypatch.setattr(backend, "CUDA_LIBRARIES", (("cuda_runtime", "libnone.so.1"),))
    with pytest.raises(OperationFailed, match=r"CUDA library libnone\.so\.1 cannot be loaded"):
        backend._load_cuda()


def test_doctor_says_that_training_works():
    said = run("doctor")
    for name in ("Python", "numpy", "MXNet build", "cores", "GPUs", "contexts"):
        assert name in said
    assert said.splitlines()[-1].split() == ["training", "works"]


def driver(init=0, counting=0):
    """libcuda.so.1 as a program in C sees it: two GPUs, or what goes wrong."""
    gpus = [(b"Tesla V100-SXM2-16GB", 7, 0), (b"NVIDIA H100 80GB HBM3", 9, 0)]

    def set_to(pointer, value, code=0):
        pointer._obj.value = value
        return code

    return types.SimpleNamespace(
        cuInit=lambda flags: init,
        cuDeviceGetCount=lambda count: set_to(count, len(gpus), counting),
        cuDeviceGet=lambda device, index: set_to(device, index + 40),  # a handle, not the index
        cuDeviceGetName=lambda name, length, device: setattr(name, "value", gpus[device.value - 40][0]),
        cuDeviceGetAttribute=lambda value, attribute, device: set_to(
            value,
            gpus[device.value - 40][{75: 1, 76: 2}[attribute]],  # the numbers in cuda.h
        ),
    )


def test_gpus_are_those_that_the_driver_lists(monkeypatch):
    monkeypatch.setattr(backend.ctypes, "CDLL", lambda library: driver())
    first, second = backend.gpus()
    assert (first, first.supported) == (backend.Gpu("Tesla V100-SXM2-16GB", (7, 0)), True)
    assert (second, second.supported) == (backend.Gpu("NVIDIA H100 80GB HBM3", (9, 0)), False)
    for broken in ({"init": 100}, {"counting": 3}):  # CUDA_ERROR_NO_DEVICE, CUDA_ERROR_NOT_INITIALIZED
        monkeypatch.setattr(backend.ctypes, "CDLL", lambda library, broken=broken: driver(**broken))
        assert backend.gpus() == []


def test_doctor_names_each_gpu_and_whether_it_can_be_used(monkeypatch):
    monkeypatch.setattr(backend, "gpus", lambda: [TURING, HOPPER])
    said = run("doctor", code=0)  # with the CPU build training works, on the CPU
    assert "T4, compute capability 7.5, supported" in said
    assert "H100, compute capability 9.0, not supported: MXNet 1.9.1 has no code for it" in said
    assert "GPUs are there, but MXNet is the CPU build" in said


def test_doctor_says_what_computes_wrongly(monkeypatch):
    monkeypatch.setattr(
        backend.mx.nd, "Convolution", lambda *_, **__: types.SimpleNamespace(asscalar=lambda: np.float32(8))
    )
    said = run("doctor", code=1)
    assert "a convolution of ones on cpu(0) gives 8.0, not 9" in said
    assert "works" not in said


@pytest.mark.parametrize(("error", "words"), [
    (OperationFailed("mxnet cannot be loaded: libquadmath.so.0 is not there."), "mxnet cannot be loaded: libquadmath"),
    (ImportError("No module named cv2"), "No module named cv2; install this package again"),
], ids=["MXNet", "a library"])  # fmt: skip
def test_doctor_says_what_cannot_be_loaded(monkeypatch, error, words):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(backend.mx.nd, "ones", broken)
    said = run("doctor", code=1)
    assert words in said and "works" not in said


def test_doctor_says_what_mxnet_says(monkeypatch):
    def broken(*_, **__):
        raise backend.mx.base.MXNetError("Traceback\n  [bt] (0)\nCUDA: Check failed: e == cudaSuccess: out of memory")

    monkeypatch.setattr(backend.mx.nd, "ones", broken)
    assert "MXNet failed: CUDA: Check failed: e == cudaSuccess: out of memory" in run("doctor", code=1)
