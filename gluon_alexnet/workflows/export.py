"""A trained net in the forms that other programs load: all files of them, or none."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidRequest
from .devices import open_device
from .export_source import Source, check_finite, open_source
from .progress import ImageProgress, silent
from .run_data import data_of_run

if TYPE_CHECKING:
    from ..exporters.files import Publication

_LOG = logging.getLogger(__name__)
IMAGES_COMPARED = 8
BATCH_TIMED = 32


@dataclass(frozen=True)
class Formats:
    """What is written beside the symbol/params pair."""

    onnx: bool = False
    plain: bool = False  # response normalisation in OUT.onnx as operators that every runtime knows
    pytorch: bool = False
    int8: bool = False
    bf16: bool = False


@dataclass(frozen=True)
class Checks:
    """On what the files are verified and measured."""

    data: Path | None = None  # data set; None: the one the run was trained on
    calibration: Path | None = None  # folder of images for int8; None: training images of the data set
    calibration_images: int = 256
    compared_images: int = 1000  # validation images on which int8 and bf16 are measured beside float32
    max_drop: float = 1.0  # percentage points by which their top-1 error may be higher
    torch_python: str | None = None  # a Python that has PyTorch; None: this one, if it has


@dataclass(frozen=True)
class CardText:
    """What the model card says that no file tells."""

    command: str | None = None  # that made the export
    license: str | None = None  # None: Apache-2.0, or that of the publisher where the weights were imported


@dataclass(frozen=True)
class Written:
    """One exported net: its files, and what was found when they were read back."""

    path: Path
    files: list[Path]
    images: int  # that the probabilities were compared on
    differences: dict[str, float]  # largest difference in a probability, by the program that ran the files
    remarks: list[str] = field(default_factory=list)  # what could not be checked, or is left out
    comparison: Any = None  # of a net in fewer bits: a reduced_precision.Comparison
    measured_on: str = ""  # the data set of the comparison
    calibration: tuple[int, str] | None = None  # images, and where they are from


def export(
    model: Any,
    out: Path | str,
    *,
    onnx: bool = False,
    plain: bool = False,
    pytorch: bool = False,
    int8: bool = False,
    bf16: bool = False,
    device: Any = None,
    checks: Checks = Checks(),
    card: CardText = CardText(),
    progress: ImageProgress = silent,
    overwrite: bool = False,
) -> list[Written]:
    """Write a net as OUT-symbol.json, OUT-0000.params, OUT.json and OUT.md, a model card.

    model: a model of ``load``, or the path of a run, a checkpoint or another exported net. onnx: OUT.onnx, too, plain:
    with response normalisation as operators that every runtime knows. pytorch: OUT.py with OUT.safetensors. int8,
    bf16: OUT-int8-…, OUT-bf16-…. device: "cpu(0)", "gpu(0)" to verify on. progress(total, what): around each
    comparison; gives a function of the number of images done. overwrite: replace an export to OUT that is there.
    Returns one :class:`Written` per net: the pair, and those in fewer bits.

    What was written is read back and its probabilities compared on real images before anything gets its name. Raises
    InvalidRequest for what cannot be exported so, OperationFailed where a file gives other probabilities or a net in
    fewer bits has too many errors; then nothing is left under the final names.
    """
    from ..exporters.files import Publication, check_names

    path, out, formats = Path(getattr(model, "path", model)), Path(out), Formats(onnx, plain, pytorch, int8, bf16)
    context = open_device(device, "An export")
    _check(formats)
    if path.resolve() == out.resolve():
        raise InvalidRequest(f"{path} would be replaced by what is made of it; give another `out`.")
    for form in ("", *(f"-{form}" for form in ("int8", "bf16") if getattr(formats, form))):
        check_names(out.with_name(f"{out.name}{form}"), overwrite)
    source = open_source(path, context)
    check_finite(source.classifier, path)
    job = _Job(source, out, context, formats, checks, card, progress)
    with Publication(overwrite) as publication:
        written = [job.float32(publication)]
        if formats.int8:
            written.append(job.int8(publication))
        if formats.bf16:
            written.append(job.bf16(publication))
        publication.publish()
    return written


def _check(formats: Formats) -> None:
    """Raise InvalidRequest for what this machine or this installation cannot do, before any work."""
    if formats.plain and not formats.onnx:
        raise InvalidRequest("The plain form is one of the ONNX file; ask for ONNX, too.")
    if formats.onnx:
        from ..exporters import onnx

        onnx.check_installed()
    if formats.bf16:
        from ..exporters import processor

        reason = processor.no_bfloat16()
        if reason:
            raise InvalidRequest(f"A bf16 net cannot be made here: {reason}; export without it.")


@dataclass(frozen=True)
class _Job:
    """One call of :func:`export`."""

    source: Source
    out: Path
    context: Any
    formats: Formats
    checks: Checks
    card: CardText
    progress: Callable

    def float32(self, publication: Publication) -> Written:
        from ..data.augmentation import crop_views
        from ..exporters import symbol
        from ..model.classifier import classify_with
        from .sample_images import of_data

        size, classes = self.source.size, self.source.facts["classes"]
        views = crop_views(of_data(self.data, "val", IMAGES_COMPARED), size, 1)[:, 0]
        draft = publication.draft(self.out)
        differences = symbol.write_pair(publication, draft, self.source.classifier, views, self.context)
        _LOG.info("wrote the symbol/params pair, and read it back: %s", differences)
        expected = classify_with(self.source.classifier, self.context)(views)
        remarks: list[str] = []
        if self.formats.onnx:
            from ..exporters import onnx

            onnx.write(draft, size, len(classes), self.formats.plain)
            differences |= onnx.verify(publication, draft, views, expected)
            _LOG.info("wrote the ONNX file, and ran it: %s", differences)
        if self.formats.pytorch:
            from ..exporters import pytorch

            pytorch.write_beside(draft, size, classes)
            found = pytorch.verify(publication, draft, views, expected, self.checks.torch_python)
            differences |= found
            _LOG.info("wrote the PyTorch file, and ran it: %s", found)
            if not found:
                remarks.append(
                    f"{self.out.name}.py was not run: PyTorch is not installed here; its arrays were read back."
                )
        verified = {"images": len(views), "largest_difference": differences}
        more = {"verified": verified, **({"not_run": " ".join(remarks)} if remarks else {})}
        self._describe(publication, draft, {**self.source.facts, **more})
        return Written(self.out, publication.files(draft), len(views), differences, remarks)

    def int8(self, publication: Publication) -> Written:
        from ..data.augmentation import crop_views
        from ..exporters import int8

        images, source, remarks = self._calibration()
        views = crop_views(images, self.source.size, 1)[:, 0]
        used = {"images": len(views), "source": source}
        return self._reduced(
            publication, "int8", lambda net: int8.quantize(net, views), views, {"calibration": used}, remarks
        )

    def bf16(self, publication: Publication) -> Written:
        from ..data.augmentation import crop_views
        from ..exporters import bf16
        from .sample_images import of_data

        views = crop_views(of_data(self.data, "val", IMAGES_COMPARED), self.source.size, 1)[:, 0]
        return self._reduced(publication, "bf16", bf16.convert, views, {}, [])

    @cached_property
    def data(self) -> Path:
        return self.checks.data or data_of_run(self.source.model)

    def _calibration(self) -> tuple[np.ndarray, str, list[str]]:
        """(uint8 (N, 256, 256, 3), where they are from, remarks): the user's own folder, or the training images."""
        from .sample_images import of_data, of_folder

        own, count = self.checks.calibration, self.checks.calibration_images
        if own is None:
            return of_data(self.data, "train", count), f"{self.data} (train)", []
        images, left_out = of_folder(own, count)
        remarks = [f"{own}: {len(left_out)} files are no images, {left_out[0]} the first."] if left_out else []
        return images, str(own), remarks

    def _reduced(
        self,
        publication: Publication,
        form: str,
        convert: Callable,
        views: np.ndarray,
        facts: dict[str, Any],
        remarks: list[str],
    ) -> Written:
        from gluon_alexnet.recordio.reading.reader import Reader

        from ..exporters import reduced_precision
        from .sample_images import batches_of

        out, float32 = self.out.with_name(f"{self.out.name}-{form}"), publication.draft_of(self.out)
        compared = self.checks.compared_images
        with Reader(self.data, "val") as reader:
            batches, count = batches_of(reader, compared, BATCH_TIMED), min(compared, len(reader))
            with self.progress(count, f"{form} and float32") as report:
                limits = reduced_precision.Limits(batches, views, self.checks.max_drop, report)
                draft, found, differences = reduced_precision.add(publication, form, float32, out, convert, limits)
        images = min(len(views), reduced_precision.READ_BACK)
        kept = {key: value for key, value in self.source.facts.items() if key != "validation_error"}  # float32's
        verified = {"images": images, "largest_difference": differences}
        self._describe(publication, draft, {**kept, form: {**facts, "compared": found.to_dict()}, "verified": verified})
        calibration = facts.get("calibration")
        used = (calibration["images"], calibration["source"]) if calibration else None
        on = f"{self.data} (val)"
        return Written(out, publication.files(draft), images, differences, remarks, found, on, used)

    def _describe(self, publication: Publication, draft: Path, content: dict[str, Any]) -> None:
        """OUT.json and OUT.md of a draft."""
        from ..exporters import model_card
        from ..model.classifier import count_parameters

        description = publication.describe(draft, self.source.size, {**content, "card": f"{draft.name}.md"})
        imported = "run" not in self.source.facts["provenance"]
        card = model_card.Card(
            name=draft.name,
            description=description,
            origin=self.source.origin,
            parameters=count_parameters(self.source.classifier),
            files=publication.drafts(draft),
            command=self.card.command,
            license=self.card.license or (model_card.OTHERS if imported else model_card.LICENSE),
            date=time.strftime("%Y-%m-%d"),
        )
        publication.add_card(draft, model_card.render(card))


def largest(differences: Mapping[str, float]) -> float:
    """The largest of the differences."""
    return float(np.max(list(differences.values()), initial=0.0))
