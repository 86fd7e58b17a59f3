"""Records: framing and header against MXNet's own, no cut or foreign bytes believed, images decoded or damaged."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.images import mxnet, photo

from gluon_alexnet.recordio.dataset.framing import MAGIC, RecordError, frame, pack_image, unframe, unpack_image
from gluon_alexnet.recordio.dataset.images import ImageError, encode, packed_pixels
from gluon_alexnet.recordio.dataset.keys import escape, unescape

# Payloads with the magic word at the begin, in the middle, twice in a row, at the end, and off the multiples of four.
PAYLOADS = [
    b"",
    b"a",
    b"abcd",
    b"abcdefg",
    MAGIC,
    MAGIC + b"abc",
    b"abcd" + MAGIC,
    b"abcd" + MAGIC + MAGIC + b"x",
    b"ab" + MAGIC + b"cd" + MAGIC,
    b"a" + MAGIC * 3,
    MAGIC * 4 + b"yz",
    b"abcd" + MAGIC[:3],
]


def test_framing_is_mxnets_both_ways(tmp_path):
    theirs = tmp_path / "theirs.rec"
    writer = mxnet().recordio.MXRecordIO(str(theirs), "w")
    for payload in PAYLOADS:
        writer.write(payload)
    writer.close()
    ours = b"".join(map(frame, PAYLOADS))
    assert ours == theirs.read_bytes()

    reader = mxnet().recordio.MXRecordIO(str(theirs), "r")
    assert [reader.read() for _ in PAYLOADS] == PAYLOADS
    reader.close()
    assert [unframe(frame(payload)) for payload in PAYLOADS] == PAYLOADS


def test_header_is_mxnets():
    mx = mxnet()
    header, image = mx.recordio.unpack(pack_image(7, 2**40 + 1, 3, b"JPEG"))
    assert (header.flag, header.label, header.id, header.id2, image) == (0, 7.0, 2**40 + 1, 3, b"JPEG")
    theirs = mx.recordio.pack(mx.recordio.IRHeader(0, 21840.0, 5, 6), b"PNG")
    assert unpack_image(theirs) == (21840, 5, 6, b"PNG")


@pytest.mark.parametrize(
    "header", [(2, [1.0, 2.0], 0, 0), (0, 0.5, 0, 0), (0, -2.0, 0, 0), (0, float("nan"), 0, 0), (0, float("inf"), 0, 0)]
)
@pytest.mark.filterwarnings("ignore:tostring")  # MXNet 1.9.1 packs label arrays with a deprecated NumPy call
def test_headers_that_are_no_label(header):
    mx = mxnet()
    with pytest.raises(RecordError, match="not one of a labelled image"):
        unpack_image(mx.recordio.pack(mx.recordio.IRHeader(*header), b"JPEG"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_cut_or_grown_record_is_believed(payload):
    whole = frame(payload)
    for length in range(len(whole)):
        with pytest.raises(RecordError):
            unframe(whole[:length])
    with pytest.raises(RecordError):
        unframe(whole + bytes(4))
    with pytest.raises(RecordError):
        unframe(whole + whole)


def test_parts_out_of_order():
    first, middle, last = (MAGIC + (kind << 29).to_bytes(4, "little") for kind in (1, 2, 3))
    assert unframe(first + middle + last) == MAGIC * 2
    for record in (last, middle + last, first + first + last, first + frame(b"")):
        with pytest.raises(RecordError, match="out of order"):
            unframe(record)


def test_raw_pixels_that_spell_the_magic_word_come_back():
    image = np.zeros((256, 256, 3), np.uint8)
    image.reshape(-1)[:4] = image.reshape(-1)[400:404] = np.frombuffer(MAGIC, np.uint8)
    record = frame(pack_image(1, 0, 0, encode(image, "raw")))
    assert len(record) > 8 + 24 + image.nbytes
    pixels = unpack_image(unframe(memoryview(record)))[3]
    assert (packed_pixels(pixels, "raw") == image).all()
    with pytest.raises(ImageError, match="196604 bytes instead of 196608"):
        packed_pixels(pixels[4:], "raw")


def test_mutated_images_are_images_or_damaged(rng):
    image = bytearray(encode(photo(1, 256, 256), "jpeg"))
    outcomes = set()
    for _ in range(300):
        mutated = bytearray(image)
        for place in rng.integers(0, rng.choice([300, len(image)]), 3):
            mutated[place] = rng.integers(256)
        try:
            outcomes.add(packed_pixels(bytes(mutated), "jpeg").shape)
        except ImageError:
            outcomes.add("damaged")
    assert outcomes == {(256, 256, 3), "damaged"}


@pytest.mark.parametrize("text", ["plain", "tab\tand\nlines\r\n", r"back\slash \t \\n", "\udce9 \u2028 狗"])
def test_escapes_come_back_and_stay_on_one_line(text):
    assert unescape(escape(text)) == text
    assert not set("\t\n\r") & set(escape(text))
