"""JAX's side of training.py: images/s of each step of the same net under jit, and the most memory it took (MB)."""

import argparse
import json
import os
import resource
import sys
import time

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    print(json.dumps({"missing": f"not installed ({error.name})"}))
    sys.exit()
import numpy as np

FORM = ("NHWC", "HWIO", "NHWC")  # XLA's own form on a CPU; NCHW is slower there


def parameters(network, classes, generator):
    """Name → (weight, bias), with the paper's standard deviations."""
    found, maps, columns = {}, 3, network["columns"]
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        layer = network[name]
        seen = maps if layer["both_columns"] else maps // columns
        shape = (layer["size"], layer["size"], seen, layer["kernels"])
        found[name] = generator.normal(0, 0.01, shape), np.zeros(layer["kernels"])
        maps = layer["kernels"]
    inputs = maps * 36
    for name, outputs in (("fc6", network["fc6"]["neurons"]), ("fc7", network["fc7"]["neurons"]), ("fc8", classes)):
        found[name] = generator.normal(0, 0.01, (inputs, outputs)), np.zeros(outputs)
        inputs = outputs
    return {name: tuple(jnp.asarray(array, jnp.float32) for array in pair) for name, pair in found.items()}


def scores(network, weights, images, key):
    """(N, classes) before the softmax, of (N, size, size, 3), with dropout."""
    x = images
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        layer = network[name]
        weight, bias = weights[name]
        x = jax.lax.conv_general_dilated(
            x,
            weight,
            (layer["stride"],) * 2,
            [tuple(layer["padding"])] * 2,
            dimension_numbers=FORM,
            feature_group_count=1 if name == "conv1" or layer["both_columns"] else network["columns"],
        )
        x = jax.nn.relu(x + bias)
        if name in ("conv1", "conv2"):
            x = normalized(network, x)
        if name in ("conv1", "conv2", "conv5"):
            size, stride = network["pooling"]["size"], network["pooling"]["stride"]
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, size, size, 1), (1, stride, stride, 1), "VALID")
    x = x.reshape(len(x), -1)
    for name in ("fc6", "fc7"):
        weight, bias = weights[name]
        key, own = jax.random.split(key)
        x = jax.nn.relu(x @ weight + bias)
        x = x * jax.random.bernoulli(own, 1 - network["dropout"], x.shape)
    weight, bias = weights["fc8"]
    return x @ weight + bias


def normalized(network, x):
    numbers = network["normalization"]
    n, height, width, maps = x.shape
    x = x.reshape(n, height, width, network["columns"], -1)  # the sum stays in its column
    own = x.shape[-1]
    squares = jnp.pad(x * x, [(0, 0)] * 4 + [(2, 2)])
    total = sum(squares[..., place : place + own] for place in range(numbers["n"]))
    root = jax.lax.rsqrt(numbers["k"] + numbers["alpha"] * total)
    return (x * root * jnp.sqrt(root)).reshape(n, height, width, maps)


def main():
    parser = argparse.ArgumentParser()
    for name in ("batch", "steps", "warm"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--network", required=True, help="the recipe's network as JSON")
    given = parser.parse_args()
    network = json.loads(given.network)
    generator = np.random.default_rng(0)
    weights = parameters(network, 1000, generator)
    momenta = jax.tree.map(jnp.zeros_like, weights)
    images = jnp.asarray(generator.normal(0, 60, (given.batch, 224, 224, 3)), jnp.float32)
    labels = jnp.arange(given.batch) % 1000

    def loss(weights, key):
        logs = jax.nn.log_softmax(scores(network, weights, images, key))
        return -logs[jnp.arange(given.batch), labels].mean()

    def update(weights, momenta, key):
        gradients = jax.grad(loss)(weights, key)
        momenta = jax.tree.map(lambda v, g, w: 0.9 * v - 1e-5 * (g + 0.0005 * w), momenta, gradients, weights)
        return jax.tree.map(jnp.add, weights, momenta), momenta

    step, rates = jax.jit(update, donate_argnums=(0, 1)), []
    for number in range(given.warm + given.steps):
        began = time.perf_counter()
        weights, momenta = jax.block_until_ready(step(weights, momenta, jax.random.key(number)))
        rates.append(given.batch / (time.perf_counter() - began))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    how = f"jax {jax.__version__}, {len(os.sched_getaffinity(0))} cores, float32, jit, {FORM[0]}, donated arrays"
    print(json.dumps({"rates": rates[given.warm :], "memory": memory, "how": how}), flush=True)


if __name__ == "__main__":
    main()
