"""The pages: they build without a warning, name every command and option, and show commands that exist."""

import ast
import inspect
import re
import shlex
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import click
import pytest

import gluon_alexnet as ga
from gluon_alexnet.tools import main as tools_main
from gluon_alexnet.tools.main import COMMANDS, main

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in (ROOT / "docs").glob("*.md")),
]
README_LINES = 150


def leaves(command, words):
    """(words, command) of a command, or of each one below it."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from leaves(command.get_command(click.Context(command), name), [*words, name])
    else:
        yield words, command


def options():
    """(words, option) of every option of every command."""
    for words, command in leaves(main, []):
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield words, parameter.opts[0]


def code_blocks(text):
    """The lines of fenced and of indented code but Python's, continued ones joined."""
    fenced, python, kept = False, False, []
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced, python = not fenced, line.strip() == "```python"
        elif (fenced and not python) or (not fenced and line.startswith("    ")):
            kept.append(line.strip())
    return re.sub(r"\\\n\s*", " ", "\n".join(kept)).splitlines()


def commands(text):
    """The words after each `alexnet-tools` in the code of a page, up to a pipe, a comment or the end of a sentence."""
    for line in code_blocks(text):
        if "alexnet-tools " not in line:
            continue
        words = shlex.split(line, comments=True)
        for place, word in enumerate(words):
            if word == "alexnet-tools":
                rest = [other for other in words[place + 1 :] if other != "$@"]  # a script's own words
                ends = [index for index, other in enumerate(rest) if other in ("|", "&&", ";", ">", "alexnet-tools")]
                rest = rest[: ends[0]] if ends else rest
                if rest:  # a shell's completion names the program alone
                    yield rest


SHOWN = [(page, words) for page in PAGES for words in commands(page.read_text())]


def test_the_pages_build_and_hold_what_they_should(tmp_path):
    """One test, so that the pages are built once by however many processes; the notebook has a test of its own."""
    site = tmp_path / "site"
    words = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(ROOT / "docs"), str(site)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    check_links(site)
    check_index(site)
    check_commands(site)
    check_library(site)


def check_links(site):
    """Links between the pages lead somewhere."""
    targets = set()
    for page in site.glob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"#?:]+)(?:[?#][^"]*)?"', page.read_text()):
            targets.add((page.name, link))
    assert len(targets) > 100
    assert {(page, link) for page, link in targets if not (site / link).exists()} == set()


def check_index(site):
    """Every page is reachable from the index."""
    index = (site / "index.html").read_text()
    for page in [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("*.ipynb")]:
        assert f'href="{page.stem}.html"' in index or page.stem == "index", page


def check_commands(site):
    """Every command and option is in the reference."""
    reference = (site / "cli.html").read_text()
    found = list(options())
    assert len(found) > 100
    for words, option in found:
        anchor = f'id="cmdoption-alexnet-tools-{"-".join(words)}{"-" * (option[1] != "-")}{option[1:].lower()}"'
        assert anchor in reference, (words, option)


def check_library(site):
    """Everything public is in the reference."""
    reference = (site / "api.html").read_text()
    absent = [
        name for name in ga.__all__ if not name.startswith("__") and f'id="gluon_alexnet.{name}"' not in reference
    ]
    assert absent == []


def python_blocks(page):
    return [
        textwrap.dedent(block)
        for block in re.findall(r"^ *```python\n(.*?) *```", page.read_text(), re.DOTALL | re.MULTILINE)
    ]


def python_calls():
    """(page, words of the call, its syntax) of each `ga.NAME(…)` and `model.NAME(…)` in the pages' Python."""
    for page in PAGES:
        for block in python_blocks(page):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner = getattr(node.func.value, "id", None)
                    if owner in ("ga", "model"):
                        yield page, owner, node


def test_python_in_the_pages_calls_what_there_is():
    found = list(python_calls())
    assert len(found) > 10
    for page, owner, node in found:
        function = getattr({"ga": ga, "model": ga.Model}[owner], node.func.attr)
        signature = inspect.signature(function)
        values = [None] * (len(node.args) + (owner == "model"))
        try:
            signature.bind(*values, **{keyword.arg: None for keyword in node.keywords})
        except TypeError as error:
            pytest.fail(f"{page.name}: {ast.unparse(node)}: {error}")


