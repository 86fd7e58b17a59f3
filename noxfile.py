"""The checks on every Python that is supported: `nox`, or `nox -s tests-3.12` for one of them."""

import nox

PYTHONS = ["3.10", "3.11", "3.12"]
nox.options.sessions = ["tests"]


@nox.session(python=PYTHONS)
def tests(session):
    """The fast tests, on the CPU build of MXNet; words after `--` go to pytest."""
    session.install("--editable", ".[cpu,demo,test]")
    session.run("alexnet-tools", "doctor")
    session.run("pytest", "-q", "-m", "not slow and not browser", *session.posargs)


@nox.session(python=PYTHONS[1])
def lint(session):
    """Style and types."""
    session.install("--editable", ".[cpu,test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=PYTHONS[1])
def docs(session):
    """The pages, with warnings as errors."""
    session.install("--editable", ".[cpu,docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html")
