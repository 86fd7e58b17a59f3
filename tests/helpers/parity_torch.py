"""PyTorch's side of test_parity.py: outputs, loss, gradients and updates of a net from the parameters it is given.

python parity_torch.py IN.npz OUT.npz
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "benchmarks"))
from torch_net import AlexNet


def main(source, target):
    given = dict(np.load(source))
    network, rates = json.loads(str(given["network"])), json.loads(str(given["rates"]))
    net = AlexNet(network, given["fc8_bias"].shape[0])
    parameters = {name.replace(".", "_"): value for name, value in net.named_parameters()}
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(torch.from_numpy(given[name]))
    found = {"names": np.array(sorted(parameters))}
    velocity = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for step, (images, labels) in enumerate(zip(given["images"], given["labels"])):
        net.zero_grad()
        logits = net(torch.from_numpy(images))
        loss = -torch.log_softmax(logits, 1)[torch.arange(len(labels)), torch.from_numpy(labels)].mean()
        loss.backward()
        found[f"loss{step}"] = loss.detach().numpy()
        if step == 0:
            found["logits"] = logits.detach().numpy()
            found.update({f"gradient {name}": value.grad.numpy().copy() for name, value in parameters.items()})
        with torch.no_grad():
            for name, value in parameters.items():  # Sec. 5, written out
                rate = rates[step]["biases" if name.endswith("_bias") else "weights"]
                decay = 0.0 if name.endswith("_bias") else 0.0005
                velocity[name] = 0.9 * velocity[name] - decay * rate * value - rate * value.grad
                value += velocity[name]
    found.update({f"after {name}": value.detach().numpy() for name, value in parameters.items()})
    np.savez(target, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
