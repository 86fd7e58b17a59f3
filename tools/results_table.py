"""What `eval` and `average` print: the paper's table with the measured rows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from .options import OutputFile, report_shared

PRECISIONS = ("float32", "float16")


@dataclass(frozen=True)
class ReportOptions:
    """The options of :func:`results_options`."""

    year: str | None
    predictions: Path | None
    precision: str
    submission: Path | None
    per_class: bool
    confused: int
    as_json: bool

    @property
    def files(self):
        """What is to be written, as the workflows take it."""
        from gluon_alexnet.workflows.evaluate import EvaluationFiles

        return EvaluationFiles(self.predictions, self.precision, self.submission)


def results_options(command):
    """The options that say what is made of the probabilities.

    the command gets them as :class:`ReportOptions`'s fields.
    """
    file = OutputFile()
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option(
            "--confused", type=click.IntRange(0), default=0, help="Print the N most confused pairs of classes."
        ),
        click.option("--per-class", is_flag=True, help="Print the errors of each class, too."),
        click.option("--submission", type=file, help="Write the challenge's own file: five classes per image."),
        click.option(
            "--precision",
            type=click.Choice(PRECISIONS),
            default=PRECISIONS[0],
            show_default=True,
            help="Of the probabilities.",
        ),
        click.option(
            "--save-predictions", "predictions", type=file, help="Write the probabilities, for alexnet-tools average."
        ),
        click.option(
            "--ilsvrc", "year", type=click.Choice(["2010", "2012"]), help="Show the paper's table of that year."
        ),
    ):
        command = option(command)
    return command


class WeightList(click.ParamType):
    """Positive numbers with commas between them: 2,1."""

    name = "W,W"

    def convert(self, value, param, ctx):
        try:
            weights = [float(part) for part in str(value).split(",")]
        except ValueError:
            weights = []
        if not weights or min(weights) <= 0 or not sum(weights) < float("inf"):
            self.fail(f"{value!r} is not a list of positive numbers such as 2,1.", param, ctx)
        return weights


class EvaluationTable:
    """Prints an :class:`gluon_alexnet.workflows.evaluate.Evaluation` as the options say."""

    def __init__(self, wanted: ReportOptions, found) -> None:
        self._wanted, self._found, self._description = wanted, found, found.description
        self._rows = [*found.nets, found.mean] if len(found.nets) > 1 else found.nets
        self._mean = found.mean.counters[0]
        self._labelled, self._classes = found.labelled, len(found.description.classes)

    def show(self) -> None:
        """Print everything."""
        found = self._found
        report_shared(self._description.split, found.images + found.skipped, found.also_in_train)
        facts = {
            "images": found.images,
            "skipped": found.skipped,
            "also_in_train": found.also_in_train,
            "seconds": round(found.seconds, 2),
        }
        (self._print_json if self._wanted.as_json else self._print_table)(facts)

    def _print_table(self, facts):
        split, data = self._description.split, self._description.data
        if self._labelled:
            self._print_errors()
            if self._classes <= 5:
                click.echo(
                    f"With {self._classes} classes the five best guesses are all of them: top-5 error is always 0."
                )
        left_out = f", {facts['skipped']} damaged ones skipped" if facts["skipped"] else ""
        seconds = f"{facts['seconds']:.1f} s, {facts['images'] / max(facts['seconds'], 0.01):.1f} images/s"
        click.echo(f"{facts['images']} images of {data} ({split}), each counted once{left_out}, in {seconds}")
        for path, what in ((self._wanted.predictions, "probabilities"), (self._wanted.submission, "submission")):
            if path:
                click.echo(f"{path}: {what} of {facts['images']} images")
        if self._labelled and self._wanted.per_class:
            self._print_classes()
        if self._labelled and self._wanted.confused:
            click.echo(f"\nmost confused ({self._first_views})")
            for label, guess, images in self._mean.most_confused(self._wanted.confused):
                click.echo(f"{images:>6} of {self._name(label)} were taken for {self._name(guess)}")

    def _print_errors(self):
        from gluon_alexnet.workflows.recipes import published_errors

        split, year = self._description.split, int(self._wanted.year) if self._wanted.year else None
        published = published_errors(year, split, self._variants, self._recipe) if year else None
        printed = published.table if published else None
        mine = [(split, "top-1"), (split, "top-5")]
        columns = [*(printed.columns if printed else ()), *mine]
        columns = list(dict.fromkeys(columns))
        lines: list[list[str]] = [["error, %", *(f"{where} {what}" for where, what in columns), "parameters"]]
        if year and printed:
            lines.append([f"{printed.name}:"])
            for row in printed.rows:
                errors = dict(zip(printed.columns, row.errors))
                lines.append([f"  {row.net}", *(_percent(errors.get(column), 1) for column in columns), ""])
        diary = published.others if published else []
        for source in dict.fromkeys(one.source for one in diary):
            lines.append([f"{source}:"])
            for one in diary:
                if one.source == source:
                    errors = {(one.split, "top-1"): one.top1, (one.split, "top-5"): one.top5}
                    lines.append([f"  {one.net}", *(_percent(errors.get(column), 2) for column in columns), ""])
        lines.append(["measured:"])
        for row in self._rows:
            for score in row.scores:
                errors = {mine[0]: score.top1, mine[1]: score.top5}
                words = f"  {row.name}, {_views(score.views)}"
                lines.append([words, *(_percent(errors.get(column), 2) for column in columns), f"{row.parameters:,}"])
        widths = [max(len(line[place]) for line in lines if len(line) > place) for place in range(len(lines[0]))]
        for line in lines:
            cells = [f"{line[0]:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:]))]
            click.echo("  ".join(cells).rstrip())

    @property
    def _variants(self):
        """Those of the nets, if all are of one kind."""
        kinds = {net.variants for net in self._description.nets}
        return kinds.pop() if len(kinds) == 1 else ()

    @property
    def _recipe(self):
        """The name of the nets' recipe, if all have the same."""
        names = {net.recipe for net in self._description.nets}
        return names.pop() if len(names) == 1 else ""

    @property
    def _first_views(self):
        return _views(self._description.views[0])

    def _name(self, label):
        info = self._description.classes[label]
        return info["wnid"] if info["name"] == info["wnid"] else f"{info['wnid']} {info['name'].split(',')[0]}"

    def _print_classes(self):
        scores = self._mean.class_scores()
        shown = [label for label, score in enumerate(scores) if score.images]
        shown.sort(key=lambda label: (-scores[label].top1, -scores[label].top5, label))
        click.echo(f"\n{'images':>6} {'top-1':>6} {'top-5':>6}  class ({self._first_views}; the worst first)")
        for label in shown:
            score = scores[label]
            click.echo(f"{score.images:>6} {score.top1:>6.2f} {score.top5:>6.2f}  {self._name(label)}")

    def _print_json(self, facts):
        from gluon_alexnet.workflows.recipes import published_errors

        description, year = self._description, self._wanted.year and int(self._wanted.year)
        published = published_errors(year, description.split).year if year else []
        document: dict[str, Any] = {
            "data": description.data,
            "split": description.split,
            **facts,
            "classes": self._classes,
            "nets": [asdict(net) for net in description.nets],
            "published": [asdict(row) for row in published],
        }
        if self._labelled:
            document["scores"] = [_score(score) for score in self._found.scores]
            document["averaged"] = [
                {"name": net.name, "parameters": net.parameters, "scores": [_score(score) for score in net.scores]}
                for net in self._found.nets
            ]
            if self._wanted.per_class:
                document["per_class"] = [
                    [
                        {"wnid": info["wnid"], **_score(score)}
                        for info, score in zip(description.classes, t.class_scores())
                    ]
                    for t in self._found.mean.counters
                ]
            if self._wanted.confused:
                wnids = [info["wnid"] for info in description.classes]
                document["confused"] = [
                    {"label": wnids[label], "guess": wnids[guess], "images": images}
                    for label, guess, images in self._mean.most_confused(self._wanted.confused)
                ]
        click.echo(json.dumps(document, indent=1))


def _score(score):
    errors = {"top1_error": score.top1, "top5_error": score.top5} if score.images else {}
    return {**asdict(score), **errors}


def _percent(error, digits):
    return "–" if error is None else f"{error:.{digits}f}"


def _views(count):
    return "10 views" if count == 10 else "centre view"
