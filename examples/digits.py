"""The demonstration's images: 1,797 handwritten digits that ship with scikit-learn (UCI, CC BY 4.0).

Their 8×8 grey values are drawn as strokes of ink on a sheet of paper. Written as PNG files of varying size, one folder
per class, every fifth one for validation:

    python examples/digits.py FOLDER
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

SEED = 0
SIZES = (180, 420)  # pixels; the height and width of a sheet lie between
EDGE = (0.05, 0.30)  # how much darker than around it the grey is where a stroke begins, and where it is all ink
PAPER, INK = 238, 23  # grey levels


def draw(digit, height, width):
    """uint8 (height, width): a digit's darkness, (8, 8) from 0 to 1, as ink in the middle of a sheet."""
    side = round(0.98 * min(height, width))
    enlarged = cv2.resize(np.pad(digit, 1), (side, side), interpolation=cv2.INTER_CUBIC)
    enlarged = cv2.GaussianBlur(enlarged, (0, 0), side / 70)
    # Held against what is around it: thin strokes stay whole, and the loops of 8 and 9 stay open.
    darker = enlarged - cv2.GaussianBlur(enlarged, (0, 0), side / 8)
    ink = np.clip((darker - EDGE[0]) / (EDGE[1] - EDGE[0]), 0, 1)
    sheet = np.full((height, width), PAPER, np.float64)
    top, left = (height - side) // 2, (width - side) // 2
    sheet[top : top + side, left : left + side] += (INK - PAPER) * ink * ink * (3 - 2 * ink)
    return sheet.astype(np.uint8)


def main(folder):
    """Write the digits as PNG files below `folder`: train and val, a folder a class."""
    digits = load_digits()
    generator = np.random.default_rng(SEED)
    for index, (pixels, label) in enumerate(zip(digits.images, digits.target)):
        split = "val" if index % 5 == 4 else "train"
        height, width = (int(n) for n in generator.integers(*SIZES, size=2))
        file = Path(folder, split, str(label), f"{index:04d}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(file), draw(pixels / 16, height, width)):
            sys.exit(f"{file} cannot be written")
    print(f"{len(digits.target)} digits in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/digits.py FOLDER")
    try:
        main(sys.argv[1])
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
