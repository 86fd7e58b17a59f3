"""`plot filters`, `plot curves` and `plot predictions`, as a user calls them."""

import cv2
from helpers.runner import run
from helpers.trained import CLASSES


def test_plots_are_written_and_say_what_they_hold(trained, tmp_path):
    assert "12 kernels in layer 1; Fig. 3 shows the 96" in run(
        "plot", "filters", trained / "run", "--output", tmp_path / "f.png"
    )
    assert "(1 epochs)" in run(
        "plot", "curves", trained / "run", trained / "run" / "best", "--output", tmp_path / "c.png"
    )
    image = trained / "images" / "val" / "class1" / "0.png"
    output = run("plot", "predictions", trained / "run", image, image, "--output", tmp_path / "p.png")
    guesses = output.splitlines()[0].split(": ", 1)[1].split(", ")
    assert len(guesses) == 5
    assert {guess.split()[0] for guess in guesses} <= {f"class{label}" for label in range(CLASSES)}
    for name in ("f.png", "c.png", "p.png"):
        assert cv2.imread(str(tmp_path / name)) is not None


def test_plots_of_what_is_no_run_or_no_image_are_refused(trained, tmp_path):
    assert "is neither a run nor a checkpoint" in run("plot", "filters", tmp_path, code=2)
    junk = tmp_path / "junk.jpg"
    junk.write_bytes(b"junk")
    words = ["plot", "predictions", trained / "run", junk, "--output", tmp_path / "p.png"]
    assert "junk.jpg is no image this program reads" in run(*words, code=1)
    words[3] = tmp_path / "none.jpg"
    assert "none.jpg: No such file" in run(*words, code=1)
    assert not (tmp_path / "p.png").exists()
