"""Tars of classes: their members and links are the files that unpacking gives, and what is damaged is said."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile

import pytest
from helpers.images import file_bytes, photo, touch
from helpers.runner import run

from gluon_alexnet.recordio.dataset.images import ImageError
from gluon_alexnet.recordio.dataset.manifest import SourceError
from gluon_alexnet.recordio.sources.class_folders import class_folder
from gluon_alexnet.recordio.sources.tar_index import members


def write_tar(path, files, **options):
    with tarfile.open(path, "w", **options) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path.read_bytes()


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_that_tarfile_finds(tmp_path, format, rng):
    files = [(f"folder/{number:03d}.JPEG", rng.bytes(int(rng.integers(0, 1500)))) for number in range(60)]
    if format != tarfile.USTAR_FORMAT:
        files.insert(3, ("n01/" + "long" * 60 + ".JPEG", b"long"))
        files.insert(5, ("Käfer 狗.JPEG", b"beetle"))
    path = tmp_path / "x.tar"
    write_tar(path, files, format=format)
    whole = path.read_bytes()
    assert [(m.name, whole[m.offset : m.offset + m.size]) for m in members(path)] == files


LINKED = [  # name, kind, link, content
    ("n00000001/late_hard.JPEG", tarfile.LNKTYPE, "n00000001/a.JPEG", None),
    ("n00000001/a.JPEG", tarfile.REGTYPE, "", b"a"),
    ("n00000001/hard.JPEG", tarfile.LNKTYPE, "n00000001/a.JPEG", None),
    ("n00000001/sub/b.JPEG", tarfile.REGTYPE, "", b"b"),
    ("n00000001/sub/up.JPEG", tarfile.SYMTYPE, "../a.JPEG", None),
    ("n00000001/two.JPEG", tarfile.SYMTYPE, "sub/up.JPEG", None),
    ("n00000001/hard_of_link.JPEG", tarfile.LNKTYPE, "n00000001/two.JPEG", None),
    ("n00000001/" + "long" * 40 + ".JPEG", tarfile.SYMTYPE, "sub/../" * 30 + "sub/b.JPEG", None),
    ("n00000001/changed.JPEG", tarfile.REGTYPE, "", b"old"),
    ("n00000001/hard_of_old.JPEG", tarfile.LNKTYPE, "n00000001/changed.JPEG", None),
    ("n00000001/soft_of_new.JPEG", tarfile.SYMTYPE, "changed.JPEG", None),
    ("n00000001/changed.JPEG", tarfile.REGTYPE, "", b"new"),
]
ODD = [
    ("n00000001/dangling.JPEG", tarfile.SYMTYPE, "none.JPEG", "a link to no file of its tar"),
    ("n00000001/outside.JPEG", tarfile.SYMTYPE, "/etc/passwd", "a link to no file of its tar"),
    ("n00000001/above.JPEG", tarfile.SYMTYPE, "../../../a.JPEG", "a link to no file of its tar"),
    ("n00000001/round.JPEG", tarfile.SYMTYPE, "round.JPEG", "a link to no file of its tar"),
    ("n00000001/itself.JPEG", tarfile.LNKTYPE, "n00000001/itself.JPEG", "a link to no file of its tar"),
    ("n00000001/device.JPEG", tarfile.CHRTYPE, "", "a device, no file"),
    ("n00000001/disk.JPEG", tarfile.BLKTYPE, "", "a device, no file"),
    ("n00000001/pipe.JPEG", tarfile.FIFOTYPE, "", "a FIFO, no file"),
]


def linked_tar(path, entries, **options):
    with tarfile.open(path, "w", **options) as tar:
        for name, kind, link, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            entry.size = len(content) if kind == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(content) if kind == tarfile.REGTYPE else None)


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_links_in_a_tar_are_the_files_that_they_are_when_it_is_unpacked(tmp_path, format):
    """Unpacked by `tar` itself, which refuses hard links in front of their file."""
    (tmp_path / "tars").mkdir()
    (tmp_path / "unpacked").mkdir()
    linked_tar(tmp_path / "tars" / "n00000001.tar", LINKED[1:], format=format)
    subprocess.run(["tar", "-xf", tmp_path / "tars" / "n00000001.tar", "-C", tmp_path / "unpacked"], check=True)
    unpacked = {source.key: source.read() for source in class_folder(tmp_path / "unpacked").images}
    found = class_folder(tmp_path / "tars")
    assert [(source.key, source.read()) for source in found.images] == sorted(unpacked.items(), key=by_parts)
    assert len(unpacked) == 10 and found.ignored == 0


def by_parts(item):
    return item[0].split("/")


def test_what_is_no_file_in_a_tar_is_counted_and_named(tmp_path):
    others = [("n00000001/notes", tarfile.SYMTYPE, "none", ""), ("n00000001/tty", tarfile.CHRTYPE, "", "")]
    folder = [("n00000001/folder.JPEG", tarfile.DIRTYPE, "", "")]
    linked_tar(tmp_path / "n00000001.tar", [*LINKED, *ODD, *others, *folder])
    found = class_folder(tmp_path)
    assert len(found.images) == 11 + len(ODD) and found.ignored == len(others)
    told = {}
    for source in found.images:
        try:
            source.read()
        except ImageError as error:
            told[source.key] = str(error)
    assert told == {name: reason for name, _, _, reason in ODD}


def test_pack_names_what_is_no_file_in_a_tar(tmp_path):
    images = [(name, kind, link, content and file_bytes(photo(1), "JPEG")) for name, kind, link, content in LINKED]
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        linked_tar(tmp_path / split / "n00000001.tar", [*images, *ODD])
    said = run("pack", "--train", tmp_path / "train", "--val", tmp_path / "val", "--data", tmp_path / "data")
    assert "packed 11 train, 11 val; rejected 16;" in said
    rejected = (tmp_path / "data" / "rejected.tsv").read_text().splitlines()[1:]
    assert sorted(rejected) == sorted(
        f"{split}\t{name}\t{reason}" for split in ("train", "val") for name, _, _, reason in ODD
    )


def test_class_tars_may_be_links(tmp_path):
    content = write_tar(tmp_path / "inner", [("a.JPEG", b"a")])
    first = ("n00000001.tar", tarfile.REGTYPE, "", content)
    linked_tar(tmp_path / "all.tar", [first, ("n00000002.tar", tarfile.LNKTYPE, "n00000001.tar", None)])
    assert [(s.key, s.read()) for s in class_folder(tmp_path / "all.tar").images] == [
        ("n00000001/a.JPEG", b"a"),
        ("n00000002/a.JPEG", b"a"),
    ]
    linked_tar(tmp_path / "all.tar", [first, ("n00000002.tar", tarfile.SYMTYPE, "none.tar", None)])
    with pytest.raises(SourceError, match=r"n00000002\.tar is a link to no file of its tar; complete the tar"):
        class_folder(tmp_path / "all.tar")


def test_tar_of_tars_and_folder_of_tars_and_folders_are_the_same_list(tmp_path):
    files = {f"n0000000{c}": [(f"n0000000{c}_{i}.JPEG", b"%d%d" % (c, i)) for i in (10, 2, 1)] for c in (3, 1, 2)}
    inner = {wnid: write_tar(tmp_path / "inner", mine) for wnid, mine in files.items()}
    write_tar(tmp_path / "all.tar", [(f"{wnid}.tar", content) for wnid, content in inner.items()])
    (tmp_path / "tars").mkdir()
    for wnid, content in inner.items():
        (tmp_path / "tars" / f"{wnid}.tar").write_bytes(content)
        for name, image in files[wnid]:
            touch(tmp_path / "folders", f"{wnid}/{name}")
            (tmp_path / "folders" / wnid / name).write_bytes(image)
    expected = [(f"n0000000{c}/n0000000{c}_{i}.JPEG", c - 1, b"%d%d" % (c, i)) for c in (1, 2, 3) for i in (1, 10, 2)]
    for place in ("all.tar", "tars", "folders"):
        assert [(s.key, s.label, s.read()) for s in class_folder(tmp_path / place).images] == expected


def test_a_tar_is_in_the_order_of_the_folders_that_it_unpacks_to(tmp_path):
    """As text a-b/ would come before a/, since a hyphen is before a stroke; folder by folder it comes after."""
    names = ["a-b/1.JPEG", "a/2.JPEG", "a/1.JPEG", "a.b/1.JPEG", "0.JPEG"]
    (tmp_path / "tars").mkdir()
    write_tar(tmp_path / "tars" / "n00000001.tar", [(name, b"x") for name in names])
    for name in names:
        touch(tmp_path / "folders", f"n00000001/{name}")
    expected = [f"n00000001/{name}" for name in ("0.JPEG", "a/1.JPEG", "a/2.JPEG", "a-b/1.JPEG", "a.b/1.JPEG")]
    for place in ("tars", "folders"):
        assert [source.key for source in class_folder(tmp_path / place).images] == expected, place


def test_of_members_with_one_name_the_last_counts(tmp_path):
    write_tar(tmp_path / "n00000001.tar", [("a.JPEG", b"old"), ("./a.JPEG", b"new"), ("n00000001/b.JPEG", b"b")])
    found = class_folder(tmp_path).images
    assert [(s.key, s.read()) for s in found] == [("n00000001/a.JPEG", b"new"), ("n00000001/b.JPEG", b"b")]


def test_class_as_folder_and_as_tar(tmp_path):
    write_tar(tmp_path / "n00000001.tar", [("a.JPEG", b"a")])
    touch(tmp_path, "n00000001/a.JPEG")
    with pytest.raises(SourceError, match="the class n00000001 is there twice, for example as folder and as tar"):
        class_folder(tmp_path)


def test_tar_that_is_cut_after_it_was_listed(tmp_path):
    content = write_tar(tmp_path / "n00000001.tar", [("a.JPEG", bytes(5000))])
    source = class_folder(tmp_path).images[0]
    (tmp_path / "n00000001.tar").write_bytes(content[:3000])
    with pytest.raises(ImageError, match="its tar has been cut"):
        source.read()


def test_damaged_header_is_not_taken_for_the_end(tmp_path):
    """Python's own tarfile stops there and says nothing."""
    content = bytearray(write_tar(tmp_path / "n00000001.tar", [(f"{i}.JPEG", bytes(100)) for i in range(5)]))
    content[2 * 1024 + 3] ^= 1
    (tmp_path / "n00000001.tar").write_bytes(content)
    with tarfile.open(tmp_path / "n00000001.tar") as tar:
        assert len(tar.getmembers()) == 2
    with pytest.raises(SourceError, match="damaged, or no tar, at byte 2048; download it again"):
        class_folder(tmp_path)


@pytest.mark.parametrize("name", ["all.tar.gz", "all.tgz", "all.tar"])
def test_compressed_tar_of_tars(tmp_path, name):
    write_tar(tmp_path / "plain", [("n00000001.tar", bytes(1024))])
    (tmp_path / name).write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    with pytest.raises(SourceError, match="a compressed tar; decompress it first"):
        class_folder(tmp_path / name)
