"""Shared by the tests of recordio."""

import pytest
from helpers.images import class_tree


@pytest.fixture
def trees(tmp_path):
    """Class folders to pack: (train, val)."""
    return class_tree(tmp_path / "train"), class_tree(tmp_path / "val", images=2, seed=500)
