"""Whether a file or a folder that a user names can be written, found out before any work."""

from __future__ import annotations

from pathlib import Path

from ..atomic_files import check_folder, place_of

__all__ = ["check_drawing", "check_file", "check_folder"]


def check_file(file: Path) -> None:
    """Raise InvalidRequest where no file can be written by that name."""
    place_of(file)


def check_drawing(file: Path) -> None:
    """The same for a drawing, whose ending must say the format, .png or .svg."""
    from ..drawing import check_format

    check_format(file)
    check_file(file)
