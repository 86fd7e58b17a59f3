"""The sections of one of cuda-convnet's files, each value taken out once, with its type and range checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

from ...errors import InvalidRequest as InvalidRequest
from ...safe_files import read_text

LARGEST_FILE = 1_000_000  # bytes: the 2012 files have at most 8,000
MOST_SECTIONS = 1_000  # the 2012 files have at most 140
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")


class Section:
    """One section. Keys are not case-sensitive, as in the 2012 code."""

    def __init__(self, file: Path, name: str) -> None:
        self.file, self.name = file, name
        self._items: dict[str, str] = {}
        self._taken: set[str] = set()

    def add(self, key: str, value: str) -> None:
        """One line. Raises InvalidRequest where another one gave the key another value."""
        if self._items.setdefault(key.lower(), value) != value:
            raise self.refuse(f"{key} is given as {self._items[key.lower()][:40]!r} and as {value[:40]!r}")

    def refuse(self, reason: str) -> InvalidRequest:
        """The exception that says what is wrong in this section."""
        return InvalidRequest(f"{self.file.name}, [{self.name}]: {reason}.")

    def __contains__(self, key: str) -> bool:
        return key.lower() in self._items

    def text(self, key: str, default: str | None = None) -> str:
        """The value as it stands. Raises InvalidRequest where there is none and no default."""
        self._taken.add(key.lower())
        value = self._items.get(key.lower(), default)
        if value is None:
            raise self.refuse(f"{key} is missing")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Values between commas."""
        return tuple(part.strip() for part in self.text(key).split(","))

    def integers(self, key: str, count: int, default: int | None = None, least: int | None = 0) -> tuple[int, ...]:
        """So many whole numbers between commas, none below ``least``."""
        return tuple(int(value) for value in self._numbers(key, count, default, least, int, "whole number"))

    def numbers(self, key: str, count: int, default: float | None = None, least: float | None = 0) -> tuple[float, ...]:
        """So many finite numbers between commas, none below ``least``."""
        return tuple(float(value) for value in self._numbers(key, count, default, least, float, "number"))

    def integer(self, key: str, default: int | None = None, least: int | None = 0) -> int:
        """One whole number."""
        return self.integers(key, 1, default, least)[0]

    def number(self, key: str, default: float | None = None, least: float | None = 0) -> float:
        """One finite number."""
        return self.numbers(key, 1, default, least)[0]

    def flags(self, key: str, count: int) -> tuple[bool, ...]:
        """So many of "true", "1", "false", "0", between commas; false where the key is missing."""
        values = self._split(key, count, "0")
        known = {"1": True, "true": True, "0": False, "false": False}
        for value in values:
            if value.lower() not in known:
                raise self.refuse(f"{key} must be true or false, not {value!r}")
        return tuple(known[value.lower()] for value in values)

    def skip(self, *keys: str) -> None:
        """Leave these keys unread: what they say does not change what is computed."""
        self._taken.update(key.lower() for key in keys)

    def refuse_keys(self, reasons: dict[str, str]) -> None:
        """Raise InvalidRequest, with its reason, where one of these keys is there and is neither 0 nor empty."""
        for key, reason in reasons.items():
            if any(value not in ("", "0", "false") for value in self.text(key, "").split(",") if not _is_zero(value)):
                raise self.refuse(f"{key} is not supported: {reason}")

    def finish(self) -> None:
        """Raise InvalidRequest where a key has not been read."""
        unknown = [key for key in self._items if key not in self._taken]
        if unknown:
            raise self.refuse(f"there is no key {', '.join(unknown)} for a layer of this type")

    def _split(self, key: str, count: int, default: str | None) -> tuple[str, ...]:
        values = tuple(part.strip() for part in self.text(key, default).split(","))
        if key.lower() not in self._items:
            return values * count
        if len(values) != count:
            raise self.refuse(f"{key} must have {count} value{'s' * (count > 1)}, one an input, not {len(values)}")
        return values

    def _numbers(
        self, key: str, count: int, default: float | None, least: float | None, kind: Callable[[str], float], words: str
    ) -> list[float]:
        found = []
        for value in self._split(key, count, None if default is None else str(default)):
            try:
                number = kind(value)
                if not math.isfinite(number):
                    raise ValueError
            except (ValueError, OverflowError) as error:
                raise self.refuse(f"{key} must be a {words}, not {value[:40]!r}") from error
            if least is not None and number < least:
                raise self.refuse(f"{key} must be {least} or more, not {value}")
            found.append(number)
        return found


class NoSection(Section):
    """In place of a section of a parameter file that is not read: its numbers are 0."""

    def __contains__(self, key: str) -> bool:
        return True

    def _split(self, key: str, count: int, default: str | None) -> tuple[str, ...]:
        return ("0",) * count

    def _numbers(
        self, key: str, count: int, default: float | None, least: float | None, kind: Callable[[str], float], words: str
    ) -> list[float]:
        return [0 if default is None else default] * count

    def text(self, key: str, default: str | None = None) -> str:
        """The default."""
        return default or ""


def read_sections(file: Path, again: bool = False) -> dict[str, Section]:
    """The sections of a file by name, in its order.

    again: a section may come a second time, as in two of the 2012 parameter files, unless it contradicts itself.
    Raises InvalidRequest where the file cannot be read, or a line is neither [section], key=value nor a comment.
    """
    sections: dict[str, Section] = {}
    present: Section | None = None
    for number, line in enumerate(_text(file).splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", ";")):
            continue
        where = f"{file}, line {number}"
        if line.startswith("["):
            name = line[1:-1]
            if not line.endswith("]") or not NAME.fullmatch(name):
                raise InvalidRequest(f"{where}: {line[:80]!r} does not name a layer, as [conv1] does.")
            if name in sections and not again:
                raise InvalidRequest(f"{where}: the layer {name} is there a second time.")
            if len(sections) == MOST_SECTIONS:
                raise InvalidRequest(f"{file} has more than {MOST_SECTIONS:,} layers, and no net has as many.")
            present = sections.setdefault(name, Section(file, name))
            continue
        key, equals, value = line.partition("=")
        if present is None or not equals or not key.strip():
            raise InvalidRequest(f"{where}: {line[:80]!r} is no line of a layer file, such as [conv1] or filters=96.")
        present.add(key.strip(), re.split(r"\s;", value)[0].strip())
    if not sections:
        raise InvalidRequest(f"{file} is no layer file: it names no layer, as [conv1] does.")
    return sections


def _text(file: Path) -> str:
    try:
        size = file.stat().st_size
        if size > LARGEST_FILE:
            raise InvalidRequest(f"{file} is no layer file: it has {size:,} bytes, more than {LARGEST_FILE:,}.")
        return read_text(file)
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file} is no layer file: it is not text.") from error


def _is_zero(value: str) -> bool:
    try:
        return float(value) == 0
    except ValueError:
        return False
