"""Class folders: which images are found, which labels they get, what is refused."""

from __future__ import annotations

import os
import threading
from array import array

import numpy as np
import pytest
from helpers.images import touch

from gluon_alexnet.recordio.dataset.images import ImageError
from gluon_alexnet.recordio.dataset.manifest import SourceError
from gluon_alexnet.recordio.sources.class_folders import ImageList, Source, class_folder, split_half


def test_labels_are_places_in_the_sorted_names(tmp_path):
    touch(
        tmp_path, "n02/a.JPEG", "n01/b.jpg", "n10/c.png", "n01/deep/er/d.TIFF", "n01/e.WebP", "n02/f.bmp", "n02/g.tif"
    )
    found = class_folder(tmp_path)
    assert found.wnids == ("n01", "n02", "n10")
    assert [(s.key, s.label) for s in found.images] == [
        ("n01/b.jpg", 0),
        ("n01/deep/er/d.TIFF", 0),
        ("n01/e.WebP", 0),
        ("n02/a.JPEG", 1),
        ("n02/f.bmp", 1),
        ("n02/g.tif", 1),
        ("n10/c.png", 2),
    ]
    assert found.images[-1].read() == b"n10/c.png"
    assert found.ignored == 0


def test_other_files_are_counted_and_hidden_ones_passed_over(tmp_path):
    touch(tmp_path, "a/x.jpg", "a/x.txt", "a/sub/README", "loose.jpg", ".hidden/x.jpg", "a/.DS_Store", "a/._x.jpg")
    found = class_folder(tmp_path)
    assert [source.key for source in found.images] == ["a/x.jpg"]
    assert found.ignored == 3


def test_names_keep_every_character(tmp_path):
    names = ["Hund 狗/é ü.jpg", "Hund 狗/tab\tline\n.jpg", os.fsdecode(b"Hund \xe7\x8b\x97/latin1-\xe9.jpg")]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(os.fsencode(name))
    found = class_folder(tmp_path).images
    assert {source.key for source in found} == set(names)
    assert all(source.read() == os.fsencode(source.key) for source in found)


def test_links_to_folders_and_files_are_followed(tmp_path):
    touch(tmp_path, "store/n01/a.jpg", "store/b.jpg")
    (tmp_path / "train" / "n02").mkdir(parents=True)
    (tmp_path / "train" / "n01").symlink_to(tmp_path / "store" / "n01")
    (tmp_path / "train" / "n02" / "b.jpg").symlink_to(tmp_path / "store" / "b.jpg")
    assert [source.key for source in class_folder(tmp_path / "train").images] == ["n01/a.jpg", "n02/b.jpg"]


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
    assert [(s.key, s.label) for s in found.images] == [("cat/a.jpg", 2)]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["readme.txt"], "no images .*each class needs a folder of its own"),
        (["flat.jpg"], "no images .*each class needs a folder of its own"),
        (["n01/readme.txt"], "no images"),
        (["n01/a.jpg", "n02/a.txt"], "class folders without an image: n02"),
    ],
)
def test_folders_without_images(tmp_path, names, sentence):
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
    source = class_folder(tmp_path).images[0]
    reasons = []

    def read():
        with pytest.raises(ImageError) as caught:
            source.read()
        reasons.append(str(caught.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert reasons == ["not a regular file"]


def test_list_takes_little_memory():
    images = ImageList()
    for number in range(100_000):
        key = f"n01440764/n01440764_{number}.JPEG"
        images.append(Source(key, number % 1000, f"train/{key}"))
    held = sum(len(block) * block.itemsize for block in vars(images).values() if isinstance(block, array))
    assert held + len(images._keys) < 65 * len(images)
    assert len(images._names) == 1
    assert images[99_999] == Source("n01440764/n01440764_99999.JPEG", 999, "train/n01440764/n01440764_99999.JPEG")
    with pytest.raises(IndexError):
        images[100_000]


@pytest.mark.parametrize(
    "source",
    [
        Source("n01/a.jpg", 3, "/data/train/n01/a.jpg"),
        Source("a.jpg", 3, "/data/val/n01/a.jpg"),
        Source("n01/a.jpg", 3, "/data/patches/a.jpg"),
        Source("n01/a.jpg", 3, "/data/train.tar", 1024, 77),
        Source("test.jpg", -1, "/data/test.tar", 2**40, 2**29 + 1),
    ],
)
def test_list_gives_back_what_was_added(source):
    images = ImageList()
    images.append(Source("other", 0, "elsewhere/other"))
    images.append(source)
    assert images[1] == images[-1] == source
    images.replace(0, *source[2:])
    assert images[0] == Source("other", 0, *source[2:])


def test_progress_of_the_scan_counts_classes(tmp_path):
    touch(tmp_path, "a/x.jpg", "b/x.jpg", "c/x.jpg")
    seen = []
    class_folder(tmp_path, progress=lambda count, of: seen.append((count, of)))
    assert seen == [(1, 3)] * 3


def test_each_class_is_halved_and_an_odd_one_is_for_training(tmp_path):
    counts = {"a": 7, "b": 1, "c": 40, "d": 2}
    for wnid, count in counts.items():
        touch(tmp_path, *(f"{wnid}/{number}.jpg" for number in range(count)))
    images = class_folder(tmp_path).images
    first, second = split_half(images, 5)
    assert np.bincount([s.label for s in first]).tolist() == [4, 1, 20, 1]
    assert np.bincount([s.label for s in second], minlength=4).tolist() == [3, 0, 20, 1]
    assert sorted([*first, *second]) == sorted(images)
    again, other = split_half(images, 5)[0], split_half(images, 6)[0]
    assert list(first) == list(again) != list(other)


def test_halves_are_drawn_and_not_cut(tmp_path):
    touch(tmp_path, *(f"a/{number:04d}.jpg" for number in range(1000)))
    first, second = split_half(class_folder(tmp_path).images, 0)
    early = sum(source.key < "a/0500.jpg" for source in first)
    assert 200 < early < 300  # 250 expected, standard deviation 8
    assert len(first) == len(second) == 500
