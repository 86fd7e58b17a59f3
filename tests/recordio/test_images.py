"""Every kind of image against Pillow and values known by hand; what is no image; scaling and cutting."""

from __future__ import annotations

import gzip
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from helpers.images import ODD, file_bytes, photo, pixels_by_pillow
from PIL import Image, ImageFile, ImageOps

from gluon_alexnet.recordio.dataset.images import ImageError, decode, shorter_side_256

RED = np.full((3, 5, 3), (250, 10, 20), np.uint8)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_formats_keep_every_value(format):
    image = np.repeat(np.repeat(RED, 20, 0), 20, 1)
    assert (decode(file_bytes(image, format)) == image).all()


def test_lossless_webp_keeps_every_value():
    image = photo(1)
    assert (decode(file_bytes(image, "WEBP", lossless=True)) == image).all()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}])
def test_jpeg_is_what_pillow_reads(options):
    data = file_bytes(photo(2, 77, 93), "JPEG", **options)
    assert np.abs(decode(data).astype(int) - pixels_by_pillow(data)).max() <= 1


def test_grey_alpha_palette_and_one_bit():
    grey = photo(3)[:, :, 0]
    assert (decode(file_bytes(grey, "PNG")) == grey[:, :, None]).all()
    alpha = np.dstack([photo(4), np.full((60, 80), 3, np.uint8)])
    assert (decode(file_bytes(alpha, "PNG")) == alpha[:, :, :3]).all()
    buffer = io.BytesIO()
    Image.fromarray(RED).convert("P").save(buffer, "PNG", transparency=b"\0\x80")
    assert (decode(buffer.getvalue()) == np.asarray(Image.fromarray(RED).convert("P").convert("RGB"))).all()
    bits = np.arange(16).reshape(4, 4) % 3 == 0
    assert (decode(file_bytes(bits, "PNG")) == 255 * bits[:, :, None]).all()


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_keep_the_upper_eight(format):
    values = np.array([[0, 255, 256, 0x1234], [0x7FFF, 0x8000, 0xFEFF, 0xFFFF]], np.uint16)
    expected = [[0, 0, 1, 0x12], [0x7F, 0x80, 0xFE, 0xFF]]
    assert (decode(file_bytes(values, format)) == np.array(expected)[:, :, None]).all()


def _png(height, width, bits, rows):
    data = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    for kind, body in [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]:
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data


def test_sixteen_bit_colour_png():
    rows = b"".join(b"\0" + struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0xFFFF, 0, 0x00FF) for _ in range(2))
    assert (decode(_png(2, 2, 16, rows)) == [[[0x12, 0x56, 0x9A], [0xFF, 0, 0]]] * 2).all()


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_of_a_jpeg(orientation):
    data = (ODD / f"hopper_orientation_{orientation}.jpg").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[0x0112] == orientation
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert (decode(data) == upright).all()
    assert not np.array_equal(upright, pixels_by_pillow(data))


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "turned"), [(2, lambda a: a[:, ::-1]), (6, lambda a: a.transpose(1, 0, 2)[:, ::-1])]
)
def test_exif_orientation_of_other_formats(format, orientation, turned):
    image = photo(5)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    assert (decode(file_bytes(image, format, exif=exif, **options)) == turned(image)).all()


def test_cmyk_is_what_pillow_reads():
    data = (ODD / "pil_sample_cmyk.jpg").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "CMYK"
        assert (decode(data) == np.asarray(image.convert("RGB"))).all()


def test_cmyk_by_hand():
    """No ink is white, full cyan has no red, full black is black."""
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, 16:32, 0] = 255
    inks[:, 32:, 3] = 255
    buffer = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(buffer, "JPEG", quality=100)
    middle = decode(buffer.getvalue())[8, 8::16].astype(int)
    assert np.abs(middle - [[255, 255, 255], [0, 255, 255], [0, 0, 0]]).max() <= 3


@pytest.mark.parametrize(
    "name",
    ["hopper_gray.jpg", "jpeg_ff00_header.jpg", "photoshop-200dpi-broken.jpg", "invalid-exif.jpg", "icc-after-SOF.jpg"],
)
def test_odd_files_that_can_be_read(name):
    data = (ODD / name).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        assert np.abs(decode(data).astype(int) - np.asarray(image.convert("RGB"))).max() <= 1


def test_gzip_compressed_jpeg():
    data = file_bytes(photo(6), "JPEG")
    assert (decode(gzip.compress(data)) == decode(data)).all()
    with pytest.raises(ImageError, match="gzip"):
        decode(gzip.compress(data)[:-20])


def test_wrong_extension_and_trailing_bytes_do_not_matter():
    jpeg = file_bytes(photo(7), "JPEG")
    assert (decode(jpeg + b"\0\0\n") == decode(jpeg)).all()
    assert (decode(jpeg + b"appended by a camera") == decode(jpeg)).all()


