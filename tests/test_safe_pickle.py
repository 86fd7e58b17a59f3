"""Pickles as data: what Python loads, without running anything."""

import pickle
import pickletools

import numpy as np
import pytest
from helpers import torch_files as t

from gluon_alexnet.safe_pickle import PickledError, ReadArray, array_names, read_pickled


def plain(value):
    return value.value if isinstance(value, ReadArray) else value


def python_2_array(shape=(2, 3), content=bytes(range(6)), kind=b"u1"):
    """A uint8 array as Python 2 and NumPy 1 wrote it: strings are bytes."""

    def string(value):
        return b"U" + bytes([len(value)]) + value

    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + string(b"b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + string(kind) + b"K\0K\x01\x87R(K\x03" + string(b"|") + b"NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\0tb"
    sides = b"".join(map(t.number, shape))
    return b"\x80\x02" + made + b"(K\x01(" + sides + b"t" + dtype + b"\x89" + string(content) + b"tb."


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_is_read_is_what_python_loads(protocol):
    value = [
        1,
        -1,
        70000,
        2**80,
        0.5,
        "ä",
        b"b",
        None,
        True,
        False,
        (),
        (2,),
        (2, "3"),
        (1, 2, 3, 4),
        {"k": [{}], 7: 8},
    ]
    if protocol == 2:
        value.remove(b"b")  # written by a call, see below
    for content in (pickle.dumps(value, protocol), pickletools.optimize(pickle.dumps(value, protocol))):
        assert read_pickled(content, {}) == (value, len(content))
        assert read_pickled(content + b"more", {})[1] == len(content)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "u1"])
def test_numpy_s_arrays_are_numpy_s(rng, protocol, order, kind):
    array = np.asarray(rng.integers(0, 200, (2, 3, 4)), dtype=kind, order=order)
    content = pickle.dumps({"a": array, "b": array[0]}, protocol)
    read, _ = read_pickled(content, array_names("u1", "f4"))
    np.testing.assert_array_equal(plain(read["a"]), array)
    np.testing.assert_array_equal(plain(read["b"]), array[0])
    with pytest.raises(PickledError, match="f8 is needed"):
        read_pickled(content, array_names("f8"))


def test_python_2_s_arrays_are_read():
    np.testing.assert_array_equal(
        plain(read_pickled(python_2_array(), array_names("u1"))[0]), np.arange(6).reshape(2, 3)
    )


def never():
    raise AssertionError("called")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x80\x02cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R.", id="objects"),
        pytest.param(b"\x80\x02cnumpy\nndarray\n(K\x05tR.", id="another array"),
        pytest.param(b"\x80\x02}}b.", id="state of a dict"),
        pytest.param(b"\x80\x02h\x07.", id="a memory that is empty"),
        pytest.param(b"\x80\x02u.", id="no mark"),
        pytest.param(b"\x80\x02.", id="nothing"),
        pytest.param(b"\x80\x02](K\x01", id="cut"),
        pytest.param(b"", id="empty"),
        pytest.param(b"not a pickle", id="foreign"),
        pytest.param(python_2_array(shape=(2, 4)), id="too few bytes"),
        pytest.param(python_2_array(shape=(10**6, 10**6)), id="10¹² announced"),
        pytest.param(python_2_array(kind=b"O8"), id="an array of objects"),
        pytest.param(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.", id="a call"),
        pytest.param(b"\x80\x02cgluon_alexnet\nnever\nK\x01R.", id="arguments that are none"),
        pytest.param(b"\x80\x02K\x01Q.", id="an object elsewhere"),
        pytest.param(b"\x80\x02B\xff\xff\xff\x7fabc.", id="2 GB announced"),
        pytest.param(b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fabc.", id="2⁶³ bytes announced"),
    ],
)
def test_odd_pickles_are_refused(content):
    known = {**array_names("u1"), "gluon_alexnet.never": never}
    with pytest.raises(PickledError):
        read_pickled(content, known)
