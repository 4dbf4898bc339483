"""The measurements of all seeds: their means, the files, and what a restricted corpus leaves out."""

from __future__ import annotations

import csv
import json
from collections import defaultdict

import numpy as np
import pytest

from medcode import config
from medcode.config import Evaluation
from medcode.errors import UserError
from medcode.evaluation.all_seeds import AllSeeds
from medcode.evaluation.measurement import Measurements

TABLES = ("frequency", "linkage", "losses")
LOSSES = [
    {"head": "icd", "rank": 1, "code": "icd9cm 401.9", "train_documents": 40, "loss": 0.2, "normalized_loss": 0.5},
    {"head": "icd", "rank": 2, "code": "", "train_documents": 3, "loss": 0.01, "normalized_loss": ""},
]


class Section(config.Section):
    label_set: config.LabelSet
    evaluation: Evaluation


@pytest.fixture
def results(root, tmp_path):
    """Return results that write metrics and tables, and what else is asked for."""
    options = config.load(Section, root / "params.yaml").evaluation

    def make(*further: str) -> AllSeeds:
        paths = defaultdict(lambda: None, {name: tmp_path / name for name in (*TABLES, "metrics", *further)})
        return AllSeeds(options, None, None, paths, None, None)

    return make


def measurements(f1: float = 0.5) -> Measurements:
    probabilities = {name: {"icd": np.zeros((1, 2), np.float32)} for name in ("dev", "test")}
    return Measurements({"icd": {"f1": f1}}, [], [], LOSSES, {}, probabilities)


@pytest.mark.parametrize(("restricted", "losses"), [(False, ["0.2", "0.01"]), (True, ["", ""])])
def test_a_restricted_corpus_leaves_out_the_loss_that_tells_a_count(results, tmp_path, restricted, losses):
    of_one = results()
    of_one.add(1, measurements())
    of_one.write(restricted=restricted)
    with open(tmp_path / "losses", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["loss"] for row in rows] == losses
    assert [row["normalized_loss"] for row in rows] == ["0.5", ""]
    assert json.loads((tmp_path / "metrics").read_text()) == {"icd": {"f1": 0.5}}


def test_metrics_are_means_over_the_seeds(results):
    of_two = results()
    of_two.add(1, measurements(0.25))
    of_two.add(2, measurements(0.75))
    assert of_two.mean == {"icd": {"f1": 0.5}} and list(of_two.metrics) == ["1", "2"]


def test_a_file_of_one_model_is_refused_for_several_seeds(results, tmp_path):
    of_two = results("predictions")
    for seed in (1, 2):
        of_two.add(seed, measurements())
    with pytest.raises(UserError, match="--predictions: those of one model, found a folder with several seeds"):
        of_two.write(restricted=False)
    assert list(tmp_path.iterdir()) == []