def _header(jpeg, height, width):
    begin = jpeg.index(b"\xff\xc0")
    return jpeg[: begin + 5] + struct.pack(">HH", height, width) + jpeg[begin + 9 :]


JPEG = file_bytes(photo(8), "JPEG")
PNG = file_bytes(photo(8), "PNG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"GIF87", "not an image in a format"),
        (b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image in a format"),
        (bytes(1000), "not an image in a format"),
        (JPEG[:-2], "truncated"),
        (JPEG[:-300], "truncated"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:30], "(?i)truncated"),
        ((ODD / "truncated_jpeg.jpg").read_bytes(), "truncated"),
        ((ODD / "truncated_end_chunk.png").read_bytes(), "(?i)truncated"),
        (PNG[: len(PNG) // 2], "(?i)truncated"),
        (_header(JPEG, 60_000, 60_000), "60000x60000 pixels, the limit is 150 million"),
        (_header(JPEG, 0, 80), "pixels|not an image|invalid"),
        (_png(60_000, 60_000, 8, b""), "its header says more than 150 million pixels"),
        (file_bytes(np.ones((4, 4), np.float32), "TIFF"), "floating-point"),
        (file_bytes(np.full((4, 4), 70_000, np.int32), "TIFF"), "32-bit"),
    ],
)
def test_what_is_no_image(data, reason, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as gluoncv leaves it
    with pytest.raises(ImageError, match=reason):
        decode(data)


# Scaling


def test_shorter_side_becomes_256_and_the_middle_is_kept():
    """A 512x1024 image of 2x2 blocks: the area filter gives the blocks, and columns 128-383 of the 512 remain."""
    blocks = np.random.default_rng(0).integers(0, 256, (256, 512, 3), dtype=np.uint8)
    doubled = blocks.repeat(2, axis=0).repeat(2, axis=1)
    assert (shorter_side_256(doubled) == blocks[:, 128:384]).all()
    assert (shorter_side_256(doubled.transpose(1, 0, 2)) == blocks.transpose(1, 0, 2)[128:384]).all()
    assert (shorter_side_256(blocks) == blocks[:, 128:384]).all()


def test_area_filter_takes_means():
    """At 3:2 each result is the mean of one and a half rows, which a linear filter does not give."""
    stripes = np.zeros((384, 384, 3), np.uint8)
    stripes[::3] = 210
    assert (shorter_side_256(stripes)[:, 0, 0].reshape(128, 2) == [140, 0]).all()


def test_longer_side_is_rounded():
    """300x341 scales to 256x290.99 and is cut from 291 columns, so that its middle stays in the middle."""
    ramp = np.repeat(np.linspace(0, 255, 341)[None, :, None], 300, 0).repeat(3, 2).round().astype(np.uint8)
    by_pillow = np.asarray(Image.fromarray(ramp).resize((291, 256), Image.Resampling.BOX))[:, 17:273]
    assert np.abs(shorter_side_256(ramp).astype(int) - by_pillow).max() <= 1
    assert np.abs(shorter_side_256(ramp).astype(int) - by_pillow).mean() < 0.3


def test_small_images_grow_by_the_cubic_filter():
    image = photo(9, 100, 128)
    grown = shorter_side_256(image)
    by_pillow = np.asarray(Image.fromarray(image).resize((328, 256), Image.Resampling.BICUBIC))[:, 36:292]
    assert grown.shape == (256, 256, 3)
    assert np.abs(grown.astype(int) - by_pillow).mean() < 2
    assert (shorter_side_256(RED[:1, :1]) == RED[0, 0]).all()


def test_a_long_strip_takes_little_memory(monkeypatch):
    areas = []

    def resize(image, size, **options):
        areas.append(size[0] * size[1])
        return original(image, size, **options)

    original = cv2.resize
    monkeypatch.setattr(cv2, "resize", resize)
    strip = np.zeros((2, 60_001, 3), np.uint8)
    strip[:, 29_000:31_000] = 90
    assert (shorter_side_256(strip) == 90).all()
    assert areas == [256 * 256 * 16]


def test_a_jpeg_that_is_damaged_within_is_named_and_libjpeg_prints_nothing(capfd, caplog):
    """OpenCV reads the same pixels, and lets libjpeg print words that name no file."""
    whole = file_bytes(photo(8, 200, 200), "JPEG", quality=95)
    middle = len(whole) // 2
    damaged = whole[:middle] + whole[middle + 200 :]
    expected = cv2.cvtColor(cv2.imdecode(np.frombuffer(damaged, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert "Corrupt JPEG data" in capfd.readouterr().err  # OpenCV's: so it is still what this is about
    assert (decode(damaged, "holidays/a.jpg") == expected).all()
    assert capfd.readouterr() == ("", "")
    (record,) = caplog.records
    assert record.getMessage().startswith("holidays/a.jpg: Corrupt JPEG data")
    decode(whole, "b.jpg")
    assert len(caplog.records) == 1
