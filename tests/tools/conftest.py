"""What the tests of several commands share."""

import pytest
from helpers.trained import trained_run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Images, a data set of them, and a run of one epoch on it; the tests leave them as they are."""
    return trained_run(tmp_path_factory.mktemp("trained"))
