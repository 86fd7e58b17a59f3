"""`alexnet-tools import-caffe`: BVLC's weights as an exported net."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from ..options import devices, open_contexts

PICTURES_COMPARED = 8
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

# SHA-1 of the files that BVLC published, as the models' own pages give it.
PUBLISHED = {
    "9116a64c0fbe4459d18f4bb6b56d647b63920377": "bvlc_alexnet.caffemodel",
    "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46": "bvlc_reference_caffenet.caffemodel",
}


@click.command("import-caffe")
@click.argument("prototxt", type=FILE)
@click.argument("caffemodel", type=FILE)
@click.argument("out", type=click.Path(path_type=Path))
@devices
@click.option("--mean", type=FILE, help="Mean picture, a binaryproto.  [default: ILSVRC-2012's mean of each colour]")
@click.option("--classes", type=FILE, help="A class a line: wnid and name.  [default: ILSVRC-2012's, or numbers]")
@click.option(
    "--pictures", type=click.Path(path_type=Path), help="Folder of pictures to verify with.  [default: noise]"
)
def command(prototxt, caffemodel, out, devices, mean, classes, pictures):
    """Write BVLC AlexNet's or CaffeNet's weights as an exported net.

    \b
    Example: alexnet-tools import-caffe deploy.prototxt bvlc_alexnet.caffemodel alexnet

    OUT is what `export` writes, and `eval`, `predict` and `plot predictions` take it: RGB grey levels 0-255 in; BGR
    and the mean are inside. OpenCV, which reads Caffe's files itself, is the judge before anything gets its name.
    """
    import numpy as np

    from gluon_alexnet.export import symbol
    from gluon_alexnet.export.files import TOLERANCE_OF_OTHERS, Publication
    from gluon_alexnet.importers.caffe import network, weights
    from gluon_alexnet.importers.caffe.architecture import read_architecture
    from gluon_alexnet.model.classifier import classify_with

    for file in (prototxt, caffemodel, mean, classes):
        if file is not None and file.exists() and not file.is_file():
            raise click.UsageError(f"{file} is not a regular file.")  # a device may never end
    architecture = read_architecture(prototxt)
    values = weights.read_weights(caffemodel, architecture)
    means = np.array(weights.CHANNEL_MEANS, np.float32) if mean is None else weights.read_mean(mean)
    named = _classes(classes, architecture.classes)
    compared, source = _pictures(pictures, architecture.size)
    context = open_contexts(devices, 1)[0]
    classifier = network.build_classifier(architecture, values, means, context)
    digest = hashlib.sha1(caffemodel.read_bytes()).hexdigest()

    def judged(_, views):
        return network.by_opencv(prototxt, caffemodel, classifier.mean.data().asnumpy(), views)

    with Publication() as publication:
        draft = publication.draft(out)
        differences = symbol.write_pair(publication, draft, classifier, compared, context)
        expected = classify_with(classifier, context)(compared)
        differences |= publication.verify(draft, {"OpenCV": judged}, compared, expected, TOLERANCE_OF_OTHERS)
        provenance = {
            "caffemodel": caffemodel.name,
            "sha1": digest,
            "published_as": PUBLISHED.get(digest),
            "prototxt": prototxt.name,
            "architecture": architecture.family,
            "mean": mean.name if mean else "ILSVRC-2012, a number a colour",
            "variants": [],
        }
        verified = {"pictures": len(compared), "source": source, "largest_difference": differences}
        facts = {"classes": named, "provenance": provenance, "verified": verified}
        publication.describe(draft, architecture.size, facts)
        publication.publish()
    known = f", BVLC's {PUBLISHED[digest]}" if digest in PUBLISHED else ""
    click.echo(f"{architecture.family}, {architecture.classes} classes, crops of {architecture.size} pixels{known}")
    if mean is None:
        click.echo(f"mean: {', '.join(f'{m:.2f}' for m in means)} (RGB, ILSVRC-2012's); --mean takes a mean picture")
    click.echo(
        f"{out}-symbol.json, {out}-0000.params, {out}.json: OpenCV reads Caffe's files itself, largest difference "
        f"{differences['OpenCV']:.1e} in a probability over {len(compared)} {source}"
    )


def _classes(file, count):
    """The classes in the order of the net's outputs: of the file, of ILSVRC-2012 where there are 1000, or numbers."""
    if file is None:
        if count != 1000:
            return [{"wnid": str(number), "name": str(number)} for number in range(count)]
        from gluon_alexnet.backend import gluoncv

        attributes = gluoncv.data.ImageNet1kAttr()  # in the order of sorted wnids, as BVLC's nets are
        return [{"wnid": wnid, "name": name} for wnid, name in zip(attributes.synset, attributes.classes)]
    try:
        lines = [line.split(None, 1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file} is no text file.") from error
    if len(lines) != count or len({wnid for wnid, *_ in lines}) != count:
        raise click.UsageError(f"{file} has {len(lines)} classes and the net {count}; it needs a line for each, once.")
    return [{"wnid": wnid, "name": name[0].strip() if name else wnid} for wnid, *name in lines]


def _pictures(folder, size):
    """(uint8 (N, size, size, 3), what they are) to verify with."""
    import numpy as np

    if folder is None:
        noise = np.random.default_rng(0).integers(0, 256, (PICTURES_COMPARED, size, size, 3), dtype=np.uint8)
        return noise, "pictures of noise (--pictures takes real ones)"
    from gluon_alexnet.data.augmentation import crop_views
    from gluon_alexnet.workflows.sample_images import of_folder

    found, _ = of_folder(folder, PICTURES_COMPARED)
    return crop_views(found, size, 1)[:, 0], f"pictures of {folder}"
