"""Commands run within the test."""

from __future__ import annotations

from click.testing import CliRunner

from gluon_alexnet.tools.main import main


def run(*words: object, code: int = 0) -> str:
    """What `alexnet-tools` with these words printed, both streams; fails where the exit code is another one."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    # One sentence for the user, and nothing of how the program is made.
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.output


def invoke(*words: object, code: int = 0, stdin: str | None = None) -> tuple[str, str]:
    """(stdout, stderr) of `alexnet-tools` with these words; checks as `run` does."""
    result = CliRunner().invoke(main, [str(word) for word in words], input=stdin)
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return result.stdout, result.stderr


def attempt(*words: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `alexnet-tools` with these words; a traceback fails the test."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.stdout, result.stderr
