"""Files of .safetensors, made from the format's description."""

import json
import struct

import numpy as np
import pytest
from helpers import owt_files

from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.importers.arrays import read_array
from gluon_alexnet.importers.files import read_table


def read(file):
    title, table = read_table(file)
    assert title == "safetensors"
    return {name: read_array(file, name, stored) for name, stored in table.items()}


def test_tensors_are_read(rng, tmp_path):
    arrays = {"b": rng.normal(size=(2, 3)).astype(np.float32), "a": rng.normal(size=5).astype(np.float32)}
    (tmp_path / "x").write_bytes(owt_files.safetensors(arrays, {"format": "pt"}))
    found = read(tmp_path / "x")
    assert set(found) == {"a", "b"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def file_of(header, content=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def one(**changes):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(file_of({"a": one()}, bytes(8), length=2**30), "a header of 1,073,741,824 bytes", id="gigabyte"),
        pytest.param(file_of(b"{" + b" " * 2**23, b""), "a header of 8,388,609 bytes", id="megabytes"),
        pytest.param(file_of({"a": one(), "b": one()}, bytes(8)), "is cut or damaged", id="the same place"),
        pytest.param(file_of({"a": one(), "b": one(data_offsets=[4, 12])}, bytes(12)), "cut or damaged", id="overlap"),
        pytest.param(file_of({"a": one(data_offsets=[8, 16])}, bytes(16)), "is cut or damaged", id="a hole"),
        pytest.param(file_of({"a": one()}, bytes(7)), "is cut or damaged", id="cut"),
        pytest.param(file_of({"a": one()}, bytes(9)), "is cut or damaged", id="more"),
        pytest.param(file_of({"a": one(shape=[10**6, 10**6])}, bytes(8)), "is cut or damaged", id="10¹² numbers"),
        pytest.param(file_of({"a": one(shape=[2**62, 2**62])}, bytes(8)), "is cut or damaged", id="2¹²⁴ numbers"),
        pytest.param(file_of(b'{"a":' * 5000), "is cut or damaged", id="deep"),
        pytest.param(file_of({"a": one()}, np.array([1, np.inf], "<f4").tobytes()), "not finite", id="infinity"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path, content, said):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(OperationFailed, match=said):
        read(tmp_path / "x")


@pytest.mark.parametrize(("dtype", "size", "name"), [("BF16", 2, "bfloat16"), ("F16", 2, "float16"), ("I64", 8, "I64")])
def test_other_types_are_refused_by_name(tmp_path, dtype, size, name):
    (tmp_path / "x").write_bytes(file_of({"a": one(dtype=dtype, data_offsets=[0, 2 * size])}, bytes(2 * size)))
    with pytest.raises(InvalidRequest, match=f"a holds {name} numbers"):
        read(tmp_path / "x")
