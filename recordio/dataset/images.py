"""From an image file's bytes to 256x256 RGB and to a packed record's image (paper Sec. 2)."""

from __future__ import annotations

import io
import logging
import struct
import zlib

import cv2
import numpy as np
import simplejpeg
from PIL import Image, ImageFile, UnidentifiedImageError

from .loops import loops
from .manifest import JPEG_QUALITY, MEAN_COLOUR, SIZE

MAX_PIXELS = 150_000_000  # of a source image; decoded it would take 450 MB
MAX_BYTES = 2**29  # of a source file, and of what a compressed one unpacks to
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF")
# A longer strip is cut before it is scaled: only its middle is kept, and scaled whole it could take gigabytes.
MAX_ASPECT = 16

_LOG = logging.getLogger(__name__)
_LOG.addHandler(logging.NullHandler())  # silent, unless the program that uses this listens
_EXIF_BEFORE = 2**16  # bytes of a JPEG among which EXIF's name begins
_GZIP = b"\x1f\x8b"
_END_OF_IMAGE = b"\xff\xd9"
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """The bytes are no image that can be used; the message is the reason."""


def decode(data: bytes, name: str = "") -> np.ndarray:
    """Decode an image file: JPEG, PNG, BMP, WebP, TIFF, GIF's first frame; gzipped too, as one in ILSVRC-2010.

    Returns uint8 (H, W, 3) RGB, upright as EXIF says; grey is repeated, alpha dropped, 16 bits cut to the upper 8,
    CMYK converted. A JPEG that is damaged within is taken as far as it can be read; where `name` says what to call it,
    this is logged. Raises :class:`ImageError` for what is truncated, unknown or absurdly large.
    """
    if not data:
        raise ImageError("empty file")
    if data.startswith(_GZIP):
        data = _gunzip(data)
    frame = _jpeg_frame(data)
    if frame is not None:
        height, width, components = frame
        _check_size(height, width)
        # OpenCV before 4.11 fills what a cut JPEG lacks with grey and is a grey level off in CMYK: Pillow takes those.
        whole = components != 4 and data.rstrip(b"\0\r\n").endswith(_END_OF_IMAGE)
        if whole and (image := _decode_jpeg(data, name)) is not None:
            return image
    return _decode_with_pillow(data)


def _decode_jpeg(data: bytes, name: str) -> np.ndarray | None:
    """RGB pixels, upright, by libjpeg-turbo; None where Pillow has to look at it."""
    try:
        image = simplejpeg.decode_jpeg(data, strict=True)
    except ValueError as damage:
        # OpenCV lets libjpeg print such words to standard error, where nobody knows which file they are about.
        try:
            image = simplejpeg.decode_jpeg(data, strict=False)
        except ValueError:
            return None
        if name:
            _LOG.warning("%s: %s; what can be read of it is taken.", name, str(damage).strip().rstrip("."))
    if b"Exif\0\0" in data[:_EXIF_BEFORE]:
        try:
            with Image.open(io.BytesIO(data)) as header:
                turn = _UPRIGHT.get(header.getexif().get(0x0112, 1))
        except Exception:  # damaged EXIF says nothing about an image that is otherwise whole
            turn = None
        if turn is not None:
            image = np.array(Image.fromarray(image).transpose(turn))
    return image


def shorter_side_256(image: np.ndarray, small: str = "scale") -> np.ndarray:
    """Scale the shorter side to 256 (area filter down, cubic up) and cut the central 256x256 (Sec. 2).

    Takes and returns uint8 RGB: (H, W, 3) → (256, 256, 3). small="centre": an image whose shorter side is below 256 is
    not scaled up, but put in the centre of the mean colour, as in a TensorFlow version of the net.
    """
    if small == "centre" and min(image.shape[:2]) < SIZE:
        return _in_the_centre(image)
    height, width = image.shape[:2]
    shorter = min(height, width)
    image = _centre(image, min(height, shorter * MAX_ASPECT), min(width, shorter * MAX_ASPECT))
    if shorter != SIZE:
        height, width = (max(SIZE, int(side * SIZE / shorter + 0.5)) for side in image.shape[:2])
        scaled_centre = loops().scaled_centre
        whole = image.shape[0] % height == 0 and image.shape[1] % width == 0  # then OpenCV adds integers
        if shorter > SIZE and scaled_centre is not None and not whole:
            return scaled_centre(image, height, width)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shorter > SIZE else cv2.INTER_CUBIC)
    return np.ascontiguousarray(_centre(image, SIZE, SIZE))


