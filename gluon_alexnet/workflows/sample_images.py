"""Some pictures to try a net on: of a data set, or of a folder of the user's."""

from __future__ import annotations

from pathlib import Path

from ..errors import WrongUse


def of_data(folder: Path, split: str, count: int):
    """Up to ``count`` pictures, uint8 (N, 256, 256, 3), from all over a split of a data set."""
    import numpy as np

    from gluon_alexnet.recordio.reading.reader import Reader

    with Reader(folder, split) as reader:
        return np.concatenate([batch.images.copy() for batch in batches_of(reader, count, count)])


def batches_of(reader, count: int, batch_size: int):
    """Batches of up to ``count`` pictures from all over a split."""
    import numpy as np

    places = np.linspace(0, len(reader) - 1, min(count, len(reader))).round().astype(np.int64)
    return reader.batches(batch_size, order=places)


def of_folder(folder: Path, count: int):
    """Up to ``count`` pictures, uint8 (N, 256, 256, 3), from all over a folder and those below, and the files left out.

    Raises WrongUse where there is none.
    """
    import numpy as np

    from gluon_alexnet.recordio.dataset.images import PictureError, decode, shorter_side_256

    if not folder.is_dir():
        raise WrongUse(f"{folder} is no folder of pictures.")
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    pictures, left_out = [], []
    for place in np.linspace(0, max(len(files) - 1, 0), min(count, len(files))).round().astype(int):
        try:
            pictures.append(shorter_side_256(decode(files[place].read_bytes())))
        except PictureError:
            left_out.append(files[place])
    if not pictures:
        raise WrongUse(f"{folder} holds no picture that this program reads.")
    return np.stack(pictures), left_out
