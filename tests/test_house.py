"""Rules of the house: who imports whom, what is quick, what each command's help must say."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gluon_alexnet.tools.main import COMMANDS, main

ROOT = Path(__file__).parent.parent
FOLDERS = {"gluon_alexnet": "gluon_alexnet", "gluon_alexnet.recordio": "recordio", "gluon_alexnet.tools": "tools"}


def _module(package, folder, file):
    parts = file.relative_to(ROOT / folder).with_suffix("").parts
    return ".".join([package, *(part for part in parts if part != "__init__")])


SOURCES = {
    _module(package, folder, file): file
    for package, folder in FOLDERS.items()
    for file in sorted((ROOT / folder).rglob("*.py"))
}


@functools.cache
def imported(module, file):
    """Full names of the modules that a file imports, anywhere in it."""
    return tuple(_imported(module, file))


def _imported(module, file):
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for name in node.names:
                yield f"{source}.{name.name}" if f"{source}.{name.name}" in SOURCES else source


def room_of(module):
    """The folder that a module lies in; a module beside the rooms is a room of its own."""
    if module.startswith("gluon_alexnet.tools"):
        return "tools"
    if module.startswith("gluon_alexnet.recordio"):
        return ".".join(module.split(".")[1:3])
    return module.split(".")[1] if "." in module else module


def is_neutral(name):
    """Whether a module, beside the rooms, stands on nothing heavy and on such modules alone: both sides may use it."""
    if room_of(name) != name.rpartition(".")[2] or SOURCES[name].name == "__init__.py":
        return False
    needs = set(imported(name, SOURCES[name]))
    others = {module for module in needs if module == name or module not in SOURCES or not is_neutral(module)}
    needed = {module.split(".")[0] for module in others}
    return (
        needed <= {*sys.stdlib_module_names, "numpy", "matplotlib"}
        if hasattr(sys, "stdlib_module_names")
        else "gluon_alexnet" not in needed
    )


def arrows():
    """Room → the other rooms of ours that its files import."""
    found = {}
    for module, file in SOURCES.items():
        room = room_of(module)
        found.setdefault(room, set()).update(
            room_of(name) for name in imported(module, file) if name in SOURCES and room_of(name) != room
        )
    return found


def circles(graph):
    """The nodes that reach themselves."""

    def reached(node, seen):
        for other in graph.get(node, ()):
            if other not in seen:
                seen.add(other)
                reached(other, seen)
        return seen

    return {node for node in graph if node in reached(node, set())}


def test_no_circle_between_rooms_or_files():
    assert circles(arrows()) == set()
    files = {module: {name for name in imported(module, file) if name != module} for module, file in SOURCES.items()}
    files.pop("gluon_alexnet")  # the public API, which loads its parts on demand
    assert circles(files) == set()


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_down(module):
    room, names = room_of(module), set(imported(module, SOURCES[module]))
    ours = {room_of(name) for name in names if name in SOURCES}
    if room != "tools":
        assert "tools" not in ours
        assert "click" not in {name.split(".")[0] for name in names}
    if room not in ("tools", "workflows"):
        assert "workflows" not in ours or module == "gluon_alexnet"
        sided = {room_of(name) for name in names if name in SOURCES and not is_neutral(name)}
        data, network = (any(name.startswith("recordio") is side for name in sided) for side in (True, False))
        assert not (network if room.startswith("recordio") else data), (
            "recordio and the network know nothing of each other"
        )
    heavy = {name.split(".")[0] for name in names}
    assert module == "gluon_alexnet.backend" or not heavy & {"mxnet", "gluoncv"}, (
        "these come from gluon_alexnet.backend"
    )
    assert not heavy & {"pickle", "dill", "joblib", "cloudpickle", "shelve"}
    assert "allow_pickle=True" not in SOURCES[module].read_text()


BESIDE_WORKFLOWS = {"tools", "workflows", "gluon_alexnet", "errors", "version"}


@pytest.mark.parametrize("module", [name for name in SOURCES if room_of(name) == "tools"])
def test_a_command_calls_workflows_and_nothing_below_them(module):
    """Beside them it may use the public API, the two kinds of errors and the version.

    What a help text needs before anything runs, such as the names of the recipes, is in workflows/option_choices.py.
    """
    ours = {name for name in imported(module, SOURCES[module]) if name in SOURCES}
    assert {name for name in ours if room_of(name) not in BESIDE_WORKFLOWS} == set()


def test_the_library_prints_nothing():
    for module, file in SOURCES.items():
        if not module.startswith("gluon_alexnet.tools") and '__name__ == "__main__"' not in file.read_text():
            calls = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
            assert not any(isinstance(one, ast.Name) and one.id in ("print", "input") for one in calls), module


def test_the_checks_above_see_what_they_look_for(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text("def f():\n    from ...training.trainer import Trainer\n    import click\n    from . import pack\n")
    found = set(imported("gluon_alexnet.recordio.packing.bad", file))
    assert {"gluon_alexnet.training.trainer", "click", "gluon_alexnet.recordio.packing.pack"} <= found
    assert room_of("gluon_alexnet.recordio.packing.pack") == "recordio.packing"
    neutral = {name for name in SOURCES if is_neutral(name)}
    assert {"gluon_alexnet.safe_pickle", "gluon_alexnet.drawing"} <= neutral
    assert not neutral & {
        "gluon_alexnet",
        "gluon_alexnet.backend",
        "gluon_alexnet.recipes.schema",
    }
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == {"b", "c"}


def test_every_source_is_installed():
    listed = subprocess.run([sys.executable, "setup.py", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    for folder in {file.parent for file in SOURCES.values()}:
        assert (folder / "__init__.py").is_file(), f"{folder} is not a package, so it would not be installed"


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom gluon_alexnet.tools.main import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "print({'mxnet', 'numpy', 'cv2', 'gluoncv', 'scipy', 'matplotlib', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_summary_and_an_example(name):
    command = main.get_command(click.Context(main), name)
    summary = command.help.splitlines()[0]
    assert summary.endswith(".") and summary == command.get_short_help_str(100)  # whole in the list of commands
    assert f"Example: alexnet-tools {name}" in command.help
