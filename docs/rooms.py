"""The drawing and the table of the page Architecture, made from the imports of the code.

`draw(ROOT)` gives the page's part in Markdown: an SVG with one box per room, each above the rooms that it imports, and
a table with each room's purpose, size and imports.
"""

import ast
from collections import defaultdict
from html import escape
from pathlib import Path

FOLDERS = {"gluon_alexnet": "gluon_alexnet", "gluon_alexnet.recordio": "recordio", "gluon_alexnet.tools": "tools"}
BOX, GAP, FLOOR = (132, 34), 14, 62  # pixels: a box, between boxes, from floor to floor
DATA, NETWORK, JOINING = "#2f7d6b", "#3b6ea8", "#8a5a9e"


def modules(root):
    """Every module's full name and file."""
    for package, folder in FOLDERS.items():
        for file in sorted((root / folder).rglob("*.py")):
            parts = file.relative_to(root / folder).with_suffix("").parts
            yield ".".join([package, *(part for part in parts if part != "__init__")]), file


def room_of(module):
    """The folder that a module lies in; a module beside the rooms is a room of its own."""
    parts = module.split(".")[1:]
    if not parts:
        return "gluon_alexnet"
    return ".".join(parts[:2]) if parts[0] == "recordio" else parts[0]


def imports(module, file, names):
    """The modules of ours that a file imports."""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for one in node.names:
                full = f"{source}.{one.name}"
                if full in names or source in names:
                    yield full if full in names else source


def survey(root):
    """(room → rooms it imports, room → lines, room → purpose)."""
    sources = dict(modules(root))
    below, lines, purpose = defaultdict(set), defaultdict(int), {}
    for module, file in sources.items():
        room = room_of(module)
        if room in ("gluon_alexnet", "recordio"):  # the packages themselves hold no work
            continue
        lines[room] += len(file.read_text(encoding="utf-8").splitlines())
        below[room] |= {room_of(name) for name in imports(module, file, sources)} - {room, "gluon_alexnet", "recordio"}
        if module == f"gluon_alexnet.{room}" or room not in purpose:
            purpose[room] = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]
    return below, lines, purpose


def floors(below):
    """The rooms from the top floor to the ground; each lies above all that it imports."""
    height = {}

    def of(room, seen=()):
        if room in seen:
            raise ValueError(f"rooms import each other: {' → '.join([*seen, room])}")
        if room not in height:
            height[room] = 1 + max((of(other, (*seen, room)) for other in below[room]), default=-1)
        return height[room]

    for room in list(below):
        of(room)
    return [sorted(room for room in height if height[room] == floor) for floor in range(max(height.values()), -1, -1)]


def direct(below):
    """The arrows that no longer way says already."""

    def reached(room):
        return set().union(*({other} | reached(other) for other in below[room])) if below[room] else set()

    return {
        room: {other for other in others if not any(other in reached(third) for third in others - {other})}
        for room, others in below.items()
    }


def _colour(room):
    return JOINING if room in ("tools", "workflows") else DATA if room.startswith("recordio") else NETWORK


def svg(below):
    """The drawing as one line of SVG: boxes on floors, and the arrows that no longer way says already."""
    storeys = floors(below)
    width = max(len(storey) for storey in storeys) * (BOX[0] + GAP) + GAP
    places, parts = {}, []
    for floor, storey in enumerate(storeys):
        left = (width - len(storey) * (BOX[0] + GAP) + GAP) / 2
        for index, room in enumerate(storey):
            places[room] = (left + index * (BOX[0] + GAP), 8 + floor * FLOOR)
    for room, others in sorted(direct(below).items()):
        for other in sorted(others):
            (x, y), (to_x, to_y) = places[room], places[other]
            begin, end = (x + BOX[0] / 2, y + BOX[1]), (to_x + BOX[0] / 2, to_y)
            parts.append(
                f'<path d="M{begin[0]:.0f} {begin[1]:.0f} C{begin[0]:.0f} {begin[1] + 20:.0f} {end[0]:.0f} '
                f'{end[1] - 20:.0f} {end[0]:.0f} {end[1]:.0f}" fill="none" stroke="#8888" stroke-width="1.2"/>'
            )
    for room, (x, y) in places.items():
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX[0]}" height="{BOX[1]}" rx="6" fill="{_colour(room)}"/>'
            f'<text x="{x + BOX[0] / 2:.0f}" y="{y + BOX[1] / 2 + 4:.0f}" text-anchor="middle" fill="#fff" '
            f'font-family="sans-serif" font-size="12">{escape(room)}</text>'
        )
    height = len(storeys) * FLOOR
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" style="max-width:100%" '
        f'aria-label="The rooms of the house: each lies above the rooms that it imports">{"".join(parts)}</svg>'
    )


def draw(root):
    """The drawing and the table, in Markdown."""
    below, lines, purpose = survey(Path(root))
    rows = ["| room | what it is for | lines | imports |", "|---|---|---|---|"]
    for room in (room for storey in floors(below) for room in storey):
        rows.append(f"| `{room}` | {purpose[room]} | {lines[room]} | {', '.join(sorted(below[room])) or '–'} |")
    legend = (
        "Green: the data set's side. Blue: the network's side. Violet: the rooms that join them. A line means that the "
        "upper room imports the lower one; lines that follow from others are left out, the table has them all."
    )
    return "\n".join(["```{raw} html", svg(below), "```", "", legend, "", *rows, ""])
