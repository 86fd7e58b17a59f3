"""Other programs' AlexNets as exported nets: `import_weights(["alexnet.pth"], "OUT")`."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidRequest
from ..importers import KINDS
from ..importers.trained import Verdict, judge_kernels
from ..safe_files import read_text
from .devices import open_device

if TYPE_CHECKING:
    from ..exporters.files import Publication

_LOG = logging.getLogger(__name__)
IMAGES_COMPARED = 8


@dataclass(frozen=True)
class ImportedNet:
    """What was imported, and how it was checked."""

    out: Path
    kind: str  # one of KINDS
    format: str  # of the file, in words
    architecture: str  # "BVLC AlexNet", "CaffeNet", "one-weird-trick", "one-weird-trick, conv1 to conv5"
    classes: int  # outputs; 0 of a convolutional part, whose output is pool5
    size: int  # height and width of its input, pixels
    parameters: int  # weights and biases
    kernels: Verdict  # whether conv1 looks trained
    mean: tuple[float, ...] | None  # RGB grey levels that are subtracted; None where a mean image is
    published_as: str | None  # the name under which exactly this file was published, as far as it is known here
    judge: str  # whose computation it was compared with
    differences: dict[str, float]  # largest difference in an output, by whose: the judge's and MXNet's two ways to load
    images: int
    images_source: str


@dataclass(frozen=True)
class _Draft:
    """What a kind of files gives before anything is written."""

    classifier: Any
    judge: str
    judged: Any  # uint8 images → outputs
    conv1: np.ndarray
    facts: dict  # of ImportedNet
    provenance: dict


def import_weights(
    files: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    kind: str | None = None,
    device: Any = None,
    mean: Path | str | None = None,
    classes: Path | str | None = None,
    images: Path | str | None = None,
    command: str | None = None,
    overwrite: bool = False,
) -> ImportedNet:
    """Write another program's AlexNet as an exported net: OUT-symbol.json, OUT-0000.params, OUT.json, OUT.md.

    files: a .pth of torch.save, a .safetensors, an MXNet .params or a pickle of arrays; or Caffe's two, prototxt and
    caffemodel. kind: one of KINDS; None recognises it by the content. device: a context such as "gpu(0)"; None is
    cpu(0). mean: Caffe's mean image, a binaryproto. classes: a text file, a line a class with wnid and name. images: a
    folder of images to compare with; None takes noise. command: that made it, for the model card.
    overwrite: replace an export to OUT that is there.

    The net takes RGB grey levels (N, 3, S, S) and gives probabilities, or pool5 where only conv1 to conv5 are there.
    Nothing is written unless another program's computation gives the same outputs to 1e-4 of the largest.

    Raises InvalidRequest where a file is another net (the first layer that does not fit is named) or of no known kind,
    OperationFailed where one is cut, damaged or hostile, or where the outputs differ.
    """
    from ..exporters import symbol
    from ..exporters.files import TOLERANCE_OF_OTHERS, Publication, check_names
    from ..model.classifier import classify_with, count_parameters

    out = Path(out)
    check_names(out, overwrite)
    given = [Path(files)] if isinstance(files, (str, Path)) else [Path(file) for file in files]
    mean_file, class_file, folder = (None if one is None else Path(one) for one in (mean, classes, images))
    for file in (*given, mean_file, class_file):
        if file is not None and file.exists() and not file.is_file():
            raise InvalidRequest(f"{file} is not a regular file.")  # a device may never end
    lines, real = _class_lines(class_file), _real_images(folder)  # before the weights, which take longer
    context = open_device("cpu(0)" if device is None else device, "An import")
    if kind is not None and kind not in KINDS:
        raise InvalidRequest(f"There is no kind {kind!r}; there are {', '.join(KINDS)}.")
    kind = kind or _kind_of(given)
    _LOG.info("the files are of the kind %s", kind)
    if kind == "caffe":
        draft = _of_caffe(given, mean_file, context)
    else:
        if mean_file is not None:
            raise InvalidRequest("A mean image belongs to Caffe's nets; the others have a mean of each colour.")
        draft = _of_table(given, kind, context)
    outputs, size = draft.facts["classes"], draft.facts["size"]
    named = _classes(class_file, lines, outputs)
    compared, source = _images(folder, real, size)
    with Publication(overwrite) as publication:
        pair = publication.draft(out)
        differences = symbol.write_pair(publication, pair, draft.classifier, compared, context)
        expected = classify_with(draft.classifier, context)(compared)
        runners = {draft.judge: lambda _, views: draft.judged(views)}
        differences |= publication.verify(pair, runners, compared, expected, TOLERANCE_OF_OTHERS)
        described = {
            "classes": named,
            "provenance": {**draft.provenance, "variants": []},
            "verified": {"images": len(compared), "source": source, "largest_difference": differences},
        }
        if not outputs:
            described["output"] = {"shape": ["N", *expected.shape[1:]], "values": "pool5, after the last pooling"}
        _describe(publication, pair, size, described, count_parameters(draft.classifier), command)
        publication.publish()
    return ImportedNet(
        out=out,
        kind=kind,
        parameters=count_parameters(draft.classifier),
        kernels=judge_kernels(draft.conv1),
        judge=draft.judge,
        differences=differences,
        images=len(compared),
        images_source=source,
        **draft.facts,
    )


def _describe(
    publication: Publication, pair: Path, size: int, described: dict[str, Any], parameters: int, command: str | None
) -> None:
    """OUT.json and OUT.md of a draft."""
    from ..backend import mx
    from ..exporters import model_card
    from ..exporters.files import file_of
    from ..importers.families import differences_from, lines_of_chain
    from ..model import layer_chain

    description = publication.describe(pair, size, {**described, "card": f"{pair.name}.md"})
    layers = layer_chain.read(mx.sym.load(str(file_of(pair, "symbol"))), size)
    source = description["provenance"]
    file = source.get("file") or source["caffemodel"]
    digest = f"SHA-256 {source['sha256']}" if "sha256" in source else f"SHA-1 {source['sha1']}"
    title = f"{source['architecture']}, imported from `{file}` ({digest})"
    card = model_card.Card(
        name=pair.name,
        description=description,
        origin=model_card.Origin(title, differences_from("paper", lines_of_chain(layers))),
        parameters=parameters,
        files=publication.drafts(pair),
        command=command or "gluon_alexnet.import_weights(…), called from Python",
        license=model_card.OTHERS,
        date=time.strftime("%Y-%m-%d"),
    )
    publication.add_card(pair, model_card.render(card))


def _kind_of(files: Sequence[Path]) -> str:
    """The kind that the content of the files says. Raises InvalidRequest where it is none."""
    from ..importers import one_weird_trick
    from ..importers.caffe.files import is_text
    from ..importers.files import format_of, read_table

    if not files:
        raise InvalidRequest("There is no file to import.")
    formats = [format_of(file) for file in files]
    if len(files) == 2 and (formats == [None, None] or any(is_text(file) for file in files)):
        return "caffe"
    if formats[0] is None:
        if len(files) == 1 and is_text(files[0]):
            raise InvalidRequest(
                f"{files[0]} is text; Caffe's nets are two files, the deploy.prototxt and the caffemodel."
            )
        read_table(files[0])  # says what can be read
    _, table = read_table(files[0])
    found = one_weird_trick.find(table)
    return one_weird_trick.check(files[0], table, found).naming.kind


def _of_caffe(files: Sequence[Path], mean: Path | None, context: Any) -> _Draft:
    from ..atomic_files import digest_of
    from ..importers.caffe import network, weights
    from ..importers.caffe.architecture import read_architecture
    from ..importers.caffe.files import PUBLISHED, in_order

    prototxt, caffemodel = in_order(files)
    architecture = read_architecture(prototxt)
    values = weights.read_weights(caffemodel, architecture)
    means = np.array(weights.CHANNEL_MEANS, np.float32) if mean is None else weights.read_mean(mean)
    classifier = network.build_classifier(architecture, values, means, context)
    digest = digest_of(caffemodel, "sha1")
    provenance = {
        "caffemodel": caffemodel.name,
        "sha1": digest,
        "published_as": PUBLISHED.get(digest),
        "prototxt": prototxt.name,
        "architecture": architecture.family,
        "mean": mean.name if mean else "ILSVRC-2012, a number a colour",
    }
    facts = {
        "format": "Caffe's prototxt and caffemodel",
        "architecture": architecture.family,
        "classes": architecture.classes,
        "size": architecture.size,
        "mean": weights.CHANNEL_MEANS if mean is None else None,
        "published_as": PUBLISHED.get(digest),
    }

    def judged(images: np.ndarray) -> np.ndarray:
        return network.by_opencv(prototxt, caffemodel, classifier.mean.data().asnumpy(), images)

    return _Draft(classifier, "OpenCV", judged, values["conv1_weight"], facts, provenance)


def _of_table(files: Sequence[Path], kind: str, context: Any) -> _Draft:
    from ..atomic_files import sha256
    from ..importers import network, one_weird_trick
    from ..importers.files import read_table

    if len(files) != 1:
        raise InvalidRequest(f"A net of the kind {kind} is one file; {len(files)} were given.")
    (file,) = files
    title, table = read_table(file)
    found = one_weird_trick.check(file, table, one_weird_trick.find(table, kind))
    weights = one_weird_trick.read_weights(file, table, found)
    classifier = network.build(found, weights, context)
    recipe = network.network_of(found)
    architecture = "one-weird-trick" if found.classifies else "one-weird-trick, conv1 to conv5"
    provenance = {
        "file": file.name,
        "sha256": sha256(file),
        "format": title,
        "names": found.naming.title,
        "architecture": architecture,
        "mean": "of each colour, and its standard deviation",
    }
    facts = {
        "format": f"{title}, named as {found.naming.title} does",
        "architecture": architecture,
        "classes": found.classes,
        "size": recipe.input_size,
        "mean": recipe.channel_mean,
        "published_as": None,
    }

    def judged(images: np.ndarray) -> np.ndarray:
        return network.by_model_zoo(weights, images)

    return _Draft(classifier, "Gluon's model zoo", judged, weights["conv1_weight"], facts, provenance)


def _class_lines(file: Path | None) -> list[list[str]] | None:
    """[wnid, name] of each line of a file of classes."""
    if file is None:
        return None
    try:
        return [line.split(None, 1) for line in read_text(file).splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file} is no text file.") from error


def _real_images(folder: Path | None) -> np.ndarray | None:
    """uint8 (N, 256, 256, 3) of the user's folder, if there is one."""
    from .sample_images import of_folder

    return None if folder is None else of_folder(folder, IMAGES_COMPARED)[0]


