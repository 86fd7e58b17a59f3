"""What commands say beside their results: options in the library's sentences, -q and -v, colours, help, completion."""

from __future__ import annotations

import ast
import functools
import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from helpers.images import coloured_classes
from helpers.runner import invoke, run

from gluon_alexnet import errors
from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.tools.main import main
from gluon_alexnet.tools.option_names import with_options
from gluon_alexnet.workflows.pack import pack
from gluon_alexnet.workflows.train import train

ROOT = Path(__file__).parent.parent.parent
PROGRAM = [sys.executable, "-c", "from gluon_alexnet.tools.main import main; main(prog_name='alexnet-tools')"]


@functools.cache
def sentences():
    return list(_sentences())


def _sentences():
    """(place, text) of every string of the library that is no docstring, with {} for what is filled in."""
    for folder in ("gluon_alexnet", "recordio"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(file.read_text())
            documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
            words = {
                id(node.body[0].value)
                for node in ast.walk(tree)
                if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    words |= {id(part) for part in node.values}
                    text = "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    text = node.value
                else:
                    continue
                if id(node) not in words:
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", text


def test_the_library_names_no_option():
    """Its users write parameters. Reports and plans are no sentences: they write commands down."""
    exceptions = ("reporting/", "experiments/paper_tables.py")
    found = sentences()
    assert len(found) > 1000
    assert [
        (place, text)
        for place, text in found
        if re.search(r"(^|\s|\()--[a-z]", text) and not any(name in place for name in exceptions)
    ] == []


def test_each_parameter_that_a_sentence_names_is_an_option():
    root = click.Context(main)
    named = {name for _, text in sentences() for name in re.findall(r"`([a-z]\w*)`", text)} - {
        "make",
        "paper",
    }  # words, not parameters
    assert {"batch_size", "init_from", "overwrite", "devices"} <= named
    left = {name for name in named if with_options(f"`{name}`", root) == f"`{name}`"}
    assert left == set()


def test_a_sentence_names_the_parameter_in_python_and_the_option_on_the_command_line(tmp_path):
    for given, words, sentence in (
        ({"seed": 1}, ["--seed", 1], "leave {seed} out"),
        ({"recipe": "paper", "batch_size": 2}, ["--recipe", "paper", "--batch-size", 2], "{recipe}, {batch_size} out"),
    ):
        with pytest.raises(errors.InvalidRequest) as caught:
            train(run=tmp_path / "run", resume=True, **given)
        assert sentence.format(**{name: f"`{name}`" for name in given}) in str(caught.value)
        said = run("train", "--run", tmp_path / "run", "--resume", *words, code=2)
        assert sentence.format(**{name: f"--{name.replace('_', '-')}" for name in given}) in said
    with pytest.raises(errors.InvalidRequest, match="`ilsvrc` and `source`, or `train` and `val`"):
        pack()
    assert "--ilsvrc and --source, or --train and --val" in run("pack", code=2)
    with pytest.raises(errors.InvalidRequest, match="`half_as_val`"):
        pack(train=tmp_path)
    assert "Give --val, or --split-half, a seed" in run("pack", "--train", tmp_path, code=2)


def test_a_sentence_keeps_what_is_no_parameter():
    root = click.Context(main)
    assert with_options("`make` it with `alexnet-tools lr`", root) == "`make` it with `alexnet-tools lr`"
    assert with_options("give `out`", click.Context(main.get_command(root, "merge"), parent=root)) == "give --data"
    assert with_options("give `learning_rate`", root) == "give --lr"


MISSING = [
    ["eval", "--data", "nope", "--model", "RUN"],
    ["train", "--data", "nope"],
    ["verify", "--data", "nope"],
    ["stats", "--data", "nope"],
    ["reproduce", "ablations", "--data", "nope"],
    ["eval", "--model", "nope"],
    ["predict", "nope", "x.jpg"],
    ["export", "nope", "out"],
    ["report", "nope"],
    ["serve", "nope"],
    ["similar", "nope", "x.jpg", "--data", "nope"],
    ["activations", "nope", "--list"],
    ["lr", "nope", "0.1"],
    ["identify", "nope"],
    ["import", "nope", "out"],
    ["merge", "nope"],
    ["average", "nope.npz"],
    ["score", "nope.txt", "--kit", "nope"],
    ["pack", "--train", "nope", "--val", "nope"],
    ["pack", "--ilsvrc", "2012", "--source", "nope"],
    ["plot", "filters", "nope"],
    ["plot", "curves", "nope"],
    ["plot", "predictions", "nope", "x.jpg"],
    ["plot", "units", "nope", "--layer", "conv5", "--data", "nope"],
    ["plot", "saliency", "nope", "x.jpg"],
    ["reproduce", "lrn", "--source", "nope"],
    ["train", "--resume", "--run", "nope"],
    ["train", "--init-from", "nope", "--data", "nope"],
]


@pytest.mark.parametrize("words", MISSING, ids=" ".join)
def test_what_is_named_and_is_not_there_is_wrong_use(words, tmp_path, monkeypatch):
    """Exit code 2, one sentence that names it, nothing written."""
    monkeypatch.chdir(tmp_path)
    said = run(*words, code=2)
    assert "nope" in said or "RUN" in said
    assert list(tmp_path.iterdir()) == []


def test_the_advice_for_a_missing_data_set_is_a_command_that_click_takes(tmp_path):
    folder = tmp_path / "no pe"
    with pytest.raises(errors.MissingDataset, match="no data set here; name another folder, or pack one"):
        read_manifest(folder)
    said = run("stats", "--data", folder, code=2)
    assert f"alexnet-tools pack --train DIR --val DIR --data '{folder}'" in said
    words = ["--train", "DIR", "--val", "DIR", "--data", str(folder)]
    main.get_command(click.Context(main), "pack").make_context("pack", words)


def help_of(*words):
    result = CliRunner().invoke(main, [*words, "--help"])
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("words", [[], ["plot"], ["reproduce"]])
def test_no_summary_is_cut_and_a_group_without_a_command_shows_help(words):
    listed = help_of(*words)
    assert "..." not in listed.partition("\n")[2]
    alone = CliRunner().invoke(main, words)
    assert alone.exit_code == 2  # Click's own convention since 8.2
    assert "Commands:" in alone.output or "Deployment:" in alone.output


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return coloured_classes(tmp_path_factory.mktemp("console") / "images", 3, {"train": 3, "val": 2})


def test_quiet_leaves_results_and_errors_and_verbose_tells_details(images, tmp_path):
    data, folder = tmp_path / "data", tmp_path / "run"
    words = ["--train", images / "train", "--val", images / "val"]
    (images / "val" / "class0" / "broken.jpg").write_bytes(b"no image")
    out, err = invoke("pack", *words, "--data", data)
    assert "Rejected images and why" in err
    quiet = invoke("pack", *words, "--data", tmp_path / "quiet", "-q")
    assert quiet[1] == ""
    assert quiet[0].startswith("packed 9 train, 6 val; rejected 1;")
    learn = ["--data", data, "--recipe", "narrow", "--cpus", 0, "--batch-size", 4, "--epochs", 1]
    out, err = invoke("train", *learn, "--run", folder, "-v")
    assert "epoch 1" in err
    assert f"{folder}/checkpoints/step-00000003" in err  # a detail
    assert "1 epochs, validation error" in out
    plain = invoke("train", *learn, "--run", tmp_path / "plain")
    assert "epoch 1" in plain[1]
    assert "checkpoints/step" not in plain[1]
    quiet = invoke("train", *learn, "--run", tmp_path / "quiet-run", "--quiet")
    assert quiet[1] == ""
    assert "1 epochs, validation error" in quiet[0]
    for words in (["eval", "--model", folder, "--views", 1], ["verify", "--data", data], ["export", folder, "net"]):
        words = [tmp_path / word if word == "net" else word for word in words]
        assert invoke(*words, "-q")[1] == ""
    assert "no data set here" in invoke("verify", "--data", tmp_path / "none", "-q", code=2)[1]
    assert "not both" in run("verify", "--data", data, "-q", "-v", code=2)


def test_details_end_with_the_command_also_where_it_never_began():
    before = logging.getLogger("gluon_alexnet").level
    run("verify", "-v", "--no-such-option", code=2)
    assert logging.getLogger("gluon_alexnet").level == before


TALKATIVE = ["train", "eval", "pack", "verify", "import", "export", "serve", "report", "reproduce figure-1"]


@pytest.mark.parametrize("words", TALKATIVE)
def test_talkative_commands_have_both_options(words):
    text = help_of(*words.split())
    assert "-q, --quiet" in text
    assert "-v, --verbose" in text


def on_a_terminal(*words, **environment):
    """What the program writes where its standard error is a terminal."""
    leader, follower = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    process = subprocess.run(
        [*PROGRAM, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=follower,
        env={**clean, "TERM": "xterm", **environment},
    )
    os.close(follower)
    said = b""
    try:
        while part := os.read(leader, 4096):
            said += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(leader)
    return process.returncode, said.decode()


def test_colours_are_for_terminals_and_no_color_is_honoured(tmp_path):
    words = ["stats", "--data", tmp_path / "none"]
    code, said = on_a_terminal(*words)
    assert code == 2
    assert "\x1b[" in said
    code, said = on_a_terminal(*words, NO_COLOR="1")
    assert code == 2
    assert "\x1b" not in said
    assert said.startswith("Error: ")
    assert "\x1b" not in run(*words, code=2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell):
    """Click asks Bash itself for its version; the scripts of the others are made without them."""
    done = subprocess.run(
        PROGRAM, env={**os.environ, "_ALEXNET_TOOLS_COMPLETE": f"{shell}_source"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "_ALEXNET_TOOLS_COMPLETE" in done.stdout


def test_bash_completes_commands_options_and_choices():
    for line, expected in (
        ("alexnet-tools re", {"recipes", "reproduce", "report"}),
        ("alexnet-tools plot ", {"filters", "curves", "predictions", "units", "saliency"}),
        ("alexnet-tools train --res", {"--resume"}),
        ("alexnet-tools train --recipe net-14", {"net-145", "net-148"}),
    ):
        place = str(len(line.split()) - (not line.endswith(" ")))
        asked = {"_ALEXNET_TOOLS_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": place}
        done = subprocess.run(PROGRAM, env={**os.environ, **asked}, capture_output=True, text=True)
        assert expected <= {found.partition(",")[2] for found in done.stdout.splitlines()}, done
