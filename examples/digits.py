"""The demonstration's images: 1,797 handwritten digits that ship with scikit-learn (UCI, CC BY 4.0).

Written as PNG files of varying size, one folder a class, every fifth one for validation:

    python examples/digits.py FOLDER
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

SEED = 0
SIZES = (180, 420)  # pixels; the drawn height and width lie between


def main(folder):
    """Write the digits as PNG files below `folder`: train and val, a folder a class."""
    digits = load_digits()
    generator = np.random.default_rng(SEED)
    for index, (pixels, label) in enumerate(zip(digits.images, digits.target)):
        split = "val" if index % 5 == 4 else "train"
        height, width = (int(n) for n in generator.integers(*SIZES, size=2))
        image = cv2.resize((pixels * 255 / 16).astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
        file = Path(folder, split, str(label), f"{index:04d}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(file), image):
            sys.exit(f"{file} cannot be written")
    print(f"{len(digits.target)} digits in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/digits.py FOLDER")
    main(sys.argv[1])
