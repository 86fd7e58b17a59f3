"""`dataset.json`: what is written is what is read, and nothing else is believed."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from gluon_alexnet.errors import MissingDataset
from gluon_alexnet.recordio.dataset.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    ClassInfo,
    DatasetError,
    Manifest,
    Shard,
    SourceError,
    Split,
    read_manifest,
    write_manifest,
)

MADE = Manifest(
    classes=(ClassInfo("n02119789", "kit fox", 1), ClassInfo("n02100735", "English setter")),
    splits=(
        Split(
            "train",
            (
                Shard("train-00000-of-00002.rec", 3, 900, "a" * 64, "b" * 64, "c" * 64),
                Shard("train-00001-of-00002.rec", 2, 600, "d" * 64, "e" * 64, "f" * 64),
            ),
            (4, 1),
            7,
        ),
        Split("val", (Shard("val-00000-of-00001.rec", 1, 300, "0" * 64, "1" * 64, "2" * 64),), (0, 1), 0),
    ),
    seed=5,
    statistics_sha256="9" * 64,
)


def test_reads_back_what_was_written(tmp_path):
    write_manifest(tmp_path, MADE)
    assert read_manifest(tmp_path) == MADE
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]
    assert MADE.split("train").images == 5


def test_digest_is_of_the_content_and_not_of_the_file(tmp_path):
    write_manifest(tmp_path, MADE)
    path = tmp_path / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()), indent=8))
    assert read_manifest(tmp_path).digest == MADE.digest
    assert dataclasses.replace(MADE, seed=6).digest != MADE.digest
    shard = dataclasses.replace(MADE.splits[1].shards[0], sha256="3" * 64)
    other = dataclasses.replace(MADE, splits=(MADE.splits[0], dataclasses.replace(MADE.splits[1], shards=(shard,))))
    assert other.digest != MADE.digest


def test_unknown_split_names_those_that_exist():
    with pytest.raises(SourceError, match="no split 'test'; it has train, val"):
        MADE.split("test")


def test_missing_data_set_says_how_to_make_one(tmp_path):
    with pytest.raises(MissingDataset, match=r"dataset.json: no data set here; name another folder, or pack one"):
        read_manifest(tmp_path)


def test_every_cut_is_noticed(tmp_path):
    write_manifest(tmp_path, MADE)
    path = tmp_path / MANIFEST
    whole = path.read_bytes()
    for length in range(len(whole.rstrip())):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match=MANIFEST):
            read_manifest(tmp_path)


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'"text"', b"\xff\xfe\0", b"[" * 100_000, b'{"schema_version": "1"}']
)
def test_foreign_content(tmp_path, content):
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(DatasetError, match=r"not written by alexnet-tools pack|not readable as JSON"):
        read_manifest(tmp_path)


def test_newer_version_says_which_side_is_old(tmp_path):
    write_manifest(tmp_path, dataclasses.replace(MADE, schema_version=SCHEMA_VERSION + 1))
    with pytest.raises(DatasetError, match="the program is older than the data set"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema_version",), 0),
        (("schema_version",), True),
        (("size",), 224),
        (("size",), "256"),
        (("encoding",), "tiff"),
        (("jpeg_quality",), None),
        (("filters",), {"down": "area"}),
        (("seed",), 1.5),
        (("statistics_sha256",), 9),
        (("classes",), []),
        (("classes",), ["n01"]),
        (("classes", 0, "wnid"), 3),
        (("classes", 0, "devkit_id"), "1"),
        (("splits",), []),
        (("splits", 0, "name"), "holdout"),
        (("splits", 0, "rejected"), "none"),
        (("splits", 0, "class_counts"), [5]),
        (("splits", 0, "class_counts"), [4, 2]),
        (("splits", 0, "class_counts"), [6, -1]),
        (("splits", 0, "shards"), {}),
        (("splits", 0, "shards", 0, "images"), -3),
        (("splits", 0, "shards", 0, "bytes"), "900"),
        (("splits", 0, "shards", 0, "sha256"), None),
        (("splits", 0, "shards", 0, "name"), "../../etc/passwd"),
        (("splits", 0, "shards", 0, "name"), "train-00001-of-00002.rec"),
    ],
)
def test_wrong_values_are_refused(tmp_path, place, value):
    document = json.loads(json.dumps(dataclasses.asdict(MADE)))
    item = document
    for step in place[:-1]:
        item = item[step]
    item[place[-1]] = value
    (tmp_path / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=r"dataset.json: .*the file is damaged, pack the data set again"):
        read_manifest(tmp_path)


def test_help_and_manifest_need_nothing_heavy():
    heavy = "{'numpy', 'cv2', 'PIL', 'scipy', 'tqdm', 'mxnet', 'gluoncv'}"
    code = f"import sys, gluon_alexnet.tools.commands.pack; sys.exit(str({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "set()"
