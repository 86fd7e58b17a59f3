"""The network of a recipe written in PyTorch, from the formulas: the peer of benchmarks and tests."""

import torch
from torch import nn
from torch.nn import functional


class AlexNet(nn.Module):
    """``network``: the fields of a recipe's network, as in recipe.json. Input (N, 3, size, size), output (N, classes).

    Parameters have the names of ours, with a dot for the underscore: conv1.weight, fc8.bias.
    composed: response normalisation of slices and rsqrt, which is faster than PyTorch's own on a CPU (benchmarks).
    """

    def __init__(self, network, classes, composed=False):
        super().__init__()
        self.network, self.composed = network, composed
        columns, maps, size = network["columns"], 3, network["input_size"]
        for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6"):
            layer = network[name]
            if layer is None:
                continue
            groups = 1 if layer["both_columns"] else columns
            setattr(self, name, nn.Conv2d(maps, layer["kernels"], layer["size"], layer["stride"], groups=groups))
            maps = layer["kernels"]
        with torch.no_grad():
            inputs = self.convolutions(torch.zeros(1, 3, size, size)).numel()
        self.fc6 = nn.Linear(inputs, network["fc6"]["neurons"])
        self.fc7 = nn.Linear(network["fc6"]["neurons"], network["fc7"]["neurons"])
        self.fc8 = nn.Linear(network["fc7"]["neurons"], classes)

    def forward(self, x):
        x = self.convolutions(x).flatten(1)
        for layer in (self.fc6, self.fc7):
            before = self.network["dropout_before"]
            x = self.activation(layer(self.dropped(x) if before else x))
            x = x if before else self.dropped(x)
        return self.fc8(x)

    def convolutions(self, x):
        if self.network["channel_std"]:
            x = x / torch.tensor(self.network["channel_std"]).reshape(3, 1, 1)
        x = self.bordered("conv1", x)
        if self.network["relu_before_normalization"]:
            x = self.pool(self.normalized(self.activation(x)))
        else:
            x = self.activation(self.pool(self.normalized(x)))
        x = self.normalized(self.activation(self.bordered("conv2", x)))
        if self.network["map_normalization"]:
            numbers = self.network["map_normalization"]
            # depthwise sums of squares, zeros beyond the border
            window = torch.ones(x.shape[1], 1, numbers["size"], numbers["size"])
            total = functional.conv2d(x * x, window, padding=numbers["size"] // 2, groups=x.shape[1])
            x = x / (1 + numbers["alpha"] / numbers["size"] ** 2 * total).pow(numbers["beta"])
        x = self.pool(x)
        for name in ("conv3", "conv4", "conv5"):
            if self.network[name]:
                x = self.activation(self.bordered(name, x))
        x = self.pool(x)
        return self.activation(self.bordered("conv6", x)) if self.network["conv6"] else x

    def bordered(self, name, x):
        before, after = self.network[name]["padding"]
        return getattr(self, name)(functional.pad(x, (before, after, before, after)))

    def activation(self, x):
        return torch.tanh(x) if self.network["activation"] == "tanh" else functional.relu(x)

    def pool(self, x):
        return functional.max_pool2d(x, self.network["pooling"]["size"], self.network["pooling"]["stride"])

    def normalized(self, x):
        numbers = self.network["normalization"]
        if numbers is None:
            return x
        columns = 1 if numbers.get("both_columns") else self.network["columns"]
        # PyTorch, too, divides alpha by the window.
        alpha = numbers["alpha"] if numbers["alpha_divided_by_n"] else numbers["alpha"] * numbers["n"]
        if self.composed and (numbers["n"], numbers["beta"]) == (5, 0.75):
            x = x.unflatten(1, (columns, -1))  # the sum stays in its column
            squares, own = functional.pad(x * x, (0, 0, 0, 0, 2, 2)), x.shape[2]
            root = torch.rsqrt(numbers["k"] + alpha / 5 * sum(squares[:, :, i : i + own] for i in range(5)))
            return (x * root * torch.sqrt(root)).flatten(1, 2)
        n, maps, height, width = x.shape
        x = x.reshape(n * columns, maps // columns, height, width)
        x = functional.local_response_norm(x, numbers["n"], alpha=alpha, beta=numbers["beta"], k=numbers["k"])
        return x.reshape(n, maps, height, width)

    def dropped(self, x):
        keep = 1 - self.network["dropout"]
        x = functional.dropout(x, 1 - keep, self.training)  # inverted
        return x if self.network["inverted_dropout"] else x * keep
