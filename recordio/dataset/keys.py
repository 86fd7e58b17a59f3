"""The `.keys` file of a shard: the name of each image and the checksum of its record, a line each."""

from __future__ import annotations

import re

import numpy as np

try:
    # The same CRC-32 in a fourteenth of the time: every record is checked when read.
    from zlib_ng.zlib_ng import adler32, crc32
except ImportError:  # a processor or a system that there is no wheel for
    from zlib import adler32, crc32

__all__ = ["adler32", "crc32", "escape", "read_checksums", "read_keys", "unescape"]
_DIGITS = 8
_VALUES = np.full(256, -1, np.int64)
_VALUES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


def read_keys(content: bytes) -> tuple[list[str], np.ndarray]:
    """The names in a `.keys` file and the CRC-32 of their framed records, uint32 (images,)."""
    lines = [line.rpartition("\t") for line in content.decode("utf-8", "surrogateescape").split("\n")[:-1]]
    return [unescape(key) for key, _, _ in lines], np.array([int(crc, 16) for _, _, crc in lines], np.uint32)


def read_checksums(content: bytes) -> np.ndarray:
    """The CRC-32 of the framed records alone, uint32 (images,); ValueError where a line has none."""
    text = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    if len(text) and (text[-1] != ord("\n") or np.diff(ends, prepend=-1).min() <= _DIGITS):
        raise ValueError("a line without a checksum")
    digits = _VALUES[text[ends[:, None] - np.arange(_DIGITS, 0, -1)]]
    if (digits < 0).any():
        raise ValueError("a checksum that is no number")
    return (digits @ (16 ** np.arange(_DIGITS - 1, -1, -1))).astype(np.uint32)


def escape(text: str) -> str:
    """`text` on one line and in one column: backslash, tab and line ends written as in Python."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def unescape(text: str) -> str:
    """The inverse of :func:`escape`."""
    return re.sub(r"\\(.)", lambda match: {"t": "\t", "n": "\n", "r": "\r"}.get(match[1], match[1]), text)
