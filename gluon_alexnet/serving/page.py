"""The page as one document: its markup, style and script, which lie apart here, put together when the server starts."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent / "page"
STYLES = ("style.css",)
SCRIPTS = ("drawing.js", "figures.js", "lecture.js")


def assemble() -> tuple[bytes, str]:
    """(the document, UTF-8, its Content-Security-Policy). Nothing but these very scripts and styles may run in it."""
    style = "".join(_read(name) for name in STYLES)
    script = "".join(_read(name) for name in SCRIPTS)
    document = _read("index.html")
    for mark, content in (("/* style */", style), ("/* script */", script)):
        before, found, after = document.partition(mark)
        if not found:
            raise ValueError(f"index.html has no {mark}")
        document = before + content + after
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return document.encode(), policy


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
