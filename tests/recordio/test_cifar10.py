"""CIFAR-10's two versions, read and refused."""

import gzip
import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

from gluon_alexnet.recordio.dataset.manifest import SourceError
from gluon_alexnet.recordio.sources import cifar10

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FILES = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]


def text(value):
    """Python 2's str in protocol 2."""
    return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value


def number(value):
    return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)


def array(pixels):
    """A uint8 array as Python 2 and NumPy 1 wrote it."""
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b") + b"\x87R"
    kind = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    kind += b"(" + number(3) + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff" + number(0) + b"tb"
    shape = b"".join(map(number, pixels.shape)) + b"\x86"
    return made + b"(" + number(1) + shape + kind + b"\x89" + text(pixels.tobytes()) + b"tb"


def table(**values):
    """A dict of Python 2, protocol 2."""
    return b"\x80\x02}(" + b"".join(text(name.encode()) + value for name, value in values.items()) + b"u."


def a_list(items):
    return b"](" + b"".join(items) + b"e"


def python_batch(pixels, labels):
    names = a_list(text(b"x_s_%06d.png" % index) for index in range(len(labels)))
    label_list = a_list(map(number, labels))
    return table(batch_label=text(b"training batch 1 of 5"), labels=label_list, data=array(pixels), filenames=names)


@pytest.fixture
def small(monkeypatch):
    """Batches of four images."""
    monkeypatch.setattr(cifar10, "IMAGES_PER_BATCH", 4)


@pytest.fixture
def made(rng):
    """Six batches of four images: (pixels uint8 (4, 3072), labels)."""
    return [(rng.integers(0, 256, (4, 3072), dtype=np.uint8), rng.integers(0, 10, 4).tolist()) for _ in FILES]


def files_of(made, version):
    if version == "binary":
        records = [b"".join(bytes([y]) + row.tobytes() for row, y in zip(*batch)) for batch in made]
        files = {f"{name}.bin": content for name, content in zip(FILES, records)}
        return "cifar-10-batches-bin", {
            **files,
            "batches.meta.txt": "\n".join([*NAMES, ""]).encode(),
            "readme.html": b"",
        }
    files = {name: python_batch(*batch) for name, batch in zip(FILES, made)}
    names = a_list(text(name.encode()) for name in NAMES)
    return "cifar-10-batches-py", {**files, "batches.meta": table(num_cases_per_batch=number(4), label_names=names)}


def write(folder, made, version, form):
    """The archive, or the unpacked folder, of a version."""
    name, files = files_of(made, version)
    if form == "folder":
        (folder / name).mkdir()
        for file, content in files.items():
            (folder / name / file).write_bytes(content)
        return folder / name
    path = folder / f"cifar-10-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for file, content in files.items():
            entry = tarfile.TarInfo(f"{name}/{file}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", ["archive", "folder"])
@pytest.mark.parametrize("version", ["binary", "python"])
def test_both_versions_give_the_same_images(small, made, tmp_path, version, form):
    found = cifar10.read_cifar(write(tmp_path, made, version, form))
    assert found.names == NAMES
    assert found.train.shape == (20, 32, 32, 3)
    for index, (pixels, labels) in enumerate(made):
        images = found.train[4 * index : 4 * index + 4] if index < 5 else found.test
        given = found.train_labels[4 * index : 4 * index + 4] if index < 5 else found.test_labels
        assert given.tolist() == labels
        # 1,024 red values row by row, then green, then blue
        assert all(
            images[n, y, x, c] == pixels[n, 1024 * c + 32 * y + x]
            for n in range(4)
            for y, x, c in [(0, 0, 0), (0, 31, 1), (31, 0, 2), (17, 5, 1)]
        )
        assert images.sum(dtype=int) == pixels.sum(dtype=int)


class Runs:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_would_run_something_is_refused_and_does_not(small, made, tmp_path, protocol):
    victim = tmp_path / "victim"
    source = write(tmp_path, made, "python", "folder")
    (source / "data_batch_3").write_bytes(pickle.dumps({b"data": Runs(victim)}, protocol=protocol))
    with pytest.raises(SourceError, match=r"data_batch_3: a pickle (that would import|with the instruction)"):
        cifar10.read_cifar(source)
    assert not victim.exists()


@pytest.mark.parametrize("version", ["binary", "python"])
def test_a_cut_archive_is_refused_wherever_it_is_cut(small, made, tmp_path, version):
    content = write(tmp_path, made, version, "archive").read_bytes()
    for share in (0, 1, 10, 30, 50, 70, 90, 99):
        cut = tmp_path / "cut.tar.gz"
        cut.write_bytes(content[: len(content) * share // 100])
        with pytest.raises(SourceError, match=r"cut\.tar\.gz"):
            cifar10.read_cifar(cut)


@pytest.mark.parametrize("version", ["binary", "python"])
def test_a_cut_or_odd_file_in_a_folder_is_named(small, made, tmp_path, version):
    source = write(tmp_path, made, version, "folder")
    file = source / ("data_batch_2.bin" if version == "binary" else "data_batch_2")
    content = file.read_bytes()
    for odd in (
        content[:-1],
        content[: len(content) // 2],
        b"",
        content + b"\0" * 3073 if version == "binary" else b"x",
    ):
        file.write_bytes(odd)
        with pytest.raises(SourceError, match="data_batch_2"):
            cifar10.read_cifar(source)
    file.unlink()
    with pytest.raises(SourceError, match=r"data_batch_2.* missing"):
        cifar10.read_cifar(source)


def test_a_label_that_no_class_has_is_named(small, made, tmp_path):
    made[4][1][2] = 10
    for version in ("binary", "python"):
        with pytest.raises(SourceError, match=r"data_batch_5.*: image 2 has the label 10"):
            cifar10.read_cifar(write(tmp_path, made, version, "archive"))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        cifar10.read_cifar(tmp_path / "none.tar.gz")
    with pytest.raises(SourceError, match="not CIFAR-10, or a part of it"):
        cifar10.read_cifar(tmp_path)
    for name, content in (("a.tar.gz", gzip.compress(b"junk" * 1000)), ("b.tar", b"junk" * 1000), ("c.jpg", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=name):
            cifar10.read_cifar(tmp_path / name)
