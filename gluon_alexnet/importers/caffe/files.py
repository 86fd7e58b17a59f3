"""Which of two files is the prototxt, and which published net a caffemodel is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import InvalidRequest
from ...safe_files import opened
from ..arrays import check_size

# SHA-1 of the files that BVLC published, as the models' own pages give it.
PUBLISHED = {
    "9116a64c0fbe4459d18f4bb6b56d647b63920377": "bvlc_alexnet.caffemodel",
    "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46": "bvlc_reference_caffenet.caffemodel",
}
_HEAD = 4096  # bytes that tell


def is_text(file: Path) -> bool:
    """Whether a file can be a prototxt: it begins without control characters. A caffemodel has them in its lengths."""
    check_size(file)
    with opened(file) as stream:
        head = stream.read(_HEAD)
    return bool(head) and not any(byte < 9 or 13 < byte < 32 for byte in head)


def in_order(files: Sequence[Path]) -> tuple[Path, Path]:
    """(prototxt, caffemodel), in whichever order they were given. Raises InvalidRequest unless there are two files."""
    if len(files) != 2:
        raise InvalidRequest(
            f"Caffe's nets are two files, the deploy.prototxt and the caffemodel; {len(files)} "
            f"{'was' if len(files) == 1 else 'were'} given."
        )
    first, second = files
    return (second, first) if is_text(second) and not is_text(first) else (first, second)
