"""What an epoch reads: the pack's order or a new one, and a short last batch (Sec. 5; the 2012 code)."""

import dataclasses

import numpy as np
import pytest
from helpers.images import packed

from gluon_alexnet.distributed.collectives import SingleWorker
from gluon_alexnet.recipes import presets
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.workflows.training_data import TrainingData


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("set"), images=5)  # 15 training images


def batches(data, recipe, epoch, **augmentation):
    """(crops, labels) of an epoch, of the middle of each image unless told otherwise."""
    still = {"random_crops": False, "mirror": False, "colour_std": 0.0, **augmentation}
    learning = dataclasses.replace(recipe.learning, batch_size=4)
    own = dataclasses.replace(recipe.augmentation, **still)
    seen = TrainingData(
        data, dataclasses.replace(recipe, augmentation=own, learning=learning), 3, "stop", SingleWorker()
    )
    return [(crops, labels) for crops, labels, _ in seen.data.epoch(epoch, 0)]


def test_as_run_a_batch_holds_the_same_images_in_every_epoch_and_they_are_the_pack_s(data):
    first, second = (batches(data, presets.AS_RUN, epoch) for epoch in (0, 7))
    assert [len(labels) for _, labels in first] == [4, 4, 4, 3]  # the last is short
    reader = Reader(data, "train")
    whole = next(iter(reader.batches(len(reader))))
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in first]), whole.labels)
    for (crops, labels), (others, again) in zip(first, second):
        np.testing.assert_array_equal(crops, others)
        np.testing.assert_array_equal(labels, again)


def test_as_run_the_images_of_a_batch_share_a_crop_and_a_mirror_that_are_new_in_each_epoch(data):
    moving = {"random_crops": True, "mirror": True}
    first, second = (batches(data, presets.AS_RUN, epoch, **moving) for epoch in (0, 1))
    still = batches(data, presets.AS_RUN, 0)
    reader = Reader(data, "train")
    images = next(iter(reader.batches(len(reader)))).images
    found = []
    for epoch in (first, second):
        crops = np.concatenate([crops for crops, _ in epoch])
        mean = images[:, 16:240, 16:240].transpose(0, 3, 1, 2)[0] - np.concatenate([crops for crops, _ in still])[0]
        for top, left, mirrored in [(t, x, m) for t in range(33) for x in range(33) for m in (False, True)]:
            window = images[0, top : top + 224, left : left + 224].transpose(2, 0, 1)
            if np.allclose(crops[0], window[:, :, ::-1] - mean if mirrored else window - mean, atol=1e-2):
                found.append((top, left, mirrored))
                break
        top, left, mirrored = found[-1]
        windows = images[:, top : top + 224, left : left + 224].transpose(0, 3, 1, 2)
        windows = windows[:, :, :, ::-1] if mirrored else windows
        np.testing.assert_allclose(crops, windows - mean, atol=1e-2)  # all fifteen are within one group of 32
    assert len(set(found)) == 2


def test_as_printed_the_order_is_a_new_one_in_each_epoch_and_every_image_comes_once(data):
    epochs = [np.concatenate([crops for crops, _ in batches(data, presets.PAPER, epoch)]) for epoch in (0, 1)]
    assert not np.array_equal(*epochs)
    ordered = [sorted(crop.tobytes() for crop in crops) for crops in epochs]
    assert ordered[0] == ordered[1] and len(set(ordered[0])) == 15
