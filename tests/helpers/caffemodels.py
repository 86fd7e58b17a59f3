"""Makes small nets in Caffe's files: prototxt as text, caffemodel byte by byte from the published field numbers.

Nothing here knows the program's reader; OpenCV's, which reads the same files, says whether they are right.
"""

import numpy as np

ALEXNET, CAFFENET = ("norm", "pool"), ("pool", "norm")  # what follows layers 1 and 2
TYPES = {  # name → (type in the older form's prototxt, its number)
    "Convolution": ("CONVOLUTION", 4),
    "ReLU": ("RELU", 18),
    "LRN": ("LRN", 15),
    "Pooling": ("POOLING", 17),
    "InnerProduct": ("INNER_PRODUCT", 14),
    "Dropout": ("DROPOUT", 6),
    "Softmax": ("SOFTMAX", 20),
}
KERNELS = {"conv1": 8, "conv2": 12, "conv3": 16, "conv4": 16, "conv5": 12, "fc6": 20, "fc7": 20, "fc8": 7}
FULL = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256, "fc6": 4096, "fc7": 4096, "fc8": 1000}
CONVOLUTIONS = {
    "conv1": "kernel_size: 11 stride: 4",
    "conv2": "pad: 2 kernel_size: 5 group: 2",
    "conv3": "pad: 1 kernel_size: 3",
    "conv4": "pad: 1 kernel_size: 3 group: 2",
    "conv5": "pad: 1 kernel_size: 3 group: 2",
}


def layers(order, kernels=KERNELS):
    """The net's layers in order: (name, type, bottom, top, parameters as text)."""
    below, made = "data", []

    def add(name, kind, text="", in_place=False):
        nonlocal below
        top = below if in_place else name
        made.append((name, kind, below, top, text))
        below = top

    for number in "12345":
        conv = f"conv{number}"
        add(conv, "Convolution", f"convolution_param {{ num_output: {kernels[conv]} {CONVOLUTIONS[conv]} }}")
        add(f"relu{number}", "ReLU", in_place=True)
        for what in order if number in "12" else ["pool"] if number == "5" else []:
            if what == "norm":
                add(f"norm{number}", "LRN", "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")
            else:
                add(f"pool{number}", "Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }")
    for number in "678":
        add(f"fc{number}", "InnerProduct", f"inner_product_param {{ num_output: {kernels[f'fc{number}']} }}")
        if number != "8":
            add(f"relu{number}", "ReLU", in_place=True)
            add(f"drop{number}", "Dropout", "dropout_param { dropout_ratio: 0.5 }", in_place=True)
    add("prob", "Softmax")
    return made


def prototxt(order, size=227, kernels=KERNELS, old=False, described="shape"):
    """A deploy prototxt. old: in the form before 2014's upgrade. described: how it says its input."""
    inputs = {
        "shape": f'input: "data" input_shape {{ dim: 10 dim: 3 dim: {size} dim: {size} }}',
        "dim": f'input: "data"\ninput_dim: 10\ninput_dim: 3\ninput_dim: {size}\ninput_dim: {size}',
        "layer": 'layer { name: "data" type: "Input" top: "data" '
        f"input_param {{ shape: {{ dim: 10 dim: 3 dim: {size} dim: {size} }} }} }}",
    }
    lines = ['name: "small"', inputs[described]]
    for name, kind, below, top, text in layers(order, kernels):
        head = f'layers {{ name: "{name}" type: {TYPES[kind][0]}' if old else f'layer {{ name: "{name}" type: "{kind}"'
        rates = "blobs_lr: 1 weight_decay: 0" if old else "param { lr_mult: 1 decay_mult: 0 }"
        learns = rates if kind in ("Convolution", "InnerProduct") else ""
        lines.append(f'{head} bottom: "{below}" top: "{top}" {learns} {text} }}')
    return "\n".join(lines) + "\n"


def shapes(size=227, kernels=KERNELS):
    """Shape of each layer's weights, worked out by hand from Caffe's rules: convolutions round down, poolings up."""

    def pooled(n):
        return int(np.ceil((n - 3) / 2)) + 1

    side = pooled(pooled(pooled((size - 11) // 4 + 1)))
    return {
        "conv1": (kernels["conv1"], 3, 11, 11),
        "conv2": (kernels["conv2"], kernels["conv1"] // 2, 5, 5),
        "conv3": (kernels["conv3"], kernels["conv2"], 3, 3),
        "conv4": (kernels["conv4"], kernels["conv3"] // 2, 3, 3),
        "conv5": (kernels["conv5"], kernels["conv4"] // 2, 3, 3),
        "fc6": (kernels["fc6"], kernels["conv5"] * side * side),
        "fc7": (kernels["fc7"], kernels["fc6"]),
        "fc8": (kernels["fc8"], kernels["fc7"]),
    }


def weights(rng, size=227, kernels=KERNELS):
    """(weights, biases) of each layer: outputs neither vanish nor explode, and the softmax tells classes apart."""
    made = {}
    for name, shape in shapes(size, kernels).items():
        inputs = int(np.prod(shape[1:]))
        scale = {"conv1": 1.0, "conv2": 0.2, "fc8": 0.35}.get(name, 1.4) / np.sqrt(inputs)
        made[name] = (rng.normal(0, scale, shape).astype("<f4"), rng.normal(0, 0.1, shape[0]).astype("<f4"))
    return made


def varint(number):
    """A whole number as protobuf writes it, seven bits a byte."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def field(number, value):
    """One field: a whole number, or bytes (of a text, a message, packed numbers)."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array, old=False, claimed=None):
    """A BlobProto; the older form has four dimensions always. claimed: a shape that the data need not have."""
    shape = claimed or array.shape
    if old:
        shape = (1,) * (4 - len(shape)) + tuple(shape)
        head = b"".join(field(number, side) for number, side in zip((1, 2, 3, 4), shape))
    else:
        head = field(7, field(1, b"".join(varint(side) for side in shape)))
    return head + field(5, array.tobytes())


def caffemodel(order, values, kernels=KERNELS, old=False):
    """The bytes of a net's weights, in either form."""
    content = field(1, "small")
    for name, kind, below, top, _ in layers(order, kernels):
        blobs = b"".join(field(6 if old else 7, blob(array, old)) for array in values.get(name, ()))
        if old:
            layer = field(2, below) + field(3, top) + field(4, name) + field(5, TYPES[kind][1]) + blobs
            content += field(2, layer)
        else:
            layer = field(1, name) + field(2, kind) + field(3, below) + field(4, top) + blobs
            content += field(100, layer)
    return content


def written(folder, rng, order=ALEXNET, size=227, old=False, described="shape"):
    """(prototxt, caffemodel) of a small net."""
    files = folder / "deploy.prototxt", folder / "net.caffemodel"
    files[0].write_text(prototxt(order, size, old=old, described=described))
    files[1].write_bytes(caffemodel(order, weights(rng, size), old=old))
    return files
