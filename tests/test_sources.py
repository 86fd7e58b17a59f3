"""Class folders: which pictures are found, which labels they get, what is refused."""

from __future__ import annotations

import os
import threading

import pytest

from gluon_alexnet.recordio.dataset import SourceError
from gluon_alexnet.recordio.pictures import PictureError
from gluon_alexnet.recordio.sources import FileList, class_folder


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_labels_are_places_in_the_sorted_names(tmp_path):
    touch(
        tmp_path, "n02/a.JPEG", "n01/b.jpg", "n10/c.png", "n01/deep/er/d.TIFF", "n01/e.WebP", "n02/f.bmp", "n02/g.tif"
    )
    found = class_folder(tmp_path)
    assert found.wnids == ("n01", "n02", "n10")
    assert [(s.key, s.label) for s in found.pictures] == [
        ("n01/b.jpg", 0),
        ("n01/deep/er/d.TIFF", 0),
        ("n01/e.WebP", 0),
        ("n02/a.JPEG", 1),
        ("n02/f.bmp", 1),
        ("n02/g.tif", 1),
        ("n10/c.png", 2),
    ]
    assert found.pictures[-1].read() == b"n10/c.png"
    assert found.ignored == 0


def test_other_files_are_counted_and_hidden_ones_passed_over(tmp_path):
    touch(tmp_path, "a/x.jpg", "a/x.txt", "a/sub/README", "loose.jpg", ".hidden/x.jpg", "a/.DS_Store", "a/._x.jpg")
    found = class_folder(tmp_path)
    assert [source.key for source in found.pictures] == ["a/x.jpg"]
    assert found.ignored == 3


def test_names_keep_every_character(tmp_path):
    names = ["Hund 狗/é ü.jpg", "Hund 狗/tab\tline\n.jpg", os.fsdecode(b"Hund \xe7\x8b\x97/latin1-\xe9.jpg")]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(os.fsencode(name))
    found = class_folder(tmp_path).pictures
    assert {source.key for source in found} == set(names)
    assert all(source.read() == os.fsencode(source.key) for source in found)


def test_links_to_folders_and_files_are_followed(tmp_path):
    touch(tmp_path, "store/n01/a.jpg", "store/b.jpg")
    (tmp_path / "train" / "n02").mkdir(parents=True)
    (tmp_path / "train" / "n01").symlink_to(tmp_path / "store" / "n01")
    (tmp_path / "train" / "n02" / "b.jpg").symlink_to(tmp_path / "store" / "b.jpg")
    assert [source.key for source in class_folder(tmp_path / "train").pictures] == ["n01/a.jpg", "n02/b.jpg"]


def test_link_to_a_folder_above_is_refused(tmp_path):
    touch(tmp_path, "n01/a.jpg")
    (tmp_path / "n01" / "up").symlink_to(tmp_path / "n01")
    with pytest.raises(SourceError, match="leads back to a folder above it"):
        class_folder(tmp_path)


def test_val_class_that_train_lacks_is_refused_by_name(tmp_path):
    touch(tmp_path, "ant/a.jpg", "wolf/b.jpg", "yak/c.jpg")
    with pytest.raises(SourceError, match=r"classes that the training split lacks: wolf, yak$"):
        class_folder(tmp_path, ("ant", "bee"))


def test_val_may_lack_a_class_and_says_which(tmp_path):
    touch(tmp_path, "cat/a.jpg", "bee/notes.txt")
    found = class_folder(tmp_path, ("ant", "bee", "cat"))
    assert found.missing == ("ant", "bee")
    assert [(s.key, s.label) for s in found.pictures] == [("cat/a.jpg", 2)]


@pytest.mark.parametrize(
    "names, sentence",
    [
        (["readme.txt"], "no pictures .*each class needs a folder of its own"),
        (["flat.jpg"], "no pictures .*each class needs a folder of its own"),
        (["n01/readme.txt"], "no pictures"),
        (["n01/a.jpg", "n02/a.txt"], "class folders without a picture: n02"),
    ],
)
def test_folders_without_pictures(tmp_path, names, sentence):
    touch(tmp_path, *names)
    with pytest.raises(SourceError, match=sentence):
        class_folder(tmp_path)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(SourceError, match="nowhere: no such folder"):
        class_folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="file: not a folder"):
        class_folder(tmp_path / "file")


def test_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "n01").mkdir()
    os.mkfifo(tmp_path / "n01" / "x.jpg")
    source = class_folder(tmp_path).pictures[0]
    reasons = []

    def read():
        with pytest.raises(PictureError) as caught:
            source.read()
        reasons.append(str(caught.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert reasons == ["not a regular file"]


def test_list_takes_little_memory():
    pictures = FileList("train")
    for number in range(100_000):
        pictures.append(f"n01440764/n01440764_{number}.JPEG", number % 1000)
    held = sum(len(block) * block.itemsize for block in (pictures._ends, pictures._labels)) + len(pictures._keys)
    assert held / len(pictures) < 50
    assert pictures[99_999] == ("n01440764/n01440764_99999.JPEG", 999, "train/n01440764/n01440764_99999.JPEG")
    with pytest.raises(IndexError):
        pictures[100_000]
