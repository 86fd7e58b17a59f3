"""FFCV's side of packing.py: FOLDER of class folders → OUT, JPEG of quality 95, two processes; prints the images."""

import os
import sys
from pathlib import Path

import cv2
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter


class Folder:
    """(image, label) by number, as FFCV's writer asks for them."""

    def __init__(self, folder):
        self.files = [
            (path, label)
            for label, place in enumerate(sorted(Path(folder).iterdir()))
            for path in sorted(place.iterdir())
        ]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, number):
        path, label = self.files[number]
        return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), label


def main():
    images = Folder(sys.argv[1])
    # It scales by the longer side, and has no crop: 341 keeps as many pixels as 256 of the shorter side of 4:3.
    field = RGBImageField(write_mode="jpg", max_resolution=341, jpeg_quality=95)
    writer = DatasetWriter(sys.argv[2], {"image": field, "label": IntField()}, num_workers=len(os.sched_getaffinity(0)))
    writer.from_indexed_dataset(images)
    print(len(images))


if __name__ == "__main__":
    main()
