"""The model card says what the files hold, and can be published as it is."""

import hashlib

from gluon_alexnet import __version__
from gluon_alexnet.exporters.model_card import Card, Origin, render
from gluon_alexnet.recipes import differences, presets, variants

EPOCHS = [
    {
        **{"epoch": number + 1, "step": 75 * (number + 1), "images": 9469, "seconds": 60.0, "validation_images": 3925},
        **{
            "learning_rate": rate,
            "training_loss": 2.0 - number / 10,
            "validation_top1": top1,
            "validation_top5": top1 / 4,
        },
    }
    for number, (rate, top1) in enumerate([(0.01, 70), (0.01, 60), (0.01, 50), (0.001, 30), (0.001, 28), (0.001, 29)])
]


def card(tmp_path, count=3, **changes):
    files = [tmp_path / f"net{end}" for end in ("-symbol.json", "-0000.params", ".onnx", ".py", ".json")]
    for number, file in enumerate(files):
        file.write_bytes(bytes(1000 + number))
    description = {
        "input": {"shape": ["N", 3, 224, 224]},
        "classes": [{"wnid": f"n{i}", "name": f"thing {i}, something else"} for i in range(count)],
        "provenance": {"recipe": "narrow", "step": 450, "data_digest": "ab" * 32, "versions": {"mxnet": "1.9.1"}},
        "validation_error": {"top1": 29.0, "top5": 7.25},
        "verified": {"images": 8, "largest_difference": {"Module": 0.0, "OpenCV": 4.8e-7}},
        **changes.pop("description", {}),
    }
    recipe = variants.apply(presets.NARROW, ["no-lrn"])
    started = {"contexts": ["cpu(0)", "cpu(1)"], "batch_size": 32}
    origin = Origin("recipe `narrow`", differences.from_paper(recipe), differences.SETTLED, EPOCHS, started)
    made = {"origin": origin, "parameters": 898554, "files": files, "command": "alexnet-tools export a net", **changes}
    return Card("net", description, date="2026-11-24", **made)


def test_it_says_everything_that_is_known(tmp_path):
    text = render(card(tmp_path))
    flat = " ".join(text.split())
    head, _, body = text.partition("\n---\n")
    assert head.splitlines() == [
        "---",
        "license: apache-2.0",
        "pipeline_tag: image-classification",
        "tags:",
        *("- alexnet", "- mxnet", "- onnx", "- pytorch"),
    ]
    assert body.startswith("\n# net\n")
    for said in (
        "898,554 parameters",
        "float32 (N, 3, 224, 224), RGB grey levels 0 to 255",
        "float32 (N, 3), probabilities of the classes thing 0, thing 1, thing 2.",
        "- no-lrn: no response normalisation (Sec. 3.3)",
        "12 instead of 96 in conv1",
        "6 epochs of 9,469 images, 450 updates of 32 images, 6 minutes on cpu(0), cpu(1).",
        f"`{'ab' * 32}`",
        "Error of 3,925 validation images, centre view: top-1 29.00 %, top-5 7.25 %.",
        "over 8 images: Module 0.0e+00, OpenCV 4.8e-07",
        f"On 2026-11-24 with gluon-alexnet {__version__}, from a net trained with mxnet 1.9.1:",
        "    alexnet-tools export a net\n",
        "Apache-2.0. The images the net was trained on have terms of their own",
    ):
        assert said in text or said in flat, said
    for number, name in enumerate(["-symbol.json", "-0000.params", ".onnx", ".py", ".json"]):
        digest = hashlib.sha256(bytes(1000 + number)).hexdigest()
        assert f"| `net{name}` | {1000 + number:,} | `{digest}` |" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith(("|", "    "))) <= 110


def test_of_the_epochs_those_that_tell_are_shown(tmp_path):
    rows = [line.split(" | ")[0] for line in render(card(tmp_path)).splitlines() if line.startswith("| ")]
    assert rows[1:6] == ["| 1", "| 3", "| 4", "| 5", "| 6"]  # first, before and after the drop, best, last


def test_many_classes_are_left_to_the_description(tmp_path):
    assert "of the classes that `net.json` lists in their order" in " ".join(render(card(tmp_path, 1000)).split())


def test_what_is_unknown_is_not_made_up(tmp_path):
    bare = {"provenance": {"caffemodel": "a.caffemodel"}, "validation_error": None, "verified": None}
    text = render(card(tmp_path, description=bare, origin=Origin("BVLC AlexNet"), command=None, license="CC-BY-4.0"))
    assert "This net was not trained by this program." in text
    assert "## Measured" not in text and "What differs" not in text
    assert "license: cc-by-4.0" in text
    assert "called from Python" in text


def test_differences_in_words():
    assert differences.from_paper(presets.PAPER) == []
    as_run = differences.from_paper(presets.AS_RUN)
    assert "standard deviation of the initial weights: 0.03 instead of 0.01 in conv3, conv4, conv5" in as_run
    assert "ReLU before the normalisation of conv1: no instead of yes" in as_run
    for recipe in presets.RECIPES.values():
        assert bool(differences.from_paper(recipe)) == (recipe != presets.PAPER)
    for one in variants.VARIANTS:
        changed = variants.apply(presets.PAPER, [one.name])
        assert differences.from_paper(changed) == [f"{one.name}: {one.summary}"]
