"""The stages `calibrate` and `evaluate`, on documents in which three words in a row make a label."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plain_encoder
import pytest
import stage_commands
import torch
import yaml
from planted_words import HEADS, WORDS, records, trained_on_planted_words, wrapped, write_corpus
from scipy import sparse
from small_models import ROWS, build, every_model, uses_subwords

import medcode
from medcode import io
from medcode.calibration.maps import MIN_POSITIVES
from medcode.dataset import arrays
from medcode.dataset.arrays import Targets
from medcode.encoders.subwords import SubwordTokenizer
from medcode.evaluation import abstention, reliability
from medcode.inference import calibration, saved_model
from medcode.inference.scoring import probabilities, score_split
from medcode.report import tables
from medcode.text.tokenized_notes import SUBWORD_IDS, TokenizedNotes

JOINT = {"icd9": "icd9cm", "icd10": "icd10cm"}
FOLDERS = ("inputs", "sentences", "subword")
DOCUMENTS = 60  # of dev and of test
NEW = ("calibration", "reliability", "risk_coverage")  # options of `evaluate`, which studies do without


class Workplace:
    """A folder with inputs, models and parameters of the stages."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.data = write_corpus(folder, dev=DOCUMENTS, test=DOCUMENTS + 1)

    def save(self, *trained: saved_model.TrainedModel) -> None:
        """Write the models of one or several seeds, the thresholds of whose mean are their own."""
        for seed, of_seed in enumerate(trained):
            folder = saved_model.of_seed(self.folder / "model", seed) if seed else self.folder / "model"
            saved_model.save(folder, of_seed, {"seed": seed})
        if len(trained) > 1:
            saved_model.save_ensemble(self.folder / "model", trained[0].thresholds)

    def run(self, stage: str, changes: dict[str, Any] | None = None, **paths: str) -> stage_commands.Done:
        whole = yaml.safe_load((self.root / "params.yaml").read_text()) | (changes or {})
        whole["training"]["threads"] = 1
        (self.folder / "params.yaml").write_text(yaml.safe_dump(whole))
        options = stage_commands.options(params="params.yaml", **dict(zip(FOLDERS, FOLDERS, strict=True)), **paths)
        return stage_commands.in_this_process(stage, options, self.folder)

    def calibrate(self, **changes: str) -> dict[str, Any]:
        """Run `calibrate` and return its metrics."""
        done = self.run("calibrate", changes, model="model", out="calibration", metrics="calibration.json")
        assert done == stage_commands.Done(0, "")
        return io.read_json(self.folder / "calibration.json")

    def evaluate(self, *, without: tuple[str, ...] = (), **paths: str) -> dict[str, Any]:
        """Run `evaluate` and return its metrics on test."""
        outs = ("seeds.json", "frequency.csv", "linkage.csv", "losses.csv", "vectors.csv", "reliability.csv")
        outs = {file.split(".")[0]: file for file in (*outs, "risk_coverage.csv")} | {"calibration": "calibration"}
        outs = {name: path for name, path in outs.items() if name not in without}
        done = self.run("evaluate", {}, codes="none", ccs="none", model="model", metrics="test.json", **outs, **paths)
        assert done.returncode == 0, done.stderr
        return io.read_json(self.folder / "test.json")

    def rows(self, name: str) -> list[dict[str, str]]:
        with open(self.folder / name, newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def work(tmp_path, root, torch_as_before) -> Workplace:
    return Workplace(tmp_path, root)


@pytest.fixture(scope="module")
def caml() -> saved_model.TrainedModel:
    trained = wrapped(trained_on_planted_words("caml"), "caml")
    with torch.no_grad():  # it promises too much
        trained.model.attention["icd"].output.bias.add_(3)
    return trained


def without_scores(metrics: dict[str, Any]) -> dict[str, Any]:
    return {head: {key: part for key, part in of_head.items() if key != "scores"} for head, of_head in metrics.items()}


def test_without_a_calibration_every_number_is_what_it_was(work, caml):
    work.save(caml)
    before = work.evaluate(without=NEW)
    assert work.calibrate() == {} and io.is_empty(work.folder / "calibration")
    metrics = work.evaluate()
    assert without_scores(metrics) == before and "scores" not in before["icd"]
    scores, tuned = metrics["icd"]["scores"], before["icd"]["tuned"]
    assert list(scores["calibration"]) == ["before", "considered", "decisions"]
    assert scores["thresholds"] == {"global": {"f1_micro": tuned["f1"]["micro"], "f1_macro": tuned["f1"]["macro"]}}
    assert scores["abstention"]["notes"]["f1_micro_at_coverage_100"] == tuned["f1"]["micro"]


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_a_calibration_changes_no_other_number(work, caml, method):
    work.save(caml)
    work.calibrate()
    plain = work.evaluate()
    measured = work.calibrate(calibration=method)["icd"]
    assert measured["method"] == method and measured["documents"] == DOCUMENTS
    metrics = work.evaluate()
    assert without_scores(metrics) == without_scores(plain)
    before, after = (metrics["icd"]["scores"]["calibration"][stage] for stage in ("before", "after"))
    assert after["brier"] < before["brier"]
    assert metrics["icd"]["scores"]["thresholds"] == plain["icd"]["scores"]["thresholds"]
    assert metrics["icd"]["scores"]["abstention"]["codes"] == plain["icd"]["scores"]["abstention"]["codes"]
    assert {row["probabilities"] for row in work.rows("reliability.csv")} == {"before", "after"}


def test_the_tables_are_those_that_the_report_reads(work, caml):
    work.save(caml)
    work.calibrate(calibration="isotonic")
    work.evaluate()
    reliability = tables.read_csv(work.folder / "reliability.csv", tables.RELIABILITY)
    assert (
        sum(row["decisions"] for row in reliability if row["probabilities"] == "after")
        == io.read_json(work.folder / "test.json")["icd"]["scores"]["calibration"]["considered"]
    )
    risks = tables.read_csv(work.folder / "risk_coverage.csv", tables.RISK_COVERAGE)
    assert {row["of"] for row in risks} == {"codes", "notes"} and max(row["coverage"] for row in risks) == 1


def test_prediction_shows_the_calibrated_probabilities_and_the_same_codes(work, caml):
    work.save(caml)
    text = " ".join(WORDS[number] for number in (0, 1, 2, 20, 30, 3, 4, 5, 40))
    work.calibrate()
    (plain,) = medcode.load(work.folder / "model").predict([text])
    work.calibrate(calibration="temperature")
    (shown,) = medcode.load(work.folder / "model").predict([text])
    assert [code["code"] for code in shown.codes] == [code["code"] for code in plain.codes]
    assert {"0", "1"} <= {code["code"] for code in shown.codes}
    for before, after in zip(plain.codes, shown.codes, strict=True):
        assert before["probability"] != after["probability"] > shown.thresholds["icd"]


def test_thresholds_of_codes_are_saved_measured_and_used(work):
    trained = wrapped(trained_on_planted_words("caml"), "caml")
    with torch.no_grad():  # a scale of its own for each code
        trained.model.attention["icd"].output.bias.add_(torch.tensor([-6.0, -2.0, 2.0, 6.0]))
    work.save(trained)
    of_codes = work.calibrate(thresholds="per_code")["icd"]["per_code"]
    assert of_codes["strength"] < 100 and of_codes["codes"] > 1
    assert of_codes["f1_macro"]["per_code"] > of_codes["f1_macro"]["global"]
    scores = work.evaluate()["icd"]["scores"]["thresholds"]
    assert scores["per_code"]["f1_macro"] > scores["global"]["f1_macro"] + 0.01
    (found,) = calibration.read(work.folder / "calibration", saved_model.digests(work.folder / "model"), HEADS).seeds
    data = arrays.load(work.folder / "inputs", ("test",))
    on_test = probabilities(score_split(trained.model, data.tokens, data.splits["test"], 100, 32)["icd"])
    predicted = on_test > np.array(found["icd"].code_thresholds, np.float32)
    gold = data.splits["test"].targets["icd"].matrix.toarray() > 0
    assert scores["per_code"]["f1_micro"] == pytest.approx(
        2 * (predicted & gold).sum() / (predicted.sum() + gold.sum()), abs=1e-6
    )


def test_each_seed_is_measured_with_its_own_calibration_and_the_mean_with_that_of_the_mean(work, caml):
    second = wrapped(trained_on_planted_words("caml", seed=1), "caml")
    alone = []
    for trained in (caml, second):
        work.save(trained)
        work.calibrate(calibration="temperature")
        alone.append(work.evaluate()["icd"]["scores"]["calibration"]["after"]["brier"])
    work.save(caml, second)
    work.calibrate(calibration="temperature", thresholds="per_code")
    found = calibration.read(work.folder / "calibration", saved_model.digests(work.folder / "model"), HEADS)
    maps = [heads["icd"].map for heads in (*found.seeds, found.mean)]
    assert len({one.temperature for one in maps}) == 3
    metrics, several = work.evaluate(), io.read_json(work.folder / "seeds.json")
    assert metrics["icd"]["scores"]["calibration"]["after"]["brier"] == pytest.approx(np.mean(alone), abs=1e-6)
    of_mean = several["ensemble"]["icd"]["scores"]["calibration"]
    assert of_mean["after"]["brier"] < of_mean["before"]["brier"]


def test_two_heads_have_a_calibration_each(work):
    work.data = write_corpus(work.folder, JOINT, dev=DOCUMENTS, test=DOCUMENTS)
    heads = dict.fromkeys(JOINT, 4)
    labels = {head: records(4, system) for head, system in JOINT.items()}
    work.save(wrapped(trained_on_planted_words("caml", heads=heads), "caml", labels=labels, label_set="joint"))
    assert list(work.calibrate(calibration="isotonic", thresholds="per_code")) == list(JOINT)
    metrics = work.evaluate()
    assert all("after" in of_head["scores"]["calibration"] for of_head in metrics.values())
    assert {row["head"] for row in work.rows("risk_coverage.csv")} == JOINT.keys()


def test_a_model_on_sentences(work, caml):
    work.save(replace(caml, unit="sentences", max_tokens=4))
    work.calibrate(calibration="temperature", thresholds="per_code")
    found = work.evaluate()["icd"]["scores"]["calibration"]
    assert found["after"]["brier"] < found["before"]["brier"]


@every_model
def test_every_model_is_calibrated_and_measured(work, name):
    heads = {head: ("icd10cm" if head == "icd10" else "icd9cm") for head in build(name).heads}
    data = write_corpus(work.folder, heads, dev=20, test=15)
    changes: dict[str, Any] = {"labels": {head: records(4, system) for head, system in heads.items()}}
    if uses_subwords(name):
        splits = list(data.splits.values())
        admissions = [document for split in splits for document in split.documents]
        notes = TokenizedNotes(data.tokens, np.arange(0, splits[-1].offsets[-1, 1] + 1, 30), admissions)
        notes.write(work.folder / "subword", SUBWORD_IDS)
        tokenizer = SubwordTokenizer(plain_encoder.tokenizer([f"word{n}" for n in range(ROWS - 1)]), "words")
        changes |= {"vocabulary": [], "tokenizer": tokenizer}
    work.save(wrapped(build(name, heads=dict.fromkeys(heads, 4)), name, **changes))
    measured = work.calibrate(calibration="temperature", thresholds="per_code")
    assert measured.keys() == heads.keys()
    for of_head in work.evaluate().values():
        assert 0 <= of_head["scores"]["calibration"]["after"]["brier"] <= 1


def test_a_dev_without_enough_gold_codes_leaves_all_as_it_is_and_says_so(work, caml):
    work.save(caml)
    work.calibrate()
    plain = work.evaluate()
    dev = work.data.splits["dev"]
    for gold in (0, MIN_POSITIVES - 1):
        matrix = sparse.csr_matrix((np.ones(gold, np.uint8), (np.arange(gold), np.zeros(gold, int))), (len(dev), 4))
        few = replace(dev, targets={"icd": Targets(matrix, np.ones(len(dev), bool))})
        arrays.write(work.folder / "few", replace(work.data, splits=work.data.splits | {"dev": few}))
        paths = {"model": "model", "out": "calibration", "metrics": "calibration.json"}
        options = stage_commands.options(params="params.yaml", inputs="few", sentences="sentences", subword="subword")
        changed = yaml.safe_load((work.folder / "params.yaml").read_text())
        changed |= {"calibration": "isotonic", "thresholds": "per_code"}
        (work.folder / "params.yaml").write_text(yaml.safe_dump(changed))
        done = stage_commands.in_this_process("calibrate", [*options, *stage_commands.options(**paths)], work.folder)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 0 and line.startswith(
            f"note: icd: dev has {gold} gold codes, too few to calibrate on"
        )
        assert "null" not in (work.folder / "calibration.json").read_text()
        assert work.evaluate() == plain


def test_dev_is_not_measured_with_what_was_learned_on_it(work, caml):
    work.save(caml)
    work.calibrate(calibration="temperature")
    assert "scores" not in work.evaluate(split="dev")["icd"]


def test_a_model_that_predicts_nothing_has_no_undefined_number(work):
    trained = wrapped(trained_on_planted_words("caml"), "caml")
    with torch.no_grad():  # every probability is 0
        trained.model.attention["icd"].output.weight.zero_()
        trained.model.attention["icd"].output.bias.fill_(-200)
    work.save(trained)
    work.calibrate(calibration="temperature")
    work.evaluate()
    text = (work.folder / "test.json").read_text()
    assert "NaN" not in text and "Infinity" not in text


def test_a_calibration_of_another_model_is_refused(work, caml):
    work.save(caml)
    work.calibrate(calibration="temperature")
    work.save(wrapped(trained_on_planted_words("caml", seed=2), "caml"))
    outs = {
        name: f"{name}.csv" for name in ("frequency", "linkage", "losses", "vectors", "reliability", "risk_coverage")
    }
    done = work.run(
        "evaluate", {}, codes="none", ccs="none", model="model", metrics="new.json", seeds="seeds.json",
        calibration="calibration", **{name: f"{name}.csv" for name in outs},
    )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "made for another model than this one" in line
    assert not (work.folder / "new.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calibration": "platt"}, "calibration: Input should be 'none', 'temperature' or 'isotonic', found 'platt'"),
        ({"thresholds": "local"}, "thresholds: Input should be 'global' or 'per_code', found 'local'"),
    ],
)
def test_parameters_that_are_not_valid_are_one_line(work, changes, message):
    done = work.run("calibrate", changes, model="model", out="calibration", metrics="calibration.json")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and message in line and not (work.folder / "calibration.json").exists()


def test_outputs_have_no_word_of_a_document(work, caml):
    work.save(caml)
    work.calibrate(calibration="isotonic", thresholds="per_code")
    work.evaluate()
    for name in ("calibration/calibration.json", "calibration.json", "reliability.csv", "risk_coverage.csv"):
        text = (work.folder / name).read_text()
        assert not any(word in text for word in WORDS) and "dev0" not in text and "test0" not in text
    assert json.loads((work.folder / "calibration.json").read_text())


def test_dvc_plots_columns_of_the_tables(root):
    plots = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["evaluate"]["plots"]
    settings = {name: options for plot in plots for name, options in plot.items()}
    for name, columns in (("reliability", reliability.COLUMNS), ("risk_coverage", abstention.COLUMNS)):
        assert {settings[f"plots/{name}.csv"][axis] for axis in ("x", "y")} <= set(columns)
