"""Rules of the house: who imports whom, what is quick, what README must say."""

import ast
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gluon_alexnet.tools.main import COMMANDS, main

ROOT = Path(__file__).parent.parent
ROOMS = {
    "gluon_alexnet": "gluon_alexnet",
    "gluon_alexnet.caffe": "gluon_alexnet/caffe",
    "gluon_alexnet.experiments": "gluon_alexnet/experiments",
    "gluon_alexnet.recordio": "recordio",
    "gluon_alexnet.tools": "tools",
}
MAY_IMPORT = {
    "gluon_alexnet": {"gluon_alexnet"},
    "gluon_alexnet.caffe": {"gluon_alexnet", "gluon_alexnet.caffe"},
    "gluon_alexnet.experiments": {"gluon_alexnet", "gluon_alexnet.experiments"},
    "gluon_alexnet.recordio": {"gluon_alexnet.recordio"},
    "gluon_alexnet.tools": set(ROOMS),
}
SOURCES = [(room, file) for room, folder in ROOMS.items() for file in sorted((ROOT / folder).glob("*.py"))]
IDS = [f"{room.rpartition('.')[2]}/{file.name}" for room, file in SOURCES]


def imported(room, file):
    """Full names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(room.split(".")[: len(room.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield module
            yield from (f"{module}.{name.name}" for name in node.names)


def room_of(module):
    rooms = [room for room in ROOMS if module == room or module.startswith(room + ".")]
    return max(rooms, key=len, default=None)


@pytest.mark.parametrize(("room", "file"), SOURCES, ids=IDS)
def test_imports_point_one_way(room, file):
    for module in imported(room, file):
        other = room_of(module)
        # The bare package name is where a room's own path begins; what is taken from it is listed beside it.
        if other is None or (
            other == "gluon_alexnet" and module == "gluon_alexnet" and room != "gluon_alexnet.recordio"
        ):
            continue
        assert other in MAY_IMPORT[room], f"{file.name} imports {module}"


@pytest.mark.parametrize(("room", "file"), SOURCES, ids=IDS)
def test_click_in_tools_only_mxnet_in_backend_only_pickle_nowhere(room, file):
    modules = {module.split(".")[0] for module in imported(room, file)}
    assert "click" not in modules or room == "gluon_alexnet.tools"
    assert not modules & {"mxnet", "gluoncv"}, "these come from gluon_alexnet.backend"
    assert not modules & {"pickle", "dill", "joblib", "cloudpickle", "shelve"}
    assert "allow_pickle=True" not in file.read_text()


def test_the_checks_above_see_what_they_look_for(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text("def f():\n    from ..training import Learner\n    import click\n    from . import pack\n")
    found = set(imported("gluon_alexnet.recordio", file))
    assert {"gluon_alexnet.training", "click", "gluon_alexnet.recordio.pack"} <= found
    assert room_of("gluon_alexnet.training.Learner") not in MAY_IMPORT["gluon_alexnet.recordio"]


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom gluon_alexnet.tools.main import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "print({'mxnet', 'numpy', 'cv2', 'gluoncv', 'scipy', 'matplotlib', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_summary_and_an_example_and_is_in_the_readme(name):
    command = main.get_command(click.Context(main), name)
    assert command.help.splitlines()[0].endswith((".", ":")) or len(command.help.splitlines()[0]) <= 100
    assert f"Example: alexnet-tools {name}" in command.help
    assert f"alexnet-tools {name}" in (ROOT / "README.md").read_text()


def test_the_readme_names_every_option():
    readme = (ROOT / "README.md").read_text()
    for name in COMMANDS:
        for parameter in main.get_command(click.Context(main), name).params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[0] in readme, f"{name} {parameter.opts[0]}"


def test_the_readme_maps_every_file():
    readme = (ROOT / "README.md").read_text()
    for _, file in SOURCES:
        if file.name != "__init__.py":
            assert f"`{file.relative_to(ROOT)}`" in readme, file
