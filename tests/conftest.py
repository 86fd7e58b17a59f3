"""Shared by all tests: a generator whose seed is printed when a test fails, and a net small enough for tests."""

import os
import signal
import zlib

import numpy as np
import pytest

from gluon_alexnet.recipes import schema

# Each of several test processes computes on its share of the cores: threads that wait for a core cost double.
if "OMP_NUM_THREADS" not in os.environ and "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = len(os.sched_getaffinity(0)) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ["OMP_NUM_THREADS"] = str(max(1, share))


@pytest.fixture
def rng(request):
    """A NumPy generator of its own for each test; TEST_SEED=… replays another seed."""
    seed = int(os.environ.get("TEST_SEED", zlib.crc32(request.node.nodeid.encode())))
    print(f"TEST_SEED={seed}")
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk():
    """What a process has written outlives it without fsync, which only a power cut asks for; waiting takes long."""
    real, os.fsync = os.fsync, lambda number: None
    yield
    os.fsync = real


@pytest.fixture(autouse=True)
def _hang_up():
    """SIGHUP ends a program in each test, also where the tests were started with nohup, which has it ignored."""
    before = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def small_recipe():
    """All eight layers and both columns, but few kernels, 99-pixel crops and no dropout."""
    network = schema.Network(
        input_size=99,
        conv1=schema.Convolution(kernels=8, size=11, stride=4, padding=(0, 3), both_columns=True),
        conv2=schema.Convolution(kernels=12, size=5, padding=(2, 2), bias=1.0, weight_std=0.05),
        conv3=schema.Convolution(kernels=16, size=3, padding=(1, 1), both_columns=True, weight_std=0.1),
        conv4=schema.Convolution(kernels=16, size=3, padding=(1, 1), bias=1.0, weight_std=0.1),
        conv5=schema.Convolution(kernels=12, size=3, padding=(1, 1), bias=1.0, weight_std=0.1),
        fc6=schema.FullyConnected(neurons=20, weight_std=0.1),
        fc7=schema.FullyConnected(neurons=20, weight_std=0.1),
        fc8_weight_std=0.1,
        dropout=0.0,
    )
    return schema.Recipe("small", network, learning=schema.Learning(batch_size=8, epochs=2))
