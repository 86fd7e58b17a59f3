"""Keep a training's result: its log and recipe, its errors as JSON, its epochs as CSV, in benchmarks/results/NAME.

    alexnet-tools eval --model RUN --data DATA --save-predictions FILE
    python benchmarks/results_add.py NAME --run RUN --predictions FILE --title TITLE --words WORDS --command COMMAND

Every number comes from the log or from the predictions. Its pictures go into docs/: the kernels, the confusion and,
with --views, the ten views of a photograph. results_page.py writes docs/results.md from what is kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import statistics
from pathlib import Path

import numpy as np
from report import environment

RESULTS = Path(__file__).parent / "results"
GREY = 0.2  # of a kernel's squares, the most that is colour
DOCS = Path(__file__).parent.parent / "docs"
COLUMNS = (
    "epoch",
    "learning_rate",
    "training_loss",
    "validation_top1",
    "validation_top5",
    "validation_images",
    "seconds",
)


def epochs(log: Path) -> list[dict]:
    """The line of each finished epoch, the last written where a killed run repeated one."""
    found = {}
    for line in log.read_text().splitlines():
        record = json.loads(line)
        if record["event"] == "epoch":
            found[record["epoch"]] = record
    return [
        {**record, "learning_rate": record.get("learning_rate", record.get("rate"))}
        for _, record in sorted(found.items())
    ]


def errors(predictions: Path) -> list[dict]:
    """Errors over each number of views, counted again from saved probabilities."""
    from gluon_alexnet.workflows.evaluate import average_predictions

    scored = average_predictions([predictions])
    return [
        {"views": score.views, "images": score.images, "top1": score.top1, "top5": score.top5}
        for score in scored.scores
    ]


def machine() -> str:
    """The machine and the versions, without the load of now, which is not that of the training."""
    return re.sub(r", load [0-9., ]+(?=, )", "", environment("mxnet"))


def layer_1(name: str, run: Path) -> dict[str, list[int]]:
    """Draw kernels-NAME.png in docs/; how many each column has, and how many with little of their squares in colour."""
    from gluon_alexnet.workflows.figures import plot_filters

    kernels = plot_filters(run, DOCS / f"kernels-{name}.png")
    columns = json.loads((run / "recipe.json").read_text())["recipe"]["network"]["columns"]
    colour = kernels - kernels.mean(axis=1, keepdims=True)
    share = (colour**2).sum(axis=(1, 2, 3)) / (kernels**2).sum(axis=(1, 2, 3))
    grey = [int((column < GREY).sum()) for column in np.split(share, columns)]
    return {"kernels": [len(kernels) // columns] * columns, "grey_kernels": grey}


def draw(name: str, predictions: Path, run: Path | None) -> None:
    """Draw confusion-NAME.png and, of a run, views-NAME.png in docs/."""
    import sklearn.datasets

    from gluon_alexnet.workflows import figures

    figures.plot_confusion(predictions, DOCS / f"confusion-{name}.png", views=10)
    if run:
        photograph = Path(sklearn.datasets.__file__).parent / "images" / "china.jpg"
        figures.plot_views(run, [photograph], DOCS / f"views-{name}.png")


def main() -> None:
    """Write the folder of a result; one that is there is replaced."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    for option in ("--run", "--predictions"):
        parser.add_argument(option, type=Path, required=True)
    for option in ("--title", "--words", "--command"):
        parser.add_argument(option, required=True)
    parser.add_argument("--no-kernels", action="store_true", help="not of a net whose layer 1 others have trained")
    parser.add_argument("--views", action="store_true", help="draw the ten views of a photograph of scikit-learn")
    given = parser.parse_args()
    folder = RESULTS / given.name
    folder.mkdir(exist_ok=True)
    shutil.copy(given.run / "log.jsonl", folder)
    description = json.loads((given.run / "recipe.json").read_text())
    description["data"] = Path(description["data"]).name  # not where it lay on this machine
    (folder / "recipe.json").write_text(json.dumps(description, indent=1) + "\n")
    done = epochs(folder / "log.jsonl")
    with open(folder / "epochs.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(done)
    draw(given.name, given.predictions, given.run if given.views else None)
    speeds = [record["images"] / record["seconds"] for record in done]
    result = {
        "title": given.title,
        "words": given.words,
        "command": given.command,
        "machine": machine(),
        "epochs": len(done),
        "seconds": round(sum(record["seconds"] for record in done)),
        "images_per_second": {"median": round(statistics.median(speeds), 1), "best": round(max(speeds), 1)},
        "errors": errors(given.predictions),
        **({} if given.no_kernels else layer_1(given.name, given.run)),
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
