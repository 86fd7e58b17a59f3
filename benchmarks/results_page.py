"""Writes docs/results.md from the trainings in benchmarks/results/*/, which results_add.py keeps.

python benchmarks/results_page.py
"""

from __future__ import annotations

import json

from results_add import DOCS, RESULTS, epochs

from gluon_alexnet.plots.curves import draw_curves

PAGE = DOCS / "results.md"
CURVES = DOCS / "curves.png"
HEAD = """# Results

Nets that were trained with this program, each with its log, its recipe, its epochs as CSV and its errors as JSON in
`benchmarks/results/`. `benchmarks/results_page.py` writes this page from these files. Nothing was tuned on the
validation images: the numbers are the paper's, and what differs is said.
"""
PICTURES = (
    (
        "kernels",
        "Its kernels of layer 1, the columns one above the other as in Fig. 3. Grey, with less than a fifth of "
        "their squares in colour, are {grey}:",
    ),
    ("confusion", "What it takes for what, over ten views:"),
    (
        "views",
        "The ten views of a photograph that shows none of its classes, with what it says of each (`china.jpg` of "
        "scikit-learn, by danielbuechele, CC BY 2.0):",
    ),
)


def error(result: dict, views: int) -> str:
    """Top-1 and top-5 error over so many views, in per cent."""
    found = next((one for one in result["errors"] if one["views"] == views), None)
    return f"{found['top1']:.2f} / {found['top5']:.2f}" if found else "not measured"


def grey(result: dict) -> str:
    """How many kernels of each column are grey."""
    counts = [f"{found} of {count}" for found, count in zip(result.get("grey_kernels", []), result.get("kernels", []))]
    return " and ".join(counts)


def main() -> None:
    """Write the page: one table of all results, their curves over each other, then each with its epochs."""
    logs = sorted(RESULTS.glob("*/log.jsonl"), key=lambda log: json.loads(log.read_text().partition("\n")[0])["time"])
    found = {log.parent.name: json.loads((log.parent / "result.json").read_text()) for log in logs}
    done = {name: epochs(RESULTS / name / "log.jsonl") for name in found}
    rows = [
        f"| [{one['title']}](#{name}) | {one['epochs']} | {error(one, 10)} | {error(one, 1)} |"
        for name, one in found.items()
    ]
    table = "\n".join(
        ["| net | epochs | ten views, top-1 / top-5 error, % | centre view, % |", "|---|---|---|---|", *rows]
    )
    parts = [HEAD, table + "\n"]
    if len(found) > 1:
        draw_curves({one["title"]: done[name] for name, one in found.items()}, CURVES)
        parts.append(f"![Errors and losses of all of them over the epochs]({CURVES.name})\n")
    for name, one in found.items():
        speed = one["images_per_second"]
        parts.append(f"({name})=\n\n## {one['title']}\n\n{one['words']}\n\n```\n{one['command']}\n```\n")
        parts.append(
            f"{one['epochs']} epochs in {one['seconds'] / 3600:.1f} hours of training and validation, "
            f"{speed['median']} images/s in the median epoch and {speed['best']} in the fastest; {one['machine']}. "
            f"Error of {one['errors'][0]['images']} images, top-1 / top-5: {error(one, 10)} % over ten views, "
            f"{error(one, 1)} % over the centre view.\n"
        )
        lines = [
            f"| {epoch['epoch']} | {epoch['learning_rate']:g} | {epoch['training_loss']:.3f} | "
            f"{epoch['validation_top1']:.2f} | {epoch['validation_top5']:.2f} |"
            for epoch in done[name]
        ]
        head = "| epoch | learning rate | training loss | top-1 error, % | top-5 error, % |\n|---|---|---|---|---|\n"
        parts.append(head + "\n".join(lines) + "\n")
        parts += [
            f"{words.format(grey=grey(one))}\n\n![{kind.capitalize()}]({kind}-{name}.png)\n"
            for kind, words in PICTURES
            if (DOCS / f"{kind}-{name}.png").exists()
        ]
    PAGE.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
