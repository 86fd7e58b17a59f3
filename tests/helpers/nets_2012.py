"""Layer files built like #145 of the 2012 repository and its relatives, of our own writing: few maps, a small image."""

from __future__ import annotations

from dataclasses import dataclass, field

from .cuda_files import HEAD, section, tail, weights


@dataclass
class Narrow:
    """What a net has, and its two texts by :meth:`files`. Layers have the names of the 2012 files, columns a and b."""

    maps: tuple[int, ...] = (6, 8, 8, 8, 6)  # of each convolution, a column
    hidden: tuple[int, int] = (10, 10)  # neurons of fc6 and fc7, a column
    classes: int = 5
    columns: str = "ab"
    pool: int = 3  # window; strides are 2
    normalized: bool = True
    norm5: bool = False  # normalisation after conv5, too (#149)
    padding2: int = 2
    padding5: int = 1
    apart: bool = False  # columns meet at the outputs only (#150)
    conv6: bool = False  # on the last pooling, of both columns (#146)
    bottleneck: int = 0  # linear neurons a column below the outputs, which are in two halves (#146-2011)
    keep: float = 0.5  # of dropout
    rate: float = 0.01  # of weights
    _layers: list[str] = field(default_factory=list)
    _params: list[str] = field(default_factory=list)

    def files(self) -> tuple[str, str]:
        """The texts of the layer file and of the parameter file."""
        self._layers, self._params = [HEAD], []
        m1, m2, m3, m4, m5 = self.maps
        for device, c in enumerate(self.columns):
            self._conv(f"conv1{c}", ["data"], m1, 3, 11, 0, (0.01, 0), device, stride=4)
            below = self._norm(f"rnorm1{c}", f"conv1{c}", m1)
            self._pool(f"pool1{c}", below, m1, neuron="relu")
            self._conv(f"conv2{c}", [f"pool1{c}"], m2, m1, 5, self.padding2, (0.05, 1), device, neuron="relu")
            below = self._norm(f"rnorm2{c}", f"conv2{c}", m2)
            below = self._norm(f"cnorm2{c}", below, m2, "rnorm")
            self._pool(f"pool2{c}", below, m2)
        for device, c in enumerate(self.columns):
            self._conv(f"conv3{c}", self._below("pool2", c), m3, m2, 3, 1, (0.1, 0), device, neuron="relu")
            self._conv(f"conv4{c}", [f"conv3{c}"], m4, m3, 3, 1, (0.1, 1), device, neuron="relu")
            self._conv(f"conv5{c}", [f"conv4{c}"], m5, m4, 3, self.padding5, (0.1, 1), device)
            below = self._norm(f"rnorm5{c}", f"conv5{c}", m5) if self.norm5 else f"conv5{c}"
            self._pool(f"pool3{c}", below, m5, neuron="relu")
        top = "pool3"
        if self.conv6:
            for device, c in enumerate(self.columns):
                below = self._below("pool3", c)[:: -1 if device else 1]  # a column's own input first
                self._conv(f"conv6{c}", below, m5, m5, 3, 1, (0.1, 1), device, neuron="relu")
            top = "conv6"
        for number, outputs in zip("12", self.hidden):
            for device, c in enumerate(self.columns):
                below = self._below(top, c)[:: -1 if device and number == "2" else 1]
                self._fc(f"fc2048{'b' * (number == '2')}{c}", below, outputs, device, initB=1, neuron="relu")
            for c in self.columns:
                self._layers.append(
                    section(f"hs{number}{c}", type="hs", keep=self.keep, inputs=f"fc2048{'b' * (number == '2')}{c}")
                )
                self._params.append(section(f"hs{number}{c}", enable=1))
            top = f"hs{number}"
        self._outputs([f"hs2{c}" for c in self.columns])
        return "".join(self._layers), "".join(self._params)

    def _outputs(self, below):
        if not self.bottleneck:
            count = len(below)
            self._layers.append(tail(below, self.classes, initW=[0.1] * count, gpu=0))
            self._params += [weights("out", count, self.rate), section("cost", coeff=1)]
            return
        for name, inputs, outputs in (
            ("fc1", below, (self.bottleneck, self.bottleneck)),
            ("fc1000", ["fc1a", "fc1b"], (self.classes // 2, self.classes - self.classes // 2)),
        ):
            for device, (c, count) in enumerate(zip(self.columns, outputs)):
                self._fc(f"{name}{c}", inputs, count, device)
        self._layers += [
            section("concat", type="concat", inputs="fc1000a,fc1000b"),
            section("probs", type="softmax", inputs="concat"),
            section("cost", type="cost.logreg", inputs="labels,probs"),
        ]
        self._params.append(section("cost", coeff=1))

    def _below(self, name, column):
        return [f"{name}{column}"] if self.apart else [f"{name}{c}" for c in self.columns]

    def _conv(self, name, below, maps, channels, size, padding, initial, device, stride=1, **keys):
        lists = {"filters": maps, "channels": channels, "filterSize": size, "padding": padding, "stride": stride}
        lists = {key: [value] * len(below) for key, value in {**lists, "initW": initial[0]}.items()}
        keys = {"initB": initial[1], "sharedBiases": 1, "gpu": device, **keys}
        self._layers.append(section(name, type="conv", inputs=below, **lists, **keys))
        self._params.append(weights(name, len(below), self.rate))

    def _fc(self, name, below, outputs, device, **keys):
        std = [0.1] * len(below)
        self._layers.append(section(name, type="fc", inputs=below, outputs=outputs, initW=std, gpu=device, **keys))
        self._params.append(weights(name, len(below), self.rate))

    def _pool(self, name, below, channels, **keys):
        keys = {"sizeX": self.pool, "stride": 2, "channels": channels, **keys}
        self._layers.append(section(name, type="pool", pool="max", inputs=below, **keys))

    def _norm(self, name, below, channels, kind="cmrnorm"):
        if not self.normalized:
            return below
        numbers = {"scale": 0.0001, "minDiv": 2} if kind == "cmrnorm" else {"scale": 0.001}
        self._layers.append(section(name, type=kind, inputs=below, channels=channels, size=5))
        self._params.append(section(name, pow=0.75, **numbers))
        return name


def fused(graph, arrays: dict) -> dict:
    """Arrays of a graph by name → those of the recipe's net, by what each layer reads.

    A layer's columns lie one after the other in its outputs, and those of the layer below in what it reads.
    """
    from gluon_alexnet.backend import mx
    from gluon_alexnet.model.graph_shapes import weight_names
    from gluon_alexnet.recipes import layer_graph as graphs

    layers: dict[str, list] = {}
    for layer in graph.layers:
        if isinstance(layer, graphs.Convolution):
            layers.setdefault(layer.name[:5], []).append(layer)
        elif isinstance(layer, graphs.FullyConnected):
            first = layer.inputs[0]
            of = {"pool3": "fc6", "conv6": "fc6", "hs1": "fc7", "hs2": "fc8", "fc1": "fc8"}[first[:-1]]
            layers.setdefault("bottleneck" if layer.name[:-1] == "fc1" else of, []).append(layer)
    found = {}
    for name, columns in layers.items():
        weights = []
        for layer in sorted(columns, key=lambda layer: layer.name):
            names = [name for _, name in sorted(zip(layer.inputs, weight_names(layer)))]
            weights.append(mx.nd.concat(*[arrays[one] for one in names], dim=1))
        biases = [arrays[f"{layer.name}_bias"] for layer in sorted(columns, key=lambda layer: layer.name)]
        found[f"{name}_weight"], found[f"{name}_bias"] = (mx.nd.concat(*each, dim=0) for each in (weights, biases))
    return found
