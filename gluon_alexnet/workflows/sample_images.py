"""Some images to try a net on: of a data set, or of a folder of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidRequest

if TYPE_CHECKING:
    import numpy as np

    from gluon_alexnet.recordio.reading.reader import Batch, Reader


def of_data(folder: Path, split: str, count: int) -> np.ndarray:
    """Up to ``count`` images, uint8 (N, 256, 256, 3), from all over a split of a data set."""
    import numpy as np

    from gluon_alexnet.recordio.reading.reader import Reader

    with Reader(folder, split) as reader:
        return np.concatenate([batch.images.copy() for batch in batches_of(reader, count, count)])


def batches_of(reader: Reader, count: int, batch_size: int) -> Iterator[Batch]:
    """Batches of up to ``count`` images from all over a split."""
    import numpy as np

    places = np.linspace(0, len(reader) - 1, min(count, len(reader))).round().astype(np.int64)
    return reader.batches(batch_size, order=places)


def of_folder(folder: Path, count: int) -> tuple[np.ndarray, list[Path]]:
    """Up to ``count`` images, uint8 (N, 256, 256, 3), from all over a folder and those below, and the files left out.

    Raises InvalidRequest where there is none.
    """
    import numpy as np

    from gluon_alexnet.recordio.dataset.images import ImageError, decode, shorter_side_256
    from gluon_alexnet.recordio.dataset.manifest import UNLABELLED
    from gluon_alexnet.recordio.sources.class_folders import Source

    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is no folder of images.")
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    images, left_out = [], []
    for place in np.linspace(0, max(len(files) - 1, 0), min(count, len(files))).round().astype(int):
        try:
            name = str(files[place])
            images.append(shorter_side_256(decode(Source(name, UNLABELLED, name).read())))
        except ImageError:
            left_out.append(files[place])
    if not images:
        raise InvalidRequest(f"{folder} holds no image that this program reads.")
    return np.stack(images), left_out
