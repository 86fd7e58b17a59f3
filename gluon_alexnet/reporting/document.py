"""The parts of a page that stands alone: text, tables, bars and images within one HTML file."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

STYLE = Path(__file__).with_name("style.css")


class Raw(NamedTuple):
    """HTML, to be taken as it is; everything else is text and is escaped."""

    html: str


def document(title: str, lead: str, sections: Iterable[Raw]) -> str:
    """The whole page."""
    style = STYLE.read_text(encoding="utf-8")
    body = "".join(section.html for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>\n<main>{body}</main>\n'
        "</body>\n</html>\n"
    )


def section(title: str, *parts: str | Raw) -> Raw:
    """A part of the page with its heading; what is text becomes a paragraph."""
    content = "".join(part.html if isinstance(part, Raw) else f"<p>{escape(part)}</p>" for part in parts)
    return Raw(f"<section><h2>{escape(title)}</h2>{content}</section>\n")


def heading(text: str) -> Raw:
    """A heading within a section."""
    return Raw(f"<h3>{escape(text)}</h3>")


def fine(text: str) -> Raw:
    """A remark in small print."""
    return Raw(f'<p class="fine">{escape(text)}</p>')


def items(lines: Sequence[str]) -> Raw:
    """A list."""
    return Raw(f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>")


def code(lines: Sequence[str]) -> Raw:
    """Commands, one a line; where they are too long for it they break between words, not within ``--option``."""
    words = (" ".join(f"<span>{escape(word)}</span>" for word in line.split(" ")) for line in lines)
    return Raw(f"<pre>{chr(10).join(words)}</pre>")


def facts(rows: Sequence[tuple[str, str]]) -> Raw:
    """A table of names and values."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return Raw(f'<div class="scroll"><table>{body}</table></div>')


def table(head: Sequence[str], rows: Sequence[Sequence[str]], ours: Sequence[int] = ()) -> Raw:
    """A table whose first column is text and whose others are numbers; ours: rows that stand out."""

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{(' class=' + chr(34) + 'number' + chr(34)) if place else ''}>{escape(cell)}</{tag}>"
            for place, cell in enumerate(row)
        )

    body = "".join(
        f"<tr{' class=ours' if place in ours else ''}>{cells(row, 'td')}</tr>" for place, row in enumerate(rows)
    )
    return Raw(
        f'<div class="scroll"><table><thead><tr>{cells(head, "th")}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def bars(rows: Sequence[tuple[str, float, str]]) -> Raw:
    """Bars with their numbers: (name, per cent of the whole width, what is written beside it)."""
    lines = []
    for name, share, number in rows:
        width = f"max(2px, {min(100.0, share):.2f}%)" if share > 0 else "0"  # what is there is seen, and 0 is nothing
        fill = f'<span class="fill" style="width:{width}"></span>'
        track = f'<span class="track" aria-hidden="true">{fill}</span>'
        lines.append(f'<li><span>{escape(name)}</span>{track}<span class="number">{escape(number)}</span></li>')
    return Raw(f'<ul class="bars">{"".join(lines)}</ul>')


def figure(content: Raw, caption: str, style: str = "") -> Raw:
    """Something with a caption beneath."""
    return Raw(f'<figure class="{style}">{content.html}<figcaption>{escape(caption)}</figcaption></figure>')


def pairs(entries: Sequence[tuple[str, Sequence[np.ndarray]]]) -> Raw:
    """Rows of images, each under its own line, side by side where there is room."""
    rows = [figure(strip([(pixels, "") for pixels in images], text), text).html for text, images in entries]
    return Raw(f'<div class="pairs">{"".join(rows)}</div>')


def strip(entries: Sequence[tuple[np.ndarray, str]], what: str) -> Raw:
    """Images, uint8 (height, width, 3), in a row, each with a line beneath; what: what those without one show."""
    lines = [f"<li>{image(pixels, text or what).html}{escape(text)}</li>" for pixels, text in entries]
    return Raw(f'<ul class="strip">{"".join(lines)}</ul>')


def views(entries: Sequence[tuple[np.ndarray, str, str, bool]]) -> Raw:
    """Ten views: (pixels, first guess, the rest, whether it is another guess than that of the ten together)."""
    lines = [
        f"<li{' class=other' if other else ''}>{image(pixels, text).html}<b>{escape(text)}</b>{escape(rest)}</li>"
        for pixels, text, rest, other in entries
    ]
    return Raw(f'<ul class="ten">{"".join(lines)}</ul>')


def image(pixels: np.ndarray, text: str, exact: bool = False) -> Raw:
    """uint8 (height, width, 3) RGB within the page; text: what it shows. exact: PNG rather than JPEG, and RGBA, too."""
    kind, options = (".png", []) if exact else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 88])
    order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    done, data = cv2.imencode(kind, cv2.cvtColor(np.ascontiguousarray(pixels), order), options)
    if not done:
        raise RuntimeError("OpenCV could not encode an image")
    mime = "png" if exact else "jpeg"
    return Raw(f'<img alt="{escape(text)}" src="data:image/{mime};base64,{base64.b64encode(data.tobytes()).decode()}">')
