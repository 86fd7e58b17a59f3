"""Files of torch.save as data: both forms, and what would run, explode or lie."""

import contextlib
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from helpers import torch_files as t

from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.importers.arrays import read_array
from gluon_alexnet.importers.files import read_table


@pytest.fixture
def arrays(rng):
    return {
        "features.0.weight": rng.normal(size=(4, 3, 5, 5)).astype(np.float32),
        "features.0.bias": rng.normal(size=4).astype(np.float32),
        "classifier.1.weight": rng.normal(size=(2, 6)).astype(np.float32),
    }


def read(folder, content, name="x.pth"):
    file = folder / name
    file.write_bytes(content)
    _, table = read_table(file)
    return {name: read_array(file, name, stored) for name, stored in table.items()}


@pytest.mark.parametrize("old", [False, True], ids=["v2", "before 0.4"])
@pytest.mark.parametrize("form", ["zip", "stream"])
def test_a_state_dict_is_read(arrays, tmp_path, form, old):
    found = read(tmp_path, t.saved(arrays, form, old))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("form", ["zip", "stream"])
def test_a_checkpoint_s_state_dict_is_found_inside(arrays, tmp_path, form):
    inside = read(
        tmp_path, t.saved(arrays, form, wrap=lambda state: t.table({"epoch": t.number(3), "state_dict": state}))
    )
    assert set(inside) == {f"state_dict.{name}" for name in arrays}


def test_views_share_a_storage(rng, tmp_path):
    whole = rng.normal(size=(4, 6)).astype("<f4")
    views = {
        "turned": (t.tensor("0", (6, 4), (1, 6), count=24), whole.T),
        "part": (t.tensor("0", (2, 3), (6, 1), offset=8, count=24), whole[1:3, 2:5]),
        "parameter": (t.name("torch._utils", "_rebuild_parameter")
                      + t.many(t.tensor("0", (24,), count=24), b"\x88", t.name("collections", "OrderedDict") + b")R")
                      + b"R", whole.ravel()),
        "oldest parameter": (t.name("torch.nn.parameter", "Parameter")
                             + t.many(t.tensor("0", (24,), count=24)) + b"\x81" + t.many(b"\x88", b"\x89", b"N") + b"b",
                             whole.ravel()),
    }  # fmt: skip
    found = read(tmp_path, t.zipped(t.table({name: made for name, (made, _) in views.items()}), {"0": whole.tobytes()}))
    for name, (_, expected) in views.items():
        np.testing.assert_array_equal(found[name], expected, err_msg=name)


class Runs:
    """Unpickled, it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("form", ["zip", "stream"])
def test_what_would_run_is_refused_by_name_and_does_not(tmp_path, form, protocol):
    victim = tmp_path / "victim"
    call = pickle.dumps({"features.0.weight": Runs(victim)}, protocol=protocol)[2:-1]
    content = t.zipped(call, {}) if form == "zip" else t.streamed(call, {})
    with pytest.raises(OperationFailed, match=r"would import (posix|nt)\.mkdir"):
        read(tmp_path, content)
    assert not victim.exists()


W = t.tensor("0", (2, 3))
SIX = {"0": np.arange(6, dtype="<f4").tobytes()}
BOMB = t.zipped(t.table({"a": t.tensor("0", (2**24,))}), {"0": bytes(2**26)}, compression=zipfile.ZIP_DEFLATED)
NESTED, KEY = b"}", b")"  # each dict, and each tuple, holds the one before twice: 2⁴⁰ paths
for level in range(40):
    put, get = b"q" + bytes([level]), b"h" + bytes([level])
    NESTED = b"}(" + t.text("a") + NESTED + put + t.text("b") + get + b"u"
    KEY = KEY + put + get + b"\x86"


def without(content, name):
    """The zip file without one of its entries."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for entry in old.infolist():
            if not entry.filename.endswith(name):
                new.writestr(entry, old.read(entry))
    return made.getvalue()


