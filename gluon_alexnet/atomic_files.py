"""Files that are whole or not there: written beside, flushed to the disk, renamed; and their digests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def write_text(file: Path, text: str) -> None:
    """Write UTF-8 text so that the file is never found half-written under its name."""
    draft = file.with_name(f".{file.name}.draft")
    with open(draft, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, file)


def sync(path: Path) -> None:
    """Have the disk hold what was written to a file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(file: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
