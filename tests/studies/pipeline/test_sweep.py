"""A search over settings with trainings that a test does itself: rungs, table, and the experiment of the best."""

from __future__ import annotations

import csv
import io as text_io
from pathlib import Path

import pytest
import yaml

from medcode import io
from medcode.errors import UserError
from medcode.studies.definition.sweep import EPOCHS, Sweep, load
from medcode.studies.pipeline import sweep

RATE, FILTERS = "models.*.recipes.*.learning_rate", "models.*.options.filters"
DEFINITION = {
    "title": "Rates",
    "corpus": "synthetic-mimic3",
    "label_set": "top50",
    "seeds": [1, 2],
    "settings": {"model": "caml", "recipe": "quick", "training.threads": 1},
    "search": {RATE: [0.001, 0.003, 0.01, 0.03], FILTERS: [6, 8]},
    "epochs": [1, 3, 9],
    "monitor": "map",
}


@pytest.fixture
def definition(tmp_path, root, monkeypatch) -> Sweep:
    """A project with a search."""
    monkeypatch.chdir(tmp_path)
    for name in ("dvc.yaml", "params.yaml", "configs", "studies/data"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(root / name)
    Path("studies/published").symlink_to(root / "studies/published")
    # What is written beside the links must not land in the repository.
    Path("studies/data").unlink()
    Path("studies/data").mkdir()
    Path("studies/data/settings.yaml").symlink_to(root / "studies/data/settings.yaml")
    Path("studies/rates").mkdir()
    Path("studies/rates/sweep.yaml").write_text(yaml.safe_dump(DEFINITION, sort_keys=False))
    return load(Path("studies"), "rates")


class Trainer:
    """Writes what trainings write; MAP is highest with 8 filters and a rate of 0.003."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, study, trainings) -> None:
        assert Path("studies/rates/dvc.yaml").exists()
        self.calls.append([training.target for training in trainings])
        for training in trainings:
            *_, row, seed = training.settings.split("/")
            settings = study.definition.rows[row].settings
            value = settings[FILTERS] / 10 - abs(settings[RATE] - 0.003) * 5 + int(seed) / 1000
            io.write_json(study.run_folder(row, "top50", int(seed)) / "train.json", {"dev": {"map": value}})


def test_each_rung_trains_the_better_half_of_the_last(definition):
    train, said = Trainer(), []
    best = sweep.search(Path("studies"), "rates", definition, train, said.append)
    assert [len(call) for call in train.calls] == [8 * 2, 4 * 2, 2 * 2]
    assert all(target.startswith("studies/rates/dvc.yaml:top50@trial") for call in train.calls for target in call)
    assert best == DEFINITION["settings"] | {RATE: 0.003, FILTERS: 8, EPOCHS: 9}
    assert said[-1] == "rung 3 of 3: 2 trials, best map on dev 0.8015, of trial 4"
    rows = list(csv.DictReader(text_io.StringIO(Path("studies/rates/sweep.csv").read_text())))
    assert [row["rung"] for row in rows] == ["3"] * 2 + ["2"] * 4 + ["1"] * 8
    assert rows[0] == {"rung": "3", "epochs": "9", "trial": "4", "map": "0.801500", RATE: "0.003", FILTERS: "8"}
    for rung in ("1", "2", "3"):
        scores = [float(row["map"]) for row in rows if row["rung"] == rung]
        assert scores == sorted(scores, reverse=True)


def test_a_search_goes_on_with_the_same_trials(definition):
    first, second = Trainer(), Trainer()
    for train in (first, second):
        sweep.search(Path("studies"), "rates", definition, train, lambda line: None)
    assert first.calls == second.calls, "DVC then skips what is done"


def test_trials_are_rows_of_a_study_with_a_pipeline(definition):
    sweep.search(Path("studies"), "rates", definition, Trainer(), lambda line: None)
    content = yaml.safe_load(Path("studies/rates/dvc.yaml").read_text())["stages"]["top50"]
    assert len(content["matrix"]["row"]) == 14 and content["matrix"]["seed"] == [1, 2]


def test_a_study_of_the_same_name_is_left_alone(definition):
    Path("studies/rates/study.yaml").write_text("title: mine\n")
    with pytest.raises(UserError, match=r"study.yaml: is a study of its own; give the search a folder without one"):
        sweep.search(Path("studies"), "rates", definition, Trainer(), lambda line: None)
    assert Path("studies/rates/study.yaml").read_text() == "title: mine\n"


def test_a_metric_that_dev_lacks_is_one_line(definition):
    def train(study, trainings) -> None:
        for training in trainings:
            *_, row, seed = training.settings.split("/")
            io.write_json(study.run_folder(row, "top50", int(seed)) / "train.json", {"dev": {"f1_micro": 1}})

    with pytest.raises(
        UserError, match=r"train.json: has no map of dev, by which trials are compared; it has f1_micro"
    ):
        sweep.search(Path("studies"), "rates", definition, train, lambda line: None)


def test_the_experiment_sets_what_the_trial_set(definition):
    """A key goes where the model's file has it; one that it lacks gets a +."""
    further = {"models.*.recipes.*.clip_norm": 1.0, "models.*.options.ram": True, "models.*.options.filters": 8}
    options = sweep.experiment(Path("studies"), definition, DEFINITION["settings"] | {RATE: 0.003, EPOCHS: 9} | further)
    assert options[::2] == ["-S"] * (len(options) // 2)
    quick = yaml.safe_load(Path("configs/models/caml.yaml").read_text())["recipes"]["quick"]
    assert "learning_rate" in quick and "clip_norm" not in quick and "options" not in quick
    file = "configs/models/caml.yaml"
    assert set(options[1::2]) == {
        "corpus=synthetic-mimic3", "label_set=top50", "seed=1", "model=caml", "recipe=quick", "training.threads=1",
        f"{file}:recipes.quick.learning_rate=0.003", f"{file}:recipes.quick.epochs=9",
        f"{file}:+recipes.quick.clip_norm=1.0", f"{file}:+options.ram=true", f"{file}:options.filters=8",
    }  # fmt: skip


def test_an_option_that_the_recipe_sets_is_set_there(definition):
    settings = {"model": "laat", "recipe": "quick", "models.*.options.hidden": 32, "models.*.options.rnn": "gru"}
    options = sweep.experiment(Path("studies"), definition, settings)
    assert "hidden" in yaml.safe_load(Path("configs/models/laat.yaml").read_text())["recipes"]["quick"]["options"]
    file = "configs/models/laat.yaml"
    assert options[-4:] == ["-S", f"{file}:recipes.quick.options.hidden=32", "-S", f"{file}:options.rnn=gru"]
