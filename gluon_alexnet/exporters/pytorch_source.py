"""The text of OUT.py: a net as a module of plain PyTorch, to read and to own.

It is written layer by layer from the exported graph, so that it holds what this net has and nothing else. It names
every layer, for hooks, and needs nothing of this package.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ..model import layer_chain as chain

SHAPE_COLUMN = 80  # where the shapes stand; a longer line pushes its own to the right


def source(name: str, layers: Sequence[chain.Layer]) -> str:
    """The text of the module NAME.py."""
    layers = [layer for layer in layers if not isinstance(layer.kind, chain.Softmax)]
    kinds = {type(layer.kind) for layer in layers}
    own = [text for kind, text in _OWN_LAYERS.items() if kind in kinds]
    functional = "from torch.nn import functional as F\n" if any("F." in text for text in own) else ""
    parts = [_head(name, layers).replace("@functional@", functional), *own, _network(layers), _LOADING]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def _head(name: str, layers: Sequence[chain.Layer]) -> str:
    size, outputs = layers[0].shape[-1], layers[-1].shape[0]
    module = name if name.isidentifier() else "alexnet"
    example = {
        f"import {module}": "" if module == name else f"once {name}.py and {name}.safetensors have that name",
        f"net = {module}.load()": "with the weights beside this file, ready to classify",
        "probabilities = net(images).softmax(1)": f"images: float32 (N, 3, {size}, {size}), RGB, 0 to 255",
        f"names = {module}.class_names()": f"of the {outputs} classes",
    }
    width = max(map(len, example))
    lines = [f"    {code:<{width}}  # {words}" if words else f"    {code}" for code, words in example.items()]
    return _HEAD.replace("@example@", "\n".join(lines)).replace("@size@", str(size)).replace("@name@", name)


def _network(layers: Sequence[chain.Layer]) -> str:
    weighted = [layer.kind for layer in layers if isinstance(layer.kind, (chain.Convolution, chain.FullyConnected))]
    count = sum(_parameters(kind) for kind in weighted)
    groups = max((kind.groups for kind in weighted if isinstance(kind, chain.Convolution)), default=1)
    lines: list[str] = []
    remarks = dict(_REMARKS)
    above = None
    for layer in layers:
        kind = type(layer.kind)
        opens = (chain.Pad, chain.Flatten, chain.Convolution, chain.FullyConnected)
        if above and kind in opens and type(above.kind) not in (*opens[:2], chain.Subtract, chain.Divide):
            lines.append("")
        if kind is chain.Pad:
            lines += [f"{' ' * 16}# {words}" for words in _BORDER]
        shown = "×".join(map(str, layer.shape)) if kind in opens or not above or layer.shape != above.shape else ""
        overlaps = not isinstance(layer.kind, chain.Pooling) or layer.kind.size > layer.kind.stride
        comment = ", ".join(part for part in (shown, remarks.pop(kind, "") if overlaps else "") if part)
        code = f"{' ' * 16}{layer.name}={_constructor(layer, last=layer is layers[-1])},"
        lines.append(f"{code:<{SHAPE_COLUMN}}# {comment}" if comment else code)
        above = layer
    paragraph = f"\n\n{textwrap.indent(_GROUPS, '    ')}    " if groups > 1 else ""
    text = _NETWORK.replace("@weighted@", str(len(weighted))).replace("@count@", f"{count:,}")
    text = (
        text.replace("@figure@", " (Fig. 2)" if groups > 1 else "")
        .replace("@groups@", paragraph)
        .replace("@outputs@", str(layers[-1].shape[0]))
    )
    return text.replace("@layers@", "\n".join(lines))


def _constructor(layer: chain.Layer, last: bool) -> str:  # noqa: C901 (a table: one kind of layer after the other)
    """The call that makes a layer."""
    kind = layer.kind
    if isinstance(kind, chain.Convolution):
        more = {"stride": (kind.stride, 1), "padding": (kind.padding, 0), "groups": (kind.groups, 1)}
        words = [f"{name}={value}" for name, (value, usual) in more.items() if value != usual]
        return f"nn.Conv2d({', '.join([f'{kind.inputs}, {kind.kernels}, kernel_size={kind.size}', *words])})"
    if isinstance(kind, chain.FullyConnected):
        return f"nn.Linear({kind.inputs}, {'classes' if last else kind.neurons})"
    if isinstance(kind, chain.Pooling):
        ceil = ", ceil_mode=True" if kind.rounds_up else ""
        return f"nn.MaxPool2d(kernel_size={kind.size}, stride={kind.stride}{ceil})"
    if isinstance(kind, chain.ResponseNorm):
        numbers = f"n={kind.n}, k={kind.k:g}, alpha={kind.alpha / kind.n:g}, beta={kind.beta:g}"
        return f"ResponseNorm(columns={kind.columns}, {numbers})"
    if isinstance(kind, chain.MapNorm):
        return f"MapNorm(size={kind.size}, alpha={kind.alpha:g}, beta={kind.beta:g})"
    if isinstance(kind, chain.Dropout):
        return f"{'nn.' if kind.inverted else ''}Dropout(p={kind.p:g})"
    if isinstance(kind, chain.Pad):
        return f"nn.ZeroPad2d(({kind.left}, {kind.right}, {kind.top}, {kind.bottom}))"
    if isinstance(kind, chain.Activation):
        return {"relu": "nn.ReLU()", "tanh": "nn.Tanh()"}[kind.function]
    if isinstance(kind, chain.Flatten):
        return "nn.Flatten()"
    if isinstance(kind, chain.Divide):
        return f"Divide({', '.join(f'{value:g}' for value in kind.values)})"
    if isinstance(kind, chain.Subtract):
        return f"Subtract({', '.join(map(str, kind.shape))})"
    raise TypeError(f"{layer.name} is a layer that the module does not have")


def _parameters(kind: chain.Convolution | chain.FullyConnected) -> int:
    if isinstance(kind, chain.Convolution):
        return kind.kernels * (1 + kind.inputs // kind.groups * kind.size**2)
    return kind.neurons * (1 + kind.inputs)


# What is said of the first layer of each kind.
_REMARKS = {
    chain.Activation: "Sec. 3.1",
    chain.Pooling: "overlapping (Sec. 3.4)",
}

_BORDER = (
    "The paper has 55×55 neurons in layer 1 (Sec. 3.5), which 224 pixels alone do not give: in the 2012",
    "code the last windows reach 3 pixels beyond the image, to the right and at the bottom.",
)

_HEAD = '''
"""AlexNet (Krizhevsky, Sutskever, Hinton, NIPS 2012) in plain PyTorch. "Sec." and "Fig." are the paper's.

