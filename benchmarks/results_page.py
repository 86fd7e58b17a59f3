"""Writes docs/results.md from the logs of trainings in benchmarks/results/*/log.jsonl.

python benchmarks/results_page.py
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "results.md"
# What a log does not tell.
FACTS = {
    "imagenette-paper-2026-11-24": (
        "The paper's net on ten classes",
        "Recipe `paper` at full width, ten ImageNet classes of 9,469 training and 3,925 validation photographs "
        "(Imagenette), the numbers of the paper and nothing tuned. The learning rate drops "
        "after epochs 20 and 27. **Stopped after 25 of 30 epochs**, when the time of the machine was over: the second "
        "drop is not in it. Two cores of an AMD EPYC that did other work at the same time, so that the times say "
        "nothing about speed.",
        "alexnet-tools train --data DATA --recipe paper --cpus 0,1 --epochs 30 --lr-steps 20,27 --seed 0",
    ),
}


def main() -> None:
    """Write the page: a table per training, every number from its log."""
    parts = [
        "# Results\n\nNets that were trained with this program, each with its log and recipe in `benchmarks/results/`. "
        "`benchmarks/results_page.py` writes this page from the logs.\n"
    ]
    for name, (title, words, command) in FACTS.items():
        lines = (HERE / "results" / name / "log.jsonl").read_text().splitlines()
        epochs = [record for record in map(json.loads, lines) if record["event"] == "epoch"]
        best = min(epochs, key=lambda epoch: epoch["validation_top1"])
        parts.append(f"## {title}\n\n{words}\n\n    {command}\n")
        parts.append(
            f"Best epoch: {best['epoch']}, error over the centre view {best['validation_top1']:.2f} % top-1, "
            f"{best['validation_top5']:.2f} % top-5 of {best['validation_images']} images.\n"
        )
        parts.append(
            "| epoch | learning rate | training loss | top-1 error, % | top-5 error, % |\n|---|---|---|---|---|\n"
            + "\n".join(
                f"| {epoch['epoch']} | {epoch.get('learning_rate', epoch.get('rate')):g} | "
                f"{epoch['training_loss']:.3f} | {epoch['validation_top1']:.2f} | {epoch['validation_top5']:.2f} |"
                for epoch in epochs
            )
            + "\n"
        )
        if (PAGE.parent / "kernels.png").exists():
            parts.append(
                "Its 96 kernels of layer 1 after these epochs, one column above the other as in Fig. 3. Nothing but "
                "the initial weights tells the columns apart, and they have parted: upright edges, many of them "
                "coloured, lie in the first, level gratings and checks, most of them grey, in the second, patches of "
                "plain colour in both.\n\n"
                "![The kernels of layer 1 of both columns after 25 epochs](kernels.png)\n"
            )
    PAGE.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
