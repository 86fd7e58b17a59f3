"""PyTorch's side of test_torch_proof.py: torchvision's AlexNet, saved in each form, and all that it computes.

python torch_alexnet.py FOLDER

Reads FOLDER/images.npy, uint8 (N, 224, 224, 3). Writes zip.pth, stream.pth, checkpoint.pth, lpips.pth, and outputs.npz
with the output of every layer by its name here. The module is torchvision's as its page prints it.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

FEATURES = "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5"
CLASSIFIER = {"1": "fc6", "2": "relu6", "4": "fc7", "5": "relu7", "6": "fc8"}
NAMES = {  # torchvision's module → what the layer is called here
    **{f"features.{place}": name for place, name in enumerate(FEATURES.split(" "))},
    **{f"classifier.{place}": name for place, name in CLASSIFIER.items()},
}


class AlexNet(nn.Module):
    """torchvision.models.alexnet."""

    def __init__(self, classes=1000):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, classes),
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def main(folder):
    torch.manual_seed(1)
    net = AlexNet().eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():  # drawn so that the softmax tells the classes apart
            if name.endswith("weight"):
                nn.init.kaiming_normal_(parameter)
    state = net.state_dict()
    torch.save(state, folder / "zip.pth")
    torch.save(state, folder / "stream.pth", _use_new_zipfile_serialization=False)
    whole = {"epoch": 3, "arch": "alexnet", "state_dict": {f"module.{name}": value for name, value in state.items()}}
    torch.save({**whole, "best_acc1": torch.tensor(56.5)}, folder / "checkpoint.pth")
    parts = {name.split(".")[1]: value for name, value in state.items() if name.startswith("features")}
    slices = {"0": 1, "3": 2, "6": 3, "8": 4, "10": 5}
    part = {f"net.slice{slices[place]}.{place}.{end}": state[f"features.{place}.{end}"]
            for place in parts for end in ("weight", "bias")}  # fmt: skip
    torch.save({**part, "scaling_layer.shift": torch.zeros(1, 3, 1, 1)}, folder / "lpips.pth")
    found = {}
    modules = dict(net.named_modules())
    for module, name in NAMES.items():
        modules[module].register_forward_hook(lambda _, __, y, name=name: found.__setitem__(name, y.clone().numpy()))
    images = torch.from_numpy(np.load(folder / "images.npy")).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(three).reshape(3, 1, 1) for three in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        found["softmax"] = net((images - mean) / std).softmax(1).numpy()
    np.savez(folder / "outputs.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