@example@

An image is scaled until its shorter side has 256 pixels, and its centre of @size@×@size@ is classified, or ten views
of it, whose probabilities are averaged (Sec. 4.1). Each layer has a name, for hooks: net.conv5 gives what net.relu5
reads. How the net was trained is told in @name@.md.
"""

import json
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
@functional@
WEIGHTS = Path(__file__).with_suffix(".safetensors")
'''

_OWN_LAYERS = {
    chain.Subtract: '''
class Subtract(nn.Module):
    """The mean of the training images is subtracted from each image (Sec. 2)."""

    def __init__(self, *shape: int):
        super().__init__()
        self.register_buffer("value", torch.zeros(shape))

    def forward(self, x):
        return x - self.value
''',
    chain.Divide: '''
class Divide(nn.Module):
    """Each colour is divided by a constant: roughly the standard deviation of its grey levels."""

    def __init__(self, red: float, green: float, blue: float):
        super().__init__()
        self.register_buffer("value", torch.tensor([red, green, blue]).view(3, 1, 1), persistent=False)

    def forward(self, x):
        return x / self.value
''',
    chain.ResponseNorm: '''
class ResponseNorm(nn.Module):
    """b = a / (k + alpha · Σa²)^beta, the sum over n neighbouring maps of the same column (Sec. 3.3)."""

    def __init__(self, columns: int, n: int, k: float, alpha: float, beta: float):
        super().__init__()
        self.columns = columns
        self.norm = nn.LocalResponseNorm(n, alpha * n, beta, k)  # PyTorch divides alpha by n

    def forward(self, x):
        columns = x.unflatten(1, (self.columns, -1))  # N × columns × maps × height × width
        return self.norm(columns.flatten(0, 1)).reshape(x.shape)
''',
    chain.MapNorm: '''
class MapNorm(nn.Module):
    """x / (1 + alpha · mean of x²)^beta over size × size pixels of the same map: in the 2012 code, not in the paper."""

    def __init__(self, size: int, alpha: float, beta: float):
        super().__init__()
        self.size, self.alpha, self.beta = size, alpha, beta

    def forward(self, x):
        mean_square = F.avg_pool2d(x**2, self.size, stride=1, padding=self.size // 2)
        return x / (1 + self.alpha * mean_square) ** self.beta
''',
    chain.Dropout: '''
class Dropout(nn.Module):
    """As published (Sec. 4.2): a mask of zeros and ones in training, every output times 1 - p in test.

    PyTorch's own divides the mask by 1 - p in training and does nothing in test.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x):
        return F.dropout(x, self.p, self.training) * (1 - self.p)
''',
}

_GROUPS = """\
A layer with groups=2 sees only the maps of its own column; in 2012 each column had a GPU of its own (Sec. 3.2).
The other layers see both columns, and there they meet.
"""

_NETWORK = '''
class AlexNet(nn.Sequential):
    """@weighted@ layers with weights, @count@ parameters@figure@. Ends of lines: the output for one image.@groups@"""

    def __init__(self, classes: int = @outputs@):
        super().__init__(
            OrderedDict(
@layers@
            )
        )
'''

_LOADING = '''
def load(weights: Path = WEIGHTS) -> AlexNet:
    """The trained net, in test mode; ``load().train()`` can be trained further."""
    net = AlexNet()
    net.load_state_dict(load_file(weights))
    return net.eval()


def class_names(weights: Path = WEIGHTS) -> list[str]:
    """What the outputs stand for, in their order."""
    with safe_open(weights, "pt") as file:
        return [one["name"] for one in json.loads(file.metadata()["classes"])]
'''
