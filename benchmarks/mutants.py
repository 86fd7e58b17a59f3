"""Plausible bugs, planted one at a time in a copy of the program, and whether the tests see them.

    .venv/bin/python benchmarks/mutants.py [WORD …]

With words: only the bugs whose names contain one of them. Each is one text in one file that is replaced by another,
and the tests that ought to fail then; a bug that they do not see is printed as SURVIVED, and the exit code is 1. The
list is what a review planted by hand in November 2026 and the tests of that day did not see. Twenty minutes on two
cores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("gluon_alexnet", "recordio", "tools", "tests", "pyproject.toml", "setup.py")
SECONDS = 600  # for the tests of one bug; one that never ends is seen


class Mutant(NamedTuple):
    """One bug: what it is, the file, the text there and what stands in its place, and the tests that should fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


def _list() -> list[Mutant]:
    lib, net, run = "gluon_alexnet", "gluon_alexnet/model", "gluon_alexnet/training"
    files, nets_2012 = "gluon_alexnet/exporters", f"{lib}/recipes/nets_2012.py"
    as_run = " ".join(
        f"tests/recipes/test_variants.py::{test}"
        for test in (
            "test_as_run_differs_from_the_paper_in_the_fields_of_its_table_and_in_no_other",
            "test_the_rates_of_each_epoch",
            "test_the_last_epoch",
            "test_the_colour_shift_ends_after_these_epochs",
        )
    )
    return [
        Mutant("ten views: the five unmirrored", f"{lib}/evaluation/ensemble.py",
               "[outputs.mean(axis=1) if", "[outputs[:, :5].mean(axis=1) if",
               "tests/evaluation/test_ensemble.py"),
        Mutant("ten views: none is mirrored", f"{lib}/data/augmentation.py",
               "[views, views[:, :, :, ::-1]]", "[views, views]",
               "tests/evaluation/test_ensemble.py"),
        Mutant("validation without the mean", f"{run}/trainer.py",
               "planes -= mean", "planes -= 0",
               "tests/training/test_replicas.py::test_the_mean_image_is_subtracted_where_the_validation_is_judged"),
        Mutant("unlabelled images of the first shard only", "recordio/packing/finalize.py",
               "sum(part.unlabelled for part in parts)", "parts[0].unlabelled",
               "tests/recordio/test_ilsvrc.py::test_images_without_labels_are_counted_apart"),
        Mutant("best moves on a tie", f"{run}/loop.py",
               "error.top1 < min(state.errors", "error.top1 <= min(state.errors",
               "tests/training/test_loop.py::test_best_is_the_first_checkpoint_of_the_lowest_top_1_error"),
        Mutant("best follows top-5", f"{run}/loop.py", "best = error.top1 < min(state.errors,",
               'best = error.top5 < min([one["validation_top5"] for one in state.epochs],',
               "tests/training/test_loop.py::test_best_is_the_first_checkpoint_of_the_lowest_top_1_error"),
        Mutant("dropout scaled by p", f"{net}/layers.py",
               "x * (1 - self._probability)", "x * self._probability",
               "tests/model/test_layers.py::test_dropout_of_a_quarter_keeps_three_quarters"),
        Mutant("dropout of a graph drops what it keeps", f"{net}/graph_layers.py",
               "p=1 - keep)", "p=keep)",
               "tests/model/test_graph_layers.py::test_dropout_is_a_mask_of_ones_in_training"),
        Mutant("dropout of a graph scaled by what is dropped", f"{net}/graph_layers.py",
               "scalar=keep, name", "scalar=1 - keep, name",
               "tests/model/test_graph_layers.py::test_each_layer_type_is_its_formula"),
        Mutant("dropout of the written PyTorch", f"{files}/pytorch_source.py",
               "* (1 - self.p)", "* self.p",
               "tests/exporters/test_pytorch.py::test_dropout_is_as_published"),
        Mutant("asynchronous workers at the full rate", f"{lib}/distributed/collectives.py",
               "1 / self.count if self.asynchronous", "1.0 if self.asynchronous",
               "tests/distributed/test_asynchronous.py"),
        Mutant("momentum dropped in the first worker", f"{run}/trainer.py",
               "if workers.rank:  # each", "if not workers.rank:  # each",
               "tests/distributed/test_asynchronous.py"),
        Mutant("momentum kept in every worker", f"{run}/trainer.py",
               "if workers.rank:  # each", "if False:  # each",
               "tests/distributed/test_asynchronous.py"),
        Mutant("NaN passes the read-back", f"{files}/files.py",
               "if not difference <= allowed:", "if difference > allowed:",
               "tests/exporters/test_symbol.py::test_an_export_that_gives_what_is_no_number_is_not_written"),
        Mutant("raw and JPEG parts merge", "recordio/packing/plan.py",
               '"part": None, "size"', '"part": None, "encoding": None, "size"',
               "tests/recordio/test_parts.py::test_part_of_another_pack"),
        Mutant("fc8 taken for as many other classes", f"{run}/finetune.py",
               "if wnids != theirs:", "if len(wnids) != len(theirs):",
               "tests/training/test_finetune.py::test_layer_8_is_new_where_as_many_classes_are_others_or_in_another_order"),
        Mutant("fc8's bias is not matched", f"{run}/finetune.py",
               'for name in ("fc8_weight", "fc8_bias"):', 'for name in ("fc8_weight",):',
               "tests/training/test_finetune.py::test_classes_are_matched_by_wnid"),
        Mutant("predictions of other labels averaged", f"{lib}/evaluation/predictions.py",
               " or not np.array_equal(first.labels, other.labels):", ":",
               "tests/evaluation/test_predictions.py::test_files_with_other_labels_of_the_same_images_are_not_averaged"),
        Mutant("as-run: the colour ends an epoch early", nets_2012,
               "((67, 1e-5), (72, 0)), 91, colour_off=67)", "((67, 1e-5), (72, 0)), 91, colour_off=66)", as_run),
        Mutant("as-run-2010: the colour ends an epoch late", nets_2012,
               "93,\n            colour_off=68", "93,\n            colour_off=69", as_run),
        Mutant("as-run: the divisor", nets_2012, "colour_divisor=1.1", "colour_divisor=1.2", as_run),
        Mutant("as-run: conv5's deviation", nets_2012, '("conv3", "conv4", "conv5")}', '("conv3", "conv4")}', as_run),
        Mutant("as-run: conv1's deviation", nets_2012, '("conv3", "conv4", "conv5")}',
               '("conv1", "conv3", "conv4", "conv5")}', as_run),
        Mutant("as-run: a step", nets_2012, "_DROPS_145 = ((25, 1e-3), (51,", "_DROPS_145 = ((25, 1e-3), (52,", as_run),
        Mutant("as-run: the end", nets_2012, "(72, 0)), 91, colour", "(72, 0)), 90, colour", as_run),
        Mutant("as-run: crops shared by 16", nets_2012, "shared_crops=32", "shared_crops=16", as_run),
        Mutant("as-run: the biases' rate", nets_2012, "_BIAS_RATE = 0.02", "_BIAS_RATE = 0.01", as_run),
        Mutant("the newest run is the oldest", f"{run}/run_folder.py",
               "return max(found, key=lambda run", "return min(found, key=lambda run",
               "tests/training/test_run_folder.py::test_the_newest_of_two_runs_is_the_one_that_saved_last"),
        Mutant("training_loss over skipped images, too", f"{run}/loop.py",
               "state.loss_sum / (state.position - state.skipped)", "state.loss_sum / state.position",
               "tests/training/test_loop.py::test_the_training_loss_is_the_mean_over_the_images_that_were_there"),
        Mutant("--max-drop's sign", f"{files}/reduced_precision.py",
               "self.reduced.top1_error - self.float32.top1_error", "self.float32.top1_error - self.reduced.top1_error",
               "tests/exporters/test_int8.py::test_the_allowance_is_for_more_errors_and_not_for_fewer"),
        Mutant("the last calibration batch", f"{files}/int8.py",
               "len(images) - batch + 1, batch)", "len(images) - batch, batch)",
               "tests/exporters/test_int8.py::test_int8_is_close_to_float32_for_any_batch[naive]"),
        Mutant("a killed run's log is not cut", f"{run}/run_log.py",
               "self._file.truncate(log_bytes)", "self._file.flush()",
               "tests/training/test_run_log.py"),
        Mutant("map normalisation before the other one", f"{net}/alexnet.py",
               "[self.norm2, self.map_norm2]", "[self.map_norm2, self.norm2]",
               "tests/test_nets_of_2012.py"),
        Mutant("one image too many in a class", "recordio/sources/ilsvrc.py",
               "if count != expected", "if count < expected",
               "tests/recordio/test_ilsvrc.py::test_one_image_too_many_in_a_class_is_said"),
        Mutant("the fast LRN for n = 3", f"{net}/lrn_cpu.py",
               "if numbers.n != 5:", "if numbers.n > 5:",
               "tests/model/test_layers.py::test_the_fast_way_is_for_five_maps_and_three_quarters_alone"),
        Mutant("the fast LRN for another beta", f"{net}/lrn_cpu.py",
               "if numbers.beta != 0.75:", "if numbers.beta > 0.75:",
               "tests/model/test_layers.py::test_the_fast_way_is_for_five_maps_and_three_quarters_alone"),
        Mutant("fc8's deviation", f"{net}/alexnet.py",
               "mx.init.Normal(network.fc8_weight_std)", "mx.init.Normal(network.fc7.weight_std)",
               "tests/model/test_alexnet.py::test_each_layer_draws_its_weights_with_its_own_deviation"),
        Mutant("six-conv's bias", f"{lib}/recipes/variants.py",
               "both_columns=True, bias=1.0, weight_std=below", "both_columns=True, bias=0.0, weight_std=below",
               "tests/recipes/test_variants.py::test_the_sixth_layer_is_what_the_2012_code_has"),
        Mutant("parts that overlap", "recordio/packing/plan.py",
               "range((part - 1) * split.shards // parts, part * split.shards // parts)",
               "range((part - 1) * split.shards // parts, -(-part * split.shards // parts))",
               "tests/recordio/test_parts.py::test_each_shard_is_in_one_part_alone"),
        Mutant("a part given twice", "recordio/packing/merge.py",
               "if part in folders:", "if False:",
               "tests/recordio/test_parts.py::test_part_given_twice"),
        Mutant("an export's description named first", f"{files}/files.py",
               '_ROLES = (*ENDS, "card", "description")', '_ROLES = ("description", *ENDS, "card")',
               "tests/exporters/test_symbol.py::test_the_description_gets_its_name_after_the_files_that_it_describes"),
        Mutant("a data set's manifest named first", "recordio/dataset/manifest.py",
               "[*shards, STATISTICS, REJECTED, MANIFEST]", "[MANIFEST, *shards, STATISTICS, REJECTED]",
               "tests/recordio/test_pack_folder.py::test_the_manifest_gets_its_name_after_everything_that_it_describes"),
        Mutant("rejects of val in the report of a finished pack", "recordio/packing/finalize.py",
               "rejected = sum(split.rejected for split in splits)", "rejected = splits[0].rejected",
               "tests/recordio/test_pack.py::test_rejected_images_of_every_split_are_in_the_report"),
        Mutant("rejects of val in the report of a pack", "recordio/packing/finalize.py",
               "for split in splits}, len(rejected)",
               'for split in splits}, sum(row[0] == "train" for row in rejected)',
               "tests/recordio/test_pack.py::test_rejected_images_of_every_split_are_in_the_report"),
        Mutant("a row of the diary: net-147", f"{lib}/recipes/published.py", "41.06, 18.51", "41.60, 18.51",
               "tests/recipes/test_published.py"),
        Mutant("a row of the diary: #137", f"{lib}/recipes/published.py", "40.78, 18.34", "40.78, 18.43",
               "tests/recipes/test_published.py"),
        Mutant("a row of the diary: #131 on Fall 2009", f"{lib}/recipes/published.py", "69.42, 43.73", "69.24, 43.73",
               "tests/recipes/test_published.py"),
        Mutant("tar order", "recordio/sources/class_folders.py",
               'sorted(names, key=lambda key: key.split("/"))', "sorted(names)",
               "tests/recordio/test_tar_index.py::test_a_tar_is_in_the_order_of_the_folders_that_it_unpacks_to"),
        Mutant("the auto-encoder's rate does not fall", f"{lib}/features/binary_codes.py",
               "numbers.rate * (1 - done / numbers.updates)", "numbers.rate",
               "tests/features/test_binary_codes.py::test_the_rate_falls_to_nothing_in_a_straight_line"),
        Mutant("ONNX is not run with one image", f"{files}/onnx.py",
               "for count in (len(images), 1)", "for count in (len(images), len(images))",
               "tests/exporters/test_onnx.py::test_a_file_that_is_right_for_another_number_of_images_only_is_not_left"),
    ]  # fmt: skip


