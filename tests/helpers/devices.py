"""The devices that tests of several devices run on: cpu(0), cpu(1), … or the GPUs that TEST_GPUS names, such as 0,1."""

import os

import pytest

from gluon_alexnet.backend import mx

GPUS = [int(index) for index in os.environ.get("TEST_GPUS", "").split(",") if index]


def contexts(count):
    """So many MXNet contexts; skips the test where fewer GPUs are named."""
    if GPUS and len(GPUS) < count:
        pytest.skip(f"needs {count} GPUs, and TEST_GPUS names {len(GPUS)}", allow_module_level=True)
    return [mx.gpu(index) for index in GPUS[:count]] if GPUS else [mx.cpu(index) for index in range(count)]
