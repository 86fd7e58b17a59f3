"""What goes wrong for reasons outside the code, as one clear sentence each.

`tools.main` prints the sentence and exits with 2 or 1; every other exception is a defect of ours.
"""


class InvalidRequest(ValueError):
    """What the user asked for cannot be done as asked (exit code 2)."""


class OperationFailed(RuntimeError):
    """The work was asked for rightly and failed: a damaged file, a diverged net (exit code 1)."""