def encode(image: np.ndarray, encoding: str) -> bytes:
    """A record's image of uint8 (256, 256, 3) RGB: JPEG at the data set's quality, or for `raw` the pixels."""
    if encoding == "raw":
        return image.tobytes()
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ImageError("OpenCV could not encode it")
    return data.tobytes()


def packed_pixels(data: bytes | memoryview, encoding: str, scratch: np.ndarray | None = None) -> np.ndarray:
    """The pixels of a record's image: uint8 (256, 256, 3) RGB.

    `scratch`, uint8 of that shape and contiguous, takes them where they have to be decoded; raw ones are returned where
    they lie, read-only. Raises :class:`ImageError` when the image is damaged.
    """
    if encoding == "raw":
        if len(data) != SIZE * SIZE * 3:
            raise ImageError(f"the image has {len(data)} bytes instead of {SIZE * SIZE * 3}")
        return np.frombuffer(data, np.uint8).reshape(SIZE, SIZE, 3)
    # simplejpeg takes three quarters of the time of OpenCV for the same pixels, and tells of damage that OpenCV hides.
    try:
        height, width = simplejpeg.decode_jpeg_header(data)[:2]
        if (height, width) != (SIZE, SIZE):
            raise ImageError(f"the image has {width}x{height} pixels instead of {SIZE}x{SIZE}")
        if data[-2:] != _END_OF_IMAGE:
            raise ImageError("the image cannot be decoded")
        return simplejpeg.decode_jpeg(data, buffer=scratch)
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError("the image cannot be decoded") from error


def _in_the_centre(image: np.ndarray) -> np.ndarray:
    image = _centre(image, min(image.shape[0], SIZE), min(image.shape[1], SIZE))
    whole = np.full((SIZE, SIZE, 3), MEAN_COLOUR, np.uint8)
    _centre(whole, *image.shape[:2])[:] = image
    return whole


def _centre(image: np.ndarray, height: int, width: int) -> np.ndarray:
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ImageError(f"its header says {width}x{height} pixels")
    if height * width > MAX_PIXELS:
        raise ImageError(f"its header says {width}x{height} pixels, the limit is {MAX_PIXELS // 10**6} million")


def _gunzip(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(data, MAX_BYTES)
    except zlib.error as error:
        raise ImageError(f"damaged gzip file: {error}") from error
    if not unpacker.eof:
        raise ImageError("truncated or oversized gzip file")
    return plain


def _jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """(height, width, components) from a JPEG's frame header, or None for what needs a second look."""
    if data[:2] != b"\xff\xd8":
        return None
    position = 2
    while position + 10 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return struct.unpack_from(">HHB", data, position + 5)
        if not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xDA:
            return None
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    return None


def _decode_with_pillow(data: bytes) -> np.ndarray:
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # importing gluoncv has Pillow fill up cut images, in the whole program
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.height, image.width)
            image.load()
            return _upright_rgb(image)
    except UnidentifiedImageError as error:
        raise ImageError(f"not an image in a format this program reads ({', '.join(FORMATS)})") from error
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"its header says more than {MAX_PIXELS // 10**6} million pixels") from error
    except Exception as error:  # Pillow's plug-ins raise a dozen kinds for damaged files
        raise ImageError(str(error) or type(error).__name__) from error


def _upright_rgb(image: Image.Image) -> np.ndarray:
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # damaged EXIF says nothing about an image that is otherwise whole
        orientation = None
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    if image.mode == "F":
        raise ImageError("floating-point pixels, whose range is unknown")
    if image.mode.startswith("I"):
        # Pillow clips 16 bits at 255 when it converts them itself.
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ImageError("32-bit pixels, whose range is unknown")
        return cv2.cvtColor((grey >> 8).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))