def pickle_of(described):
    return t.zipped(described, SIX)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(pickle_of(t.name("os", "system") + t.many(t.text("x")) + b"R"), "import os.system", id="system"),
        pytest.param(pickle_of(t.name("torch", "load") + t.many(t.text("x")) + b"R"), "import torch.load", id="load"),
        pytest.param(pickle_of(t.name("torch", "FloatStorage") + b")R"), "calls what is no function", id="no function"),
        pytest.param(pickle_of(b"X\x01\0\0\0a" + t.many() + b"R"), "calls what is no function", id="calls a text"),
        pytest.param(pickle_of(t.many(t.text("module"), b"NNNN") + b"Q"), "whole module", id="a module"),
        pytest.param(pickle_of(b"cos\nsystem\xff\n)R"), "no pickle", id="a name that is no text"),
        pytest.param(pickle_of(b"I" + b"9" * 5000 + b"\n"), "no pickle|digits", id="digits"),
        pytest.param(pickle_of(b"\x8b" + struct.pack("<i", 2**20) + b"\x7f" * 2**20), "digits", id="a long number"),
        pytest.param(pickle_of(b"(" * 1_000_001), "1,000,000 instructions", id="a million marks"),
        pytest.param(pickle_of(NESTED), "deeper or more", id="dicts that hold each other"),
        pytest.param(pickle_of(b"}q\0(X\x01\0\0\0ah\0u"), "deeper or more", id="a dict in itself"),
        pytest.param(pickle_of(b"}" + KEY + b"Ns"), "keys", id="keys of nested tuples"),
        pytest.param(pickle_of(t.table({"a": t.tensor("0", (10**6, 10**6), count=6)})), "1,000,000,000,000 numbers",
                     id="10¹² numbers"),
        pytest.param(pickle_of(t.table({"a": t.tensor("0", (10**6, 10**6))})), "more than any", id="10¹² announced"),
        pytest.param(pickle_of(t.table({"a": t.tensor("0", (10**6, 10**6), (0, 0), count=6)})), "more than any",
                     id="10¹² of one"),
        pytest.param(pickle_of(t.table({"a": t.tensor("0", (2, 3), (-3, 1))})), "cannot be", id="backwards"),
        pytest.param(pickle_of(t.table({"a": t.tensor("0", (2, 3), offset=1)})), "beyond the 6 it views", id="offset"),
        pytest.param(pickle_of(t.table({"a": t.tensor("1", (2, 3))})), "cannot be read", id="another storage"),
        pytest.param(t.zipped(t.table({"a": W}), {"0": SIX["0"][:-4]}), "cut", id="short storage"),
        pytest.param(t.zipped(t.table({"a": W}), {"0": np.full(6, np.nan, "<f4").tobytes()}), "not finite", id="NaN"),
        pytest.param(BOMB, "compressed", id="zip bomb"),
        pytest.param(without(pickle_of(t.table({"a": W})), "data.pkl"), "no data.pkl", id="no pickle"),
        pytest.param(pickle_of(t.table({"a": W}))[:-30], "cut or damaged", id="half a zip"),
        pytest.param(t.zipped(t.text("x" * 2**22), {}), "a pickle of 4,", id="a pickle of megabytes"),
        pytest.param(t.streamed(t.table({"a": t.tensor("0", (2, 3), legacy=True)}), SIX)[:-10], "are cut",
                     id="half a stream"),
        pytest.param(t.streamed(t.table({"a": t.tensor("0", (2, 3), legacy=True)}), {"0": SIX["0"] * 2}), "do not lie",
                     id="another count"),
        pytest.param(t.streamed(t.table({}), {}, little=False), "another kind of processor", id="big-endian"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_tensors_is_refused_in_a_sentence(tmp_path, content, said):
    with pytest.raises(OperationFailed, match=said) as refused:
        read(tmp_path, content)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_a_list_of_contents_of_megabytes_is_not_read(tmp_path):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for place in range(60_000):
            archive.writestr(f"archive/data/{place:040}", b"")
    with pytest.raises(OperationFailed, match="cut or damaged"):
        read(tmp_path, made.getvalue())


def test_other_types_are_refused_with_the_remedy(tmp_path):
    half = t.zipped(t.table({"a": t.tensor("0", (3,), kind="HalfStorage")}), {"0": bytes(6)})
    with pytest.raises(InvalidRequest, match=r"a holds float16 numbers.*\.float\(\)"):
        read(tmp_path, half)


def test_any_damage_is_a_sentence(rng, arrays, tmp_path):
    for form in ("zip", "stream"):
        whole = t.saved(arrays, form)
        for _ in range(150):
            damaged = bytearray(whole)
            for place in rng.integers(0, 800 if rng.integers(2) else len(whole), 3):
                damaged[place] = rng.integers(256)
            cut = damaged[: rng.integers(1, len(whole))] if rng.integers(2) else damaged
            with contextlib.suppress(OperationFailed, InvalidRequest):
                read(tmp_path, bytes(cut))
