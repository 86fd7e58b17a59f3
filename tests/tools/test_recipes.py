"""`recipes`: every recipe and variant, with the scores of the very nets."""

from helpers.runner import run


def test_recipes_lists_what_can_be_trained_and_its_targets():
    output = run("recipes")
    for words in ("as-run", "one-gpu", "no-cross-link", "six-conv"):
        assert words in output
    # A score is the net's that earned it, and a variant, which differs in less, only points to it.
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert "paper 60,965,224 what the paper prints (NIPS 2012)" in lines
    own = lines.index("net-148 60,965,224 no normalisation")
    assert lines[own + 1] == "42.03/19.36 on 2012 val (2012 code's diary)"
    variant = lines.index("no-lrn 60,965,224 no response normalisation (Sec. 3.3)")
    assert lines[variant + 1] == "paper, against the full net: +1.4 top-1, +1.2 top-5 (Sec. 3.3)"
    assert lines[variant + 2] == "another net: recipe net-148, 42.03/19.36 on 2012 val (2012 code's diary)"
    assert "60,714,408" in lines[lines.index("41.83/19.33 on 2012 val (2012 code's diary)") - 1]
