"""The recipe that the data choose, and the stage that writes it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import stage_commands
import yaml
from input_folder import write_shared, write_split
from scipy import sparse

from medcode import config
from medcode.config.auto_recipe import CorpusSize, candidates, choose
from medcode.errors import UserError

EVERY = ["quick", "small", "published"]


@pytest.mark.parametrize(
    ("size", "recipe"),
    [
        (CorpusSize(2_000, 50, 400.0, 460), "quick"),  # the embedded corpus, 50 codes
        (CorpusSize(2_000, 1_000, 20.0, 460), "small"),  # the same with all codes
        (CorpusSize(500, 1_800, 2.5, 320), "small"),  # CodiEsp
        (CorpusSize(700, 10, 200.0, 40), "small"),  # a few hundred short reports
        (CorpusSize(8_066, 50, 900.0, 1_530), "published"),  # MIMIC-III, 50 codes
        (CorpusSize(47_719, 8_921, 85.0, 1_500), "published"),  # MIMIC-III, all codes
        (CorpusSize(40_000, 50, 4_000.0, 60), "quick"),  # many short notes
    ],
)
def test_the_recipe_suits_the_number_of_notes_for_each_code_and_their_length(size, recipe):
    name, reason = choose(size, EVERY)
    assert name == recipe
    assert f"{size.documents:,} training notes" in reason


def test_a_model_without_the_recipe_takes_quick_and_says_so():
    name, reason = choose(CorpusSize(500, 1_800, 2.5, 320), ["quick"])
    assert name == "quick" and reason.endswith("the model has no recipe small")


def test_a_named_recipe_is_the_only_candidate():
    assert candidates("edin", EVERY) == ["edin"]
    assert candidates("auto", ["mtram", "published", "quick"]) == ["quick", "published"]
    with pytest.raises(UserError, match="recipe: auto chooses between quick, small and published"):
        candidates("auto", ["mtram"])


@pytest.fixture
def inputs(tmp_path):
    """A folder of ten training notes of 30 words with two codes."""
    folder = tmp_path / "inputs"
    write_shared(folder, np.ones(300), "word", {"icd": [5, 5]})
    labels = sparse.csr_matrix(np.eye(2, dtype=np.uint8).repeat(5, axis=0))
    write_split(folder / "train", 30 * np.arange(1, 11), {"icd": labels})
    return folder


def run_stage(tmp_path, root, inputs, **params):
    values = yaml.safe_load((root / "params.yaml").read_text()) | params
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    arguments = {
        "params": tmp_path / "params.yaml",
        "model-settings": root / f"configs/models/{values['model']}.yaml",
        "inputs": inputs,
        "out": tmp_path / "recipe.json",
    }
    return stage_commands.in_this_process("recipe", stage_commands.options(**arguments), tmp_path)


def test_the_stage_writes_the_recipe_with_the_options_of_the_model(tmp_path, root, inputs):
    done = run_stage(tmp_path, root, inputs)
    assert done == stage_commands.Done(0, "")
    written = json.loads((tmp_path / "recipe.json").read_text())
    file = config.read_yaml(root / "configs/models/caml.yaml")
    assert written["recipe"] == "small"
    assert "10 training notes of 30 words on average, 2 codes with 5.0 notes each" in written["reason"]
    assert written["options"] == file["options"] and written["recipes"] == {"small": file["recipes"]["small"]}
    loaded = config.load_model(tmp_path / "recipe.json", "caml", None, "top50")
    assert loaded == config.load_model(root / "configs/models/caml.yaml", "caml", "small", "top50")


def test_a_named_recipe_is_written_without_reading_the_data(tmp_path, root):
    assert run_stage(tmp_path, root, tmp_path / "nowhere", recipe="published", label_set="full").returncode == 0
    written = json.loads((tmp_path / "recipe.json").read_text())
    assert (written["recipe"], written["reason"]) == ("published", "named in params.yaml")
    assert written["recipes"]["published"]["monitor"] == "precision_at_8"  # that of the label set


def test_the_stage_says_which_options_the_recipe_sets(tmp_path, root, inputs, capsys):
    assert run_stage(tmp_path, root, inputs, model="jams", recipe="quick").returncode == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "sets" in line)
    assert line.startswith("recipe quick sets, whatever `options` says: ")
    assert "backbones.caml.filters 100, backbones.caml.kernel 3" in line


def test_a_recipe_changes_one_option_of_a_backbone_and_leaves_the_rest(root):
    model = config.load_model(root / "configs/models/jams.yaml", "jams", "quick", "full").config
    assert model.backbones["laat"] == {"rnn": "lstm", "hidden": 64, "projection": 64}
    assert model.backbones["dcan"]["hidden"] == 600
