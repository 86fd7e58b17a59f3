"""`recipes` and `eval` show the paper's rows and the diary's apart, beside the nets that earned them."""

import dataclasses

import pytest
from helpers.images import packed
from helpers.nets import make_run
from helpers.runner import run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("set"))


def lines_below(output, head):
    """The indented lines that follow a line."""
    lines = output.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith(head))
    found = []
    for line in lines[place + 1 :]:
        if not line.startswith("  "):
            break
        found.append(" ".join(line.split()))
    return found


@pytest.mark.parametrize(
    ("recipe", "row"), [("net-148", "net-148 42.03 19.36 –"), ("net-150", "net-150 41.83 19.33 –")]
)
def test_a_run_of_a_net_of_the_diary_is_evaluated_beside_its_own_row(small_recipe, data, tmp_path, recipe, row):
    folder = make_run(tmp_path / "run", dataclasses.replace(small_recipe, name=recipe), data, seed=1)
    said = run("eval", "--model", folder, "--data", data, "--ilsvrc", "2012", "--views", "1", "--cpus", 0)
    assert lines_below(said, "2012 code's diary:")[0] == row
    assert "1 CNN 40.7 18.2 –" in lines_below(said, "paper, Table 2:")
    assert recipe not in " ".join(lines_below(said, "paper, Table 2:"))


def test_recipes_shows_a_score_below_the_net_that_earned_it_and_a_variant_s_difference_below_the_variant():
    said = run("recipes")
    assert lines_below(said, "net-148 ") == ["42.03/19.36 on 2012 val (2012 code's diary)"]
    assert lines_below(said, "net-145-2010 ") == [
        "37.47/17.00 on 2010 test (2012 code's diary)",
        "centre view: 39.02/18.30 on 2010 test (2012 code's diary)",
    ]
    for name in ("paper ", "printed ", "net-149 ", "net-146-2009 ", "six-conv-2009-half "):
        assert lines_below(said, name) == []
    no_lrn = lines_below(said, "no-lrn ")
    assert no_lrn[0] == "paper, against the full net: +1.4 top-1, +1.2 top-5 (Sec. 3.3)"
    assert no_lrn[1:] == ["another net: recipe net-148, 42.03/19.36 on 2012 val (2012 code's diary)"]
    assert "others, 10,184 classes 78.10/60.90" in " ".join(said.split())
