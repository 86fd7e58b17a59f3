"""OUT.md: what an exported net is, how it came about and how far to trust it, ready to be published beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..atomic_files import sha256
from ..version import __version__

CLASSES_LISTED = 20  # more than these are left to OUT.json
LICENSE = "Apache-2.0"  # this program's own
OTHERS = "other"  # of weights that another program's user trained
_NEEDS = {
    "int8": " on a CPU, whose oneDNN computes in 8-bit integers",
    "bf16": " on a CPU that multiplies bfloat16 (AVX512-BF16 or AMX)",
}


@dataclass(frozen=True)
class Origin:
    """Where a net comes from, as far as it is known."""

    title: str  # one line: "recipe narrow: an eighth of every layer, …", or what was imported
    differences: Sequence[str] = ()  # from the paper, in words
    settled: Sequence[str] = ()  # what the paper leaves open
    epochs: Sequence[dict] = ()  # as a run's log has them
    started: Mapping = field(default_factory=dict)  # the log's event "start" of the last start


@dataclass(frozen=True)
class Card:
    """What a model card is made of. ``description``: what OUT.json holds."""

    name: str
    description: Mapping
    origin: Origin
    parameters: int
    files: Sequence[Path]  # all of the export but the card, with their drafts' content
    command: str | None = None
    license: str = LICENSE
    date: str = ""


def render(card: Card) -> str:
    """The card as Markdown, with the metadata block that model hubs read at its top."""
    parts = [_head(card), _use(card), _net(card), _training(card), _measured(card), _files(card), _end(card)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(card: Card) -> str:
    ends = {file.suffix for file in card.files}
    tags = ["alexnet", "mxnet", *(tag for tag, end in (("onnx", ".onnx"), ("pytorch", ".py")) if end in ends)]
    classes = len(card.description["classes"])
    task = "image-classification" if classes else "image-feature-extraction"
    lines = ["---", f"license: {card.license.lower()}", f"pipeline_tag: {task}", "tags:"]
    lines += [f"- {tag}" for tag in tags] + ["---", "", f"# {card.name}", ""]
    what = f"for {classes} classes" if classes else "without its fully connected layers"
    lines.append(
        _wrapped(
            f"AlexNet (Krizhevsky, Sutskever, Hinton, NIPS 2012) {what}, {card.parameters:,} parameters; "
            f"{card.origin.title}."
        )
    )
    return "\n".join(lines)


def _use(card: Card) -> str:
    name, size = card.name, card.description["input"]["shape"][-1]
    ends = {file.name[len(name) :] for file in card.files}
    blocks = []
    if ".py" in ends:
        blocks.append(
            f"PyTorch (`{name}.py`, `{name}.safetensors`; torch and safetensors):\n\n"
            f"```python\nimport {name if name.isidentifier() else 'alexnet'} as alexnet"
            + ("" if name.isidentifier() else "  # rename the two files to alexnet.py and alexnet.safetensors")
            + "\n\nprobabilities = alexnet.load()(images).softmax(1)\n```"
        )
    if ".onnx" in ends:
        blocks.append(
            f"ONNX (`{name}.onnx`):\n\n```python\nimport onnxruntime\n\n"
            f'session = onnxruntime.InferenceSession("{name}.onnx")\n'
            'probabilities = session.run(None, {"data": images})[0]\n```'
        )
    needs = next((words for form, words in _NEEDS.items() if form in card.description), "")
    blocks.append(
        f"MXNet 1.9.1{needs} (`{name}-symbol.json`, `{name}-0000.params`):\n\n```python\nimport mxnet as mx\n\n"
        f'net = mx.gluon.SymbolBlock.imports("{name}-symbol.json", ["data"], "{name}-0000.params")\n'
        "probabilities = net(mx.nd.array(images)).asnumpy()\n```"
    )
    words = (
        f"Input, `images`: float32 (N, 3, {size}, {size}), RGB grey levels 0 to 255; nothing is to be subtracted. An "
        "image is scaled until its shorter side has 256 pixels (averaging when it shrinks, cubic when it grows), "
        f"and the centre of {size}×{size} is one view; the paper averages the probabilities of ten: the four corners "
        "and the centre of the central 256×256, and their mirror images (Sec. 4.1)."
    )
    out = (
        f"Output: float32 (N, {len(card.description['classes'])}), probabilities of the classes {_classes(card)}. For "
        "every image the net names one of these classes, also where none fits."
    )
    if not card.description["classes"]:
        sides = ", ".join(map(str, card.description["output"]["shape"][1:]))
        out = f"Output: float32 (N, {sides}), the maps after the last pooling: a net to fine-tune from."
        blocks = [block.replace("probabilities =", "maps =") for block in blocks]
    return "\n\n".join(["## Use", _wrapped(words), _wrapped(out), *blocks])


def _classes(card: Card) -> str:
    names = [one["name"].split(",")[0] for one in card.description["classes"]]
    return ", ".join(names) if len(names) <= CLASSES_LISTED else f"that `{card.name}.json` lists in their order"


def _net(card: Card) -> str:
    origin = card.origin
    lines = ["## What differs from the paper", ""]
    if not origin.differences and not origin.settled:
        return ""
    lines += [_item(line) for line in origin.differences or ["No printed number."]]
    if origin.settled:
        lines += ["", "Where the print is silent or cannot be meant:", "", *(_item(line) for line in origin.settled)]
    return "\n".join(lines)


def _training(card: Card) -> str:
    origin, source = card.origin, card.description["provenance"]
    if not origin.epochs:
        return "## Training\n\nThis net was not trained by this program." if "recipe" not in source else ""
    last, started = origin.epochs[-1], origin.started
    images, minutes = last["images"], sum(epoch["seconds"] for epoch in origin.epochs) / 60
    where = f" on {', '.join(started['contexts'])}" if started.get("contexts") else ""
    batch = f" of {started['batch_size']} images" if started.get("batch_size") else ""
    words = (
        f"{last['epoch']} epochs of {images:,} images, {source['step']:,} updates{batch}, {minutes:,.0f} minutes"
        f"{where}. Data set (SHA-256 of its description): `{source['data_digest']}`."
    )
    rows = ["| epoch | learning rate | training loss | top-1 error, % | top-5 error, % |", "|---|---|---|---|---|"]
    for epoch in _telling(origin.epochs):
        rows.append(
            f"| {epoch['epoch']} | {epoch['learning_rate']:g} | {epoch['training_loss']:.4f} | "
            f"{epoch['validation_top1']:.2f} | {epoch['validation_top5']:.2f} |"
        )
    note = "Errors on the validation images, centre view. Shown: the first and the last epoch, the best, and those "
    return "\n".join(
        ["## Training", "", _wrapped(words), "", *rows, "", _wrapped(f"{note}around each change of rate.")]
    )


def _telling(epochs: Sequence[dict]) -> list[dict]:
    """The first, the last, the best, and the two around each change of the learning rate."""
    best = min(range(len(epochs)), key=lambda place: epochs[place]["validation_top1"])
    chosen = {0, len(epochs) - 1, best}
    for place in range(1, len(epochs)):
        if epochs[place]["learning_rate"] != epochs[place - 1]["learning_rate"]:
            chosen |= {place - 1, place}
    return [epochs[place] for place in sorted(chosen)]


def _measured(card: Card) -> str:
    content = card.description
    lines = ["## Measured", ""]
    error = content.get("validation_error") or {}
    if error.get("top1") is not None:
        images = card.origin.epochs[-1].get("validation_images") if card.origin.epochs else None
        of = f" of {images:,} validation images" if images else ""
        lines.append(_item(f"Error{of}, centre view: top-1 {error['top1']:.2f} %, top-5 {error['top5']:.2f} %."))
    for form in ("int8", "bf16"):
        if form in content:
            lines.append(_item(_reduced(form, content[form]["compared"])))
    verified = content.get("verified") or {}
    if verified:
        each = ", ".join(f"{name} {value:.1e}" for name, value in verified["largest_difference"].items())
        of = f" over {verified['images']} images"
        lines.append(
            _item(f"Largest difference in a probability between this net and what runs the files{of}: {each}.")
        )
    if content.get("not_run"):
        lines.append(_item(content["not_run"]))
    return "\n".join(lines) if len(lines) > 2 else ""


def _reduced(form: str, found: Mapping) -> str:
    one, other = found["float32"], found[form]
    return (
        f"{found['images']:,} validation images, centre view: float32 top-1 error {one['top1_error']:.2f} %, "
        f"{one['images_per_second']} images/s; {form} {other['top1_error']:.2f} %, {other['images_per_second']} "
        f"images/s (batches of {found['batch_size']}, on the machine that exported it); the same first guess for "
        f"{found['same_first_guess']:.2f} %."
    )


def _files(card: Card) -> str:
    rows = [f"| `{file.name}` | {file.stat().st_size:,} | `{sha256(file)}` |" for file in card.files]
    return "\n".join(["## Files", "", "| file | bytes | SHA-256 |", "|---|---|---|", *rows])


def _end(card: Card) -> str:
    source = card.description["provenance"]
    versions = ", ".join(f"{name} {version}" for name, version in source.get("versions", {}).items())
    made = f"{f'On {card.date} with' if card.date else 'With'} gluon-alexnet {__version__}"
    trained = f", from a net trained with {versions}" if versions else ""
    lines = ["## Made by", "", _wrapped(f"{made}{trained}:")]
    lines += ["", f"    {card.command or 'gluon_alexnet.export(…), called from Python'}", "", "## Licence", ""]
    if card.license == OTHERS:
        lines.append(_wrapped("The imported weights have their publisher's licence, which is not known here."))
        return "\n".join(lines)
    lines.append(
        _wrapped(
            f"{card.license}. The images the net was trained on have terms of their own; ImageNet's are for "
            "non-commercial research and teaching."
        )
    )
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 110, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> str:
    return textwrap.fill(f"- {text}", 110, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