def copy_of_program(folder: Path) -> None:
    """The program and its tests, so laid out that it is imported from there: see ``package_dir`` in setup.py."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for name in ("recordio", "tools"):
        (folder / "gluon_alexnet" / name).symlink_to(folder / name)


def seen(folder: Path, mutant: Mutant) -> str | None:
    """The first test that fails with the bug, or None. Raises ValueError where the text is not in the file once."""
    file = folder / mutant.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.file} has {text.count(mutant.old)} times {mutant.old!r}")
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return failing(folder, mutant.tests.split())
    finally:
        file.write_text(text, encoding="utf-8")


def failing(folder: Path, tests: list[str]) -> str | None:
    """The first of the tests that fails in the copy, or None. Raises ValueError where they cannot be run."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"nothing after {SECONDS} s"
    if done.returncode not in (0, 1):
        raise ValueError(f"pytest ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    failed = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].partition(" ")[2] if failed else None


def main(words: list[str]) -> int:
    """Plant each bug, print what saw it; 1 if one survived."""
    chosen = [one for one in _list() if not words or any(word in one.name for word in words)]
    survived = unclear = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        copy_of_program(folder)
        broken = failing(folder, list(dict.fromkeys(test for one in chosen for test in one.tests.split())))
        if broken:
            print(f"{broken} fails without any bug: no bug can be told by it")
            return 1
        for mutant in chosen:
            try:
                test = seen(folder, mutant)
            except ValueError as error:
                unclear += 1
                print(f"NOT TRIED {mutant.name}: {error}", flush=True)
                continue
            survived += test is None
            print(f"{'SURVIVED' if test is None else 'seen':<9} {mutant.name:<52} {test or ''}", flush=True)
    print(f"{len(chosen) - survived - unclear} of {len(chosen)} bugs were seen")
    return 1 if survived or unclear else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
