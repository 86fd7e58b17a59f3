"""MXNet's .params without MXNet; MXNet itself, which reads and writes them, is the judge."""

import struct

import numpy as np
import pytest
from helpers import owt_files

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.importers.arrays import read_array
from gluon_alexnet.importers.mxnet_params import read_params


@pytest.fixture
def arrays(rng):
    return {
        "features.0.weight": rng.normal(size=(4, 3, 5, 5)).astype(np.float32),
        "features.0.bias": rng.normal(size=4).astype(np.float32),
    }


def read(file):
    return {name: read_array(file, name, stored) for name, stored in read_params(file).items()}


def test_what_mxnet_writes_is_read(arrays, tmp_path):
    file = tmp_path / "a.params"
    mx.nd.save(str(file), {f"arg:{name}": mx.nd.array(array) for name, array in arrays.items()})
    found = read(file)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_older_versions_are_read_as_mxnet_reads_them(arrays, tmp_path, version):
    file = tmp_path / "a.params"
    file.write_bytes(owt_files.params(arrays, version))
    found, expected = read(file), mx.nd.load(str(file))
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        np.testing.assert_array_equal(expected[name].asnumpy(), array)


def test_other_types_are_refused_by_name(tmp_path):
    mx.nd.save(str(tmp_path / "a.params"), {"a": mx.nd.zeros((2,), dtype="float16")})
    with pytest.raises(InvalidRequest, match="a holds float16 numbers"):
        read(tmp_path / "a.params")


def test_what_is_no_whole_file_is_refused(arrays, tmp_path):
    file, whole = tmp_path / "a.params", owt_files.params(arrays)
    sides = struct.pack("<qqqq", 4, 3, 5, 5)
    odd = {
        "cut": whole[:-5],
        "cut in the numbers": whole[:200],
        "empty": b"",
        "goes on": whole + b"\0",
        "10¹² numbers": whole.replace(sides, struct.pack("<qqqq", 10**3, 10**3, 10**3, 10**3)),
        "2²⁰⁰ numbers": whole.replace(sides, struct.pack("<qqqq", *[2**50] * 4)),
        "negative": whole.replace(sides, struct.pack("<qqqq", -4, 3, 5, 5)),
        "a billion arrays": struct.pack("<QQQ", 0x112, 0, 2**30) + whole[24:],
        "a gigabyte's name": whole.replace(struct.pack("<Q", 17), struct.pack("<Q", 2**30)),
        "sparse": whole.replace(struct.pack("<Ii", 0xF993FAC9, 0), struct.pack("<Ii", 0xF993FAC9, 1)),
    }  # fmt: skip
    for name, content in odd.items():
        assert content != whole, name
        file.write_bytes(content)
        with pytest.raises(OperationFailed, match="no whole"):
            read(file)


def test_nan_is_refused(arrays, tmp_path):
    arrays["features.0.bias"][2] = np.nan
    (tmp_path / "a.params").write_bytes(owt_files.params(arrays))
    with pytest.raises(OperationFailed, match=r"features\.0\.bias holds numbers that are not finite"):
        read(tmp_path / "a.params")
