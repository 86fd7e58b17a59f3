"""PyTorch's side of training.py: the paper's net written in PyTorch. Needs PyTorch alone."""

import argparse
import json
import os
import time

import torch
from torch import nn


def alexnet():
    """Sec. 3.5: PyTorch, too, divides alpha by the window, and normalises over all the maps it is given."""

    class Normalization(nn.Module):
        def forward(self, x):
            n, maps, height, width = x.shape
            x = x.reshape(2 * n, maps // 2, height, width)  # a column for itself
            return nn.functional.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2).reshape(n, maps, height, width)

    return nn.Sequential(
        nn.ZeroPad2d((0, 3, 0, 3)),
        nn.Conv2d(3, 96, 11, 4),
        nn.ReLU(),
        Normalization(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2),
        nn.ReLU(),
        Normalization(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(9216, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, 1000),
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    net = alexnet()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-5, momentum=0.9, weight_decay=0.0005)
    images = 60 * torch.randn(given.batch, 3, 224, 224)
    labels = torch.arange(given.batch) % 1000
    rates = []
    for _ in range(given.steps + 1):
        began = time.perf_counter()
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
        rates.append(given.batch / (time.perf_counter() - began))
    print(json.dumps(rates[1:]))


if __name__ == "__main__":
    main()
