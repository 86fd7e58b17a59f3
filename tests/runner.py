"""A command run within the test, its two streams apart whatever Click's version."""

from __future__ import annotations

from click.testing import CliRunner

from gluon_alexnet.tools.main import main


def invoke(*words: object, code: int = 0, stdin: str | None = None) -> tuple[str, str]:
    """(stdout, stderr) of `alexnet-tools` with these words; fails where the exit code is another one."""
    try:
        runner = CliRunner(mix_stderr=False)  # type: ignore[call-arg]  # before Click 8.2
    except TypeError:
        runner = CliRunner()
    result = runner.invoke(main, [str(word) for word in words], input=stdin)
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return result.stdout, result.stderr
