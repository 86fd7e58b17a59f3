"""What a training trains and where, before it begins."""

import dataclasses
from pathlib import Path

from helpers.images import packed

from gluon_alexnet.recipes import presets
from gluon_alexnet.workflows import training_plan


def test_trainings_of_one_second_have_a_folder_each(tmp_path, monkeypatch):
    data = packed(tmp_path)
    learning = dataclasses.replace(presets.NARROW.learning, batch_size=4)
    recipe = dataclasses.replace(presets.NARROW, learning=learning)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_plan.time, "strftime", lambda form: "20121203-120000")
    for expected in ("20121203-120000-narrow", "20121203-120000-narrow-2", "20121203-120000-narrow-3"):
        plan = training_plan.plan_new_run(data, recipe, None, ["cpu(0)", "cpu(1)"])
        assert plan.run == Path("runs", expected)
        plan.run.mkdir(parents=True)
