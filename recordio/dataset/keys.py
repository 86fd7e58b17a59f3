"""The `.keys` file of a shard: the name of each image and the checksum of its record, a line each."""

from __future__ import annotations

import re

import numpy as np


def read_keys(content: bytes) -> tuple[list[str], np.ndarray]:
    """The names in a `.keys` file and the CRC-32 of their framed records, uint32 (images,)."""
    lines = [line.rpartition("\t") for line in content.decode("utf-8", "surrogateescape").split("\n")[:-1]]
    return [unescape(key) for key, _, _ in lines], np.array([int(crc, 16) for _, _, crc in lines], np.uint32)


def escape(text: str) -> str:
    """`text` on one line and in one column: backslash, tab and line ends written as in Python."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def unescape(text: str) -> str:
    """The inverse of :func:`escape`."""
    return re.sub(r"\\(.)", lambda match: {"t": "\t", "n": "\n", "r": "\r"}.get(match[1], match[1]), text)
