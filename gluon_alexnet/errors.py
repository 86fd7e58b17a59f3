"""What goes wrong for reasons outside the code, as one clear sentence each.

`tools.main` prints the sentence and exits with 2 or 1; every other exception is a defect of ours.
"""


class InvalidRequest(ValueError):
    """What the user asked for cannot be done as asked (exit code 2).

    A parameter that the sentence names stands in backquotes, `batch_size`; the command line writes its option there.
    """


class MissingDataset(InvalidRequest):
    """There is no data set in a folder that was named. ``folder``: that one; a function packs one there."""

    def __init__(self, sentence: str, folder: str = "") -> None:
        super().__init__(sentence)
        self.folder = folder


class OperationFailed(RuntimeError):
    """The request was valid and the work failed: a damaged file, a diverged net (exit code 1)."""
