"""Brightness, contrast and saturation of a training image: what other programs change instead of Sec. 4.1's colours.

The three are TensorFlow's `tf.image.adjust_brightness`, `adjust_contrast` and `adjust_saturation` of an image in
floating point: nothing is cut off at 0 or 255.
"""

from __future__ import annotations

import numpy as np

from ..recipes import schema


def ranges(numbers: schema.Augmentation) -> np.ndarray | None:
    """Least and largest (brightness, contrast, saturation), float64 (3, 2); None where nothing is changed."""
    brightness = (-numbers.brightness, numbers.brightness)
    found = np.array([brightness, numbers.contrast, numbers.saturation], np.float64)
    return None if (found == [[0, 0], [1, 1], [1, 1]]).all() else found


def drawn(words: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(brightness, contrast, saturation) of each image, float64 (N, 3), even in their ranges; words: uint64 (N, 3)."""
    return ends[:, 0] + (words >> 11) * 2.0**-53 * (ends[:, 1] - ends[:, 0])


def change(crop: np.ndarray, brightness: float, contrast: float, saturation: float) -> None:
    """Change float32 (3, height, width), RGB grey levels, in place: brightness first, saturation last.

    brightness: grey levels added to all. contrast: factor of the distance from each colour's own mean. saturation:
    factor of a pixel's saturation 1 - smallest / largest colour, up to a saturation of 1; hue and largest colour stay.
    """
    crop += np.float32(brightness)
    if contrast != 1:
        means = crop.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)[:, None, None]
        crop -= means
        crop *= np.float32(contrast)
        crop += means
    if saturation != 1:
        largest = crop.max(axis=0)
        spread = largest - crop.min(axis=0)
        # Below 0 there is no saturation: TensorFlow makes such a pixel grey.
        most = np.divide(np.maximum(largest, 0), spread, out=np.zeros_like(spread), where=spread > 0)
        crop -= largest
        crop *= np.minimum(np.float32(saturation), most)
        crop += largest
