"""The definition of a search: which trials there are, and which go on."""

from __future__ import annotations

import itertools

import pytest
import yaml

from medcode.errors import UserError
from medcode.studies.definition import sweep

RATE, FILTERS = "models.*.recipes.*.learning_rate", "models.*.options.filters"
DEFINITION = {
    "title": "Rates and filters",
    "corpus": "synthetic-mimic3",
    "label_set": "top50",
    "seeds": [1],
    "settings": {"model": "caml", "recipe": "quick"},
    "search": {RATE: [0.001, 0.003, 0.01], FILTERS: [6, 8]},
    "monitor": "map",
}


@pytest.fixture
def read(tmp_path):
    def write(**changes) -> sweep.Sweep:
        (tmp_path / "rates").mkdir(exist_ok=True)
        (tmp_path / "rates/sweep.yaml").write_text(yaml.safe_dump(DEFINITION | changes, sort_keys=False))
        return sweep.load(tmp_path, "rates")

    return write


def test_a_grid_has_every_combination_once(read):
    grid = [(trial[RATE], trial[FILTERS]) for trial in read().combinations()]
    assert grid == [*itertools.product([0.001, 0.003, 0.01], [6, 8])]


def test_a_draw_is_part_of_the_grid_and_a_function_of_its_seed(read):
    grid = read().combinations()
    draws = [read(trials=4, seed=seed).combinations() for seed in range(20)]
    assert all(len(draw) == 4 and [trial for trial in grid if trial in draw] == draw for draw in draws)
    assert draws[3] == read(trials=4, seed=3).combinations()
    assert len({str(draw) for draw in draws}) > 3
    assert read(trials=7).combinations() == grid, "more than there are: all"


def test_each_rung_has_its_epochs_and_a_trial_its_settings(read):
    found = read(epochs=[2, 4])
    (first, *_), (short, long) = found.combinations(), (0, 1)
    assert found.row_settings(first, short) == {
        "model": "caml", "recipe": "quick", RATE: 0.001, FILTERS: 6, sweep.EPOCHS: 2
    }  # fmt: skip
    assert found.row_settings(first, long)[sweep.EPOCHS] == 4
    assert sweep.EPOCHS not in read().row_settings(first, 0), "without rungs those of the recipe"
    assert found.row(0, 0) != found.row(0, 1)


@pytest.mark.parametrize(
    ("monitor", "keep", "survivors"),
    [("map", 0.5, [1, 3]), ("map", 0.25, [1]), ("map", 0.1, [1]), ("loss", 0.5, [0, 2]), ("loss", 0.75, [0, 1, 2])],
)
def test_the_best_on_dev_go_on(read, monitor, keep, survivors):
    scores = {0: 0.1, 1: 0.9, 2: 0.2, 3: 0.9}
    assert read(monitor=monitor, keep=keep).survivors(scores) == survivors


def test_of_equals_the_first_goes_on(read):
    assert read().ranked({4: 0.5, 2: 0.5, 3: 0.6}) == [3, 2, 4]
    assert read(monitor="loss").ranked({4: 0.5, 2: 0.5, 3: 0.6}) == [2, 4, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"model": "caml"}}, "settings: expected a model and its recipe, found caml"),
        ({"settings": {}}, "settings: expected a model and its recipe, found none"),
        (
            {"settings": DEFINITION["settings"] | {RATE: 1}},
            r"search: .*learning_rate is in settings too; leave it in one",
        ),
        ({"search": {sweep.EPOCHS: [1, 2]}, "epochs": [1]}, "is searched, so the rungs cannot set it; remove epochs"),
        ({"epochs": [4, 2]}, r"epochs: expected a longer rung after a shorter one, found \[4, 2\]"),
        ({"keep": 1}, "keep"),
        ({"monitor": "accuracy"}, "monitor"),
        ({"search": {}}, "search"),
    ],
)
def test_a_mistake_is_one_line(read, changes, message):
    with pytest.raises(UserError, match=rf"sweep\.yaml: .*{message}"):
        read(**changes)


def test_an_unknown_search_names_those_that_there_are(read, tmp_path):
    read()
    with pytest.raises(UserError, match=r"rate/sweep.yaml: no such file; there are rates"):
        sweep.load(tmp_path, "rate")
