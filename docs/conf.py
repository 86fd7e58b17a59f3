"""The site's settings: `make docs` builds it with warnings as errors."""

import dataclasses
import inspect
import os
import re
import sys
from pathlib import Path

import gluon_alexnet

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import rooms  # noqa: E402  (beside this file)
import which  # noqa: E402

(HERE / "_build").mkdir(exist_ok=True)
written = {f"which-{name}": table for name, table in which.tables(HERE.parent).items()}
for name, text in {"rooms": rooms.draw(HERE.parent), **written}.items():
    draft = HERE / "_build" / f"{name}-{os.getpid()}.md"  # two builds may run at a time
    draft.write_text(text, encoding="utf-8")
    draft.replace(HERE / "_build" / f"{name}.md")

project = "gluon-alexnet"
author = "the gluon-alexnet maintainers"
release = gluon_alexnet.__version__
extensions = [
    "myst_nb",  # Markdown pages and the notebook
    "sphinx.ext.autodoc",
    "sphinx_click",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = os.environ.get("NB_EXECUTION", "off")  # `make docs` sets force; a test runs the notebook by itself
nb_execution_timeout = 300
nb_execution_raise_on_error = True
suppress_warnings = ["mystnb.unknown_mime_type"]
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
smartquotes = False  # two hyphens are an option's, not a dash
html_theme = "furo"
html_title = "gluon-alexnet"


def _examples(app, ctx, lines):
    """The commands' help is plain text: an asterisk in it is no emphasis, and examples are code."""
    for index, line in enumerate(lines):
        before, found, command = line.partition("Example: ")
        lines[index] = f"{before}``{command}``" if found else line.replace("*", r"\*")


def _fields(app, what, name, found, options, lines):
    """A dataclass's fields, each with the comment beside it in the source."""
    if not (inspect.isclass(found) and dataclasses.is_dataclass(found)):
        return
    kept = [line for line in lines if line]
    lines[:] = [] if kept and kept[0].startswith(f"{found.__name__}(") else lines  # Python's own signature
    above = ""
    for line in inspect.getsource(found).splitlines():
        if line.strip().startswith(("def ", "@property", "@staticmethod", "@classmethod")):
            break
        field = re.match(r"    (\w+): (?:[^#]*?)(?:\s+# (.+))?$", line)
        if re.match(r"    # ", line):
            above += " " + line.strip(" #")
        elif field and field[1] in found.__dataclass_fields__:
            said = " ".join(part for part in (above.strip(), field[2]) if part).replace("*", r"\*")
            lines += ["", f"* ``{field[1]}``" + (f": {said}" if said else "")]
            above = ""
    lines.append("")


def setup(app):
    """Sphinx's hook."""
    app.connect("autodoc-process-docstring", _fields)
    app.connect("sphinx-click-process-description", _examples)