def _classes(file: Path | None, lines: list[list[str]] | None, count: int) -> list[dict[str, str]]:
    """The classes in the order of the net's outputs: of the file, of ILSVRC-2012 where there are 1000, or numbers."""
    if lines is None:
        if count != 1000:
            return [{"wnid": str(number), "name": str(number)} for number in range(count)]
        from ..backend import gluoncv

        attributes = gluoncv.data.ImageNet1kAttr()  # in the order of sorted wnids, as these nets are
        return [{"wnid": wnid, "name": name} for wnid, name in zip(attributes.synset, attributes.classes)]
    if len(lines) != count or len({wnid for wnid, *_ in lines}) != count:
        raise InvalidRequest(f"{file} has {len(lines)} classes and the net {count}; it needs a line for each, once.")
    return [{"wnid": wnid, "name": name[0].strip() if name else wnid} for wnid, *name in lines]


def _images(folder: Path | None, real: np.ndarray | None, size: int) -> tuple[np.ndarray, str]:
    """(uint8 (N, size, size, 3), what they are) to compare with."""
    if real is None:
        noise = np.random.default_rng(0).integers(0, 256, (IMAGES_COMPARED, size, size, 3), dtype=np.uint8)
        return noise, "images of noise"
    from ..data.augmentation import crop_views

    return crop_views(real, size, 1)[:, 0], f"images of {folder}"
