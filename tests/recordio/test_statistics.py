"""Mean, covariance and axes: answers known by hand, exactness, and plain NumPy over records read by other programs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from helpers.images import packed, photo, pixels_by_pillow, records_by_mxnet

from gluon_alexnet.recordio.dataset.manifest import DatasetError
from gluon_alexnet.recordio.dataset.statistics import SIZE_EDGES, Statistics, Sums, principal_axes, read_statistics


def plain(*rgb):
    return np.full((256, 256, 3), rgb, np.uint8)


def sums_of(*images):
    sums = Sums()
    for image in images:
        sums.add(image, image.shape[:2])
    return sums


def identical(a: Statistics, b: Statistics) -> bool:
    return all(np.array_equal(value, getattr(b, name)) for name, value in vars(a).items())


def test_two_plain_images():
    statistics = sums_of(plain(10, 20, 30), plain(30, 20, 10)).statistics()
    assert (statistics.images, statistics.pixels) == (2, 2 * 256 * 256)
    assert (statistics.mean_image == 20).all()
    assert (statistics.covariance == [[100, 0, -100], [0, 0, 0], [-100, 0, 100]]).all()
    assert statistics.eigenvalues == pytest.approx([200, 0, 0], abs=1e-12)
    assert np.abs(statistics.axes[:, 0]) == pytest.approx([0.5**0.5, 0, 0.5**0.5])


def test_equals_numpy_over_the_packed_records_read_by_mxnet_and_pillow(tmp_path):
    folder = packed(tmp_path, images=7, shards=2)
    pixels = np.array([pixels_by_pillow(jpeg) for _, jpeg in records_by_mxnet(folder, "train")])
    assert pixels.shape == (21, 256, 256, 3)
    statistics = read_statistics(folder)
    np.testing.assert_allclose(statistics.mean_image, pixels.mean(axis=0), rtol=1e-12)
    covariance = np.cov(pixels.reshape(-1, 3).T.astype(np.float64), bias=True)
    np.testing.assert_allclose(statistics.covariance, covariance, rtol=1e-9)
    np.testing.assert_allclose(statistics.eigenvalues, np.linalg.eigvalsh(covariance)[::-1], rtol=1e-9)
    rebuilt = statistics.axes @ np.diag(statistics.eigenvalues) @ statistics.axes.T
    np.testing.assert_allclose(rebuilt, covariance, rtol=1e-9)


@pytest.mark.parametrize(
    "image",
    [plain(255, 255, 255), plain(255, 0, 255), plain(0, 0, 0), photo(3, 256, 256)]
    + [np.random.default_rng(seed).integers(0, 256, (256, 256, 3), dtype=np.uint8) for seed in range(5)]
    + [np.random.default_rng(9).choice(np.array([0, 255], np.uint8), (256, 256, 3))],
)
def test_sums_are_exact(image):
    sums = sums_of(image, image)
    wide = image.reshape(-1, 3).astype(np.int64)
    assert (sums.products == 2 * wide.T @ wide).all()
    sums.flush()
    assert (sums.image == 2 * image.astype(np.int64)).all()


def test_order_and_parts_change_no_bit():
    images = [photo(seed, 256, 256) for seed in range(6)]
    whole = sums_of(*images).statistics()
    assert identical(sums_of(*reversed(images)).statistics(), whole)
    joined = sums_of(*images[4:])
    joined.merge(sums_of(images[0]))
    joined.merge(Sums())
    joined.merge(sums_of(*images[1:4]))
    assert identical(joined.statistics(), whole)
    assert not identical(sums_of(*images[:5]).statistics(), whole)


def test_nothing_overflows_at_fifteen_million_images():
    """Half black, half white: the mean is 127.5 and every entry of the covariance 127.5²."""
    half = 7_500_000
    sums = Sums()
    sums.images = 2 * half
    sums.image += 255 * half
    sums.products += 255**2 * 256 * 256 * half
    statistics = sums.statistics()
    assert (statistics.mean_image == 127.5).all()
    assert (statistics.covariance == 127.5**2).all()
    assert (statistics.eigenvalues >= 0).all()
    assert statistics.eigenvalues == pytest.approx([3 * 127.5**2, 0, 0], abs=1e-9)


def test_short_sums_are_emptied_before_they_overflow():
    sums = Sums()
    for _ in range(600):  # 16 bits hold 257
        sums.add(plain(255, 255, 255), (256, 256))
    assert (sums.statistics().mean_image == 255).all()


def test_sizes_of_the_sources_are_counted_and_add_up():
    sums, other = Sums(), Sums()
    for size in [(256, 300), (255, 300), (16, 4096), (1, 100_000)]:
        sums.add(plain(0, 0, 0), size)
    other.add(plain(0, 0, 0), (270, 300))
    sums.merge(other)
    sizes = sums.statistics().source_sizes
    side = {name: index for index, name in enumerate(SIZE_EDGES)}
    assert sizes.sum() == 5
    assert sizes[side[256], 33] == 2  # 256 to 279 high, and 280 to 304 wide
    assert sizes[side[256] - 1, 33] == 1
    assert sizes[0, 63] == 2  # what is smaller or larger than all bins is in the outer ones
    assert SIZE_EDGES[33:35] == (280, 305)


def test_statistics_give_back_their_sums():
    whole = sums_of(*[photo(seed, 256, 256) for seed in range(4)]).statistics()
    first = sums_of(*[photo(seed, 256, 256) for seed in range(3)]).statistics().sums()
    first.merge(sums_of(photo(3, 256, 256)))
    assert identical(first.statistics(), whole)


def test_statistics_of_nothing():
    with pytest.raises(ValueError, match="no images"):
        Sums().statistics()


def test_axes_have_one_sign_and_descend():
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    covariance = rotation @ np.diag([5.0, 90.0, 20.0]) @ rotation.T
    values, axes = principal_axes(covariance)
    assert values == pytest.approx([90, 20, 5])
    for column, eigenvector in enumerate(rotation[:, [1, 2, 0]].T):
        assert abs(axes[:, column] @ eigenvector) == pytest.approx(1)
        assert axes[np.abs(axes[:, column]).argmax(), column] > 0
    assert (principal_axes(np.diag([1.0, -1e-13, 4.0]))[0] == [4, 1, 0]).all()


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("the file was loaded with pickle",))


def _cut(content):
    return content[: len(content) // 2]


def _changed(**arrays):
    def change(content):
        with np.load(io.BytesIO(content)) as old:
            buffer = io.BytesIO()
            np.savez(buffer, **{**old, **arrays})
        return buffer.getvalue()

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_cut, "cut or written by another program"),
        (lambda content: b"", "cut or written by another program"),
        (lambda content: b"P5 1 1 255 \0", "cut or written by another program"),
        (lambda content: content[:100_000] + b"x" + content[100_001:], "cut or written by another program"),
        (_changed(mean_image=np.zeros((224, 224, 3))), "mean_image is not finite or of another shape"),
        (_changed(covariance=np.full((3, 3), np.nan)), "covariance is not finite or of another shape"),
        (_changed(images=np.array("many")), "images is not finite or of another shape"),
        (_changed(axes=np.array([Code()], object)), "cut or written by another program"),
        (_changed(covariance=np.eye(3)), "not the statistics of this data set"),
    ],
)
def test_damaged_statistics(tmp_path, change, sentence):
    folder = packed(tmp_path, images=1)
    path = folder / "statistics.npz"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DatasetError, match=f"statistics.npz: {sentence}.*pack the data set again"):
        read_statistics(folder)


def test_missing_statistics(tmp_path):
    folder = packed(tmp_path, images=1)
    (folder / "statistics.npz").unlink()
    with pytest.raises(DatasetError, match=r"statistics.npz: No such file"):
        read_statistics(folder)
