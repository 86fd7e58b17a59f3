"""A recipe survives its way through JSON, and a damaged one is refused."""

import json

import pytest

from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.recipes import presets, serialization


@pytest.mark.parametrize("one", presets.RECIPES.values(), ids=lambda r: r.name)
def test_a_recipe_survives_json(one):
    assert serialization.from_dict(json.loads(json.dumps(serialization.to_dict(one)))) == one


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c["learning"].pop("learning_rate"), "missing"),
        (lambda c: c["learning"].update(speed=1), "unknown"),
        (lambda c: c["learning"].update(learning_rate="fast"), "learning_rate must be of type float"),
        (lambda c: c["learning"].update(batch_size=True), "batch_size must be of type int"),
        (lambda c: c["network"].update(conv1=[1]), "must be an object"),
        (lambda c: c["network"]["conv1"].update(padding="00"), "padding must be a list of int"),
        (lambda c: c["learning"].update(learning_rate=-1), "learning_rate must be a positive number"),
    ],
)
def test_a_damaged_recipe_is_refused(change, sentence):
    content = json.loads(json.dumps(serialization.to_dict(presets.PAPER)))
    change(content)
    with pytest.raises(InvalidRequest, match=sentence):
        serialization.from_dict(content)