def test_the_example_of_the_guide_for_contributors_works(tmp_path, monkeypatch):
    """Its three blocks are put where it says: a command `count`, with its test."""
    work, words, test = python_blocks(ROOT / "CONTRIBUTING.md")
    for name, source in (("workflows.count", work), ("tools.commands.count", words)):
        module = types.ModuleType(f"gluon_alexnet.{name}")
        module.__package__ = module.__name__.rpartition(".")[0]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
    monkeypatch.setattr(tools_main, "COMMANDS", (*COMMANDS, "count"))
    found: dict = {}
    exec(compile(test, "test_count", "exec", dont_inherit=True), found)
    found["test_images_are_counted"](tmp_path)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_shown_in_a_guide(name):
    assert any(words[:1] == [name] for page, words in SHOWN), f"no page of docs/ shows alexnet-tools {name}"


def test_every_option_is_explained_in_a_guide():
    guides = "\n".join(page.read_text() for page in PAGES)
    absent = [found for found in options() if not re.search(re.escape(found[1]) + r"(?![\w-])", guides)]
    assert absent == []


def test_a_sentence_of_commands_is_read_as_one():
    text = "\n```\nfind . | alexnet-tools predict OUT - --json\nalexnet-tools launch -- train --cpus 0  # two\n```\n"
    assert list(commands(text)) == [["predict", "OUT", "-", "--json"], ["launch", "--", "train", "--cpus", "0"]]
    assert list(commands("    alexnet-tools train \\\n        --resume\n")) == [["train", "--resume"]]


def parse(words):
    """Let Click parse a command line, without running it and without looking for its files."""
    command, context = main, None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context, info_name=command.name)
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]!r}"
        command, words = found, words[1:]
    command.make_context(command.name, list(words), parent=context)
    context.find_root().close()
    if command.name == "launch" and "--" in words:
        parse(words[words.index("--") + 1 :])


@pytest.mark.parametrize(
    ("page", "words"), SHOWN, ids=[f"{page.stem}: {' '.join(words)[:60]}" for page, words in SHOWN]
)
def test_commands_in_the_pages_are_ones_that_exist(page, words, monkeypatch):
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)
    if words in ([], ["COMMAND", "--help"], ["--version"]):  # alone it makes the completion of a shell
        return
    parse(words)


@pytest.mark.parametrize(
    "words", [["tarin"], ["train", "--recipes", "paper"], ["train", "--recipe", "papre"], ["plot", "filtres", "RUN"]]
)
def test_a_wrong_command_would_be_noticed(words):
    with pytest.raises((click.UsageError, AssertionError)):
        parse(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    text = page.read_text()
    named = set(re.findall(r"`((?:gluon_alexnet|recordio|tools|tests|benchmarks|examples|docs)/[\w./-]+)`", text))
    named |= {link for link in re.findall(r"\]\(([\w./-]+)\)", text) if not link.startswith("http")}
    absent = {
        name
        for name in named
        if "NAME" not in name
        and "_build" not in name
        and not (ROOT / name).exists()
        and not (page.parent / name).exists()
    }
    assert absent == set()


NAMED_TESTS = [
    (page, *found) for page in PAGES for found in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text())
]


def test_tests_that_a_page_names_exist():
    assert len(NAMED_TESTS) > 60
    defined = {}
    for page, file, name in NAMED_TESTS:
        if file not in defined:
            tree = ast.parse((ROOT / file).read_text())
            defined[file] = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in defined[file], f"{page.name} names {file}::{name}, and there is no such test"


@pytest.mark.parametrize("name", ["differences.md", "paper.md"])
def test_each_claim_about_the_paper_and_the_2012_code_names_its_test(name):
    """Every line of a table whose head ends with a column of tests."""
    lines, column, checked = (ROOT / "docs" / name).read_text().splitlines(), None, 0
    for line, below in zip(lines, [*lines[1:], ""]):
        if line.startswith("|") and below.startswith("|---"):
            column = line.split("|")[-2].strip() in ("test", "tests", "a test that holds it")
        elif line.startswith("|") and not line.startswith("|---") and column:
            checked += 1
            assert "::test_" in line.split("|")[-2], line
    assert checked > 15


def test_the_readme_is_a_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES
