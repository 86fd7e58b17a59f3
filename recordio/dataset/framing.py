"""MXNet's RecordIO framing and image header, in plain bytes.

Written here because importing MXNet takes a second and its reader raises bare errors. A record is the magic word, a
word of 3 bits kind and 29 bits length, the payload, and zeros up to a multiple of 4 bytes, all little-endian. A payload
that holds the magic word at a multiple of 4 is written in parts without it: kinds 1 (first), 2 (middle), 3 (last).
"""

from __future__ import annotations

import struct
from typing import Union

import numpy as np

Bytes = Union[bytes, memoryview]

MAGIC = struct.pack("<I", 0xCED7230A)
MAX_PAYLOAD = 2**29 - 1

_WORD = np.dtype("<u4")
_FRAME = struct.Struct("<4sI")
_HEADER = struct.Struct("<IfQQ")  # flag, label, id, id2: mxnet.recordio.IRHeader
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


class RecordError(ValueError):
    """The bytes at this place are no whole record; the message is the reason."""


def frame(payload: bytes) -> bytes:
    """The record that holds `payload`; ValueError when it is longer than the format can say."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a record holds at most {MAX_PAYLOAD} bytes, this one has {len(payload)}")
    parts = _split_at_magic(payload)
    kinds = [_WHOLE] if len(parts) == 1 else [_FIRST, *([_MIDDLE] * (len(parts) - 2)), _LAST]
    pieces = []
    for kind, part in zip(kinds, parts):
        pieces += [_FRAME.pack(MAGIC, kind << 29 | len(part)), part]
    pieces.append(bytes(-len(payload) % 4))
    return b"".join(pieces)


def unframe(record: Bytes) -> Bytes:
    """The payload of `record`, which must be one whole record and nothing else; :class:`RecordError` otherwise.

    Where the record has one part and is a memoryview, so is the payload: nothing is copied.
    """
    parts: list[Bytes] = []
    position = 0
    while True:
        if position + _FRAME.size > len(record):
            raise RecordError("the record is cut")
        magic, word = _FRAME.unpack_from(record, position)
        if magic != MAGIC:
            raise RecordError("the record does not begin with RecordIO's magic word")
        kind, length = word >> 29, word & MAX_PAYLOAD
        if kind not in ((_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)):
            raise RecordError("the record's parts are out of order")
        position += _FRAME.size
        if position + length > len(record):
            raise RecordError(f"the record says {length} bytes, and {len(record) - position} are there")
        parts.append(record[position : position + length])
        position += length + -length % 4
        if kind in (_WHOLE, _LAST):
            break
    if position != len(record):
        raise RecordError(f"the record takes {position} bytes instead of {len(record)}")
    return parts[0] if len(parts) == 1 else MAGIC.join(parts)


def pack_image(label: int, position: int, shard: int, image: bytes) -> bytes:
    """Payload of one labelled image: MXNet's header (label as float32, id = position, id2 = shard) and the image."""
    return _HEADER.pack(0, label, position, shard) + image


def unpack_image(payload: Bytes) -> tuple[int, int, int, Bytes]:
    """(label, position, shard, image) of :func:`pack_image`; :class:`RecordError` when the header is another one."""
    if len(payload) < _HEADER.size:
        raise RecordError("the record is shorter than its header")
    flag, label, position, shard = _HEADER.unpack_from(payload)
    if flag != 0 or label < -1 or not label.is_integer():  # -1: no label
        raise RecordError("the record's header is not one of a labelled image")
    return int(label), position, shard, payload[_HEADER.size :]


def _split_at_magic(payload: bytes) -> list[bytes]:
    # Comparing words takes a third of the time of searching bytes.
    words = np.frombuffer(payload, _WORD, len(payload) // 4)
    parts = []
    begin = 0
    for found in np.flatnonzero(words == np.frombuffer(MAGIC, _WORD)).tolist():
        parts.append(payload[begin : 4 * found])
        begin = 4 * found + 4
    parts.append(payload[begin:])
    return parts
