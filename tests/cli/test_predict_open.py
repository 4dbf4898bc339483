"""`predict` with unseen codes: they are marked, and stand among the labels by their probability."""

from __future__ import annotations

import json

import open_corpus
import pytest
import torch
from open_corpus import LABELS, TITLES, UNSEEN

from medcode import models
from medcode.config import configure
from medcode.inference import saved_model
from medcode.models.inputs import ModelInputs
from medcode.open_codes import folder

TEXT = f"No fever. There was {TITLES[UNSEEN[0]].lower()}, and {TITLES[LABELS[3]['code']].lower()}."


def save(path, recipe, label_set: str) -> None:
    """Write an untrained model."""
    config = configure("caml", {"filters": 4, "kernel": 2}, recipe)
    torch.manual_seed(0)
    inputs = ModelInputs(heads={"icd": len(LABELS)}, vocab_size=5, vectors=torch.randn(5, 5))
    vocabulary, thresholds = ["burn", "fever", "liver"], {"icd": 0.9}
    network = models.find("caml")(config, inputs)
    trained = saved_model.TrainedModel("caml", network, vocabulary, {"icd": LABELS}, thresholds, 50, "caml", label_set)
    saved_model.save(path, trained, {"seed": 1})


@pytest.fixture
def trained(tmp_path, recipe):
    """Folder of a model of the label set open, with a scorer next to it."""
    save(tmp_path / "current", recipe, "open")
    scorer = open_corpus.fit(models=tuple(saved_model.digests(tmp_path / "current"))).scorer
    folder.write(tmp_path / "open", scorer, {})
    return tmp_path / "current"


@pytest.fixture
def note(tmp_path):
    (tmp_path / "note.txt").write_text(TEXT)
    return tmp_path / "note.txt"


def test_unseen_codes_are_marked_and_sorted_in_by_their_probability(command, trained, note):
    code, out, err = command("predict", note, "--model", trained, "--top", 2)
    first, second = out.splitlines()
    assert (code, err) == (0, "")
    assert first.endswith(f"{UNSEEN[0]}     {TITLES[UNSEEN[0]]}  (unseen)") or second.endswith("(unseen)")
    assert {LABELS[3]["code"], UNSEEN[0]} == {line.split()[2] for line in (first, second)}
    codes = json.loads(command("predict", note, "--model", trained, "--format", "json", "--top", 50)[1])["codes"]
    assert next(code["code"] for code in codes if code.get("unseen")) == UNSEEN[0]
    assert {code["code"] for code in codes if code.get("unseen")} <= set(UNSEEN)
    probabilities = [code["probability"] for code in codes]
    assert probabilities == sorted(probabilities, reverse=True)


def test_the_threshold_is_the_scorers(command, trained, note):
    codes = json.loads(command("predict", note, "--model", trained, "--format", "json")[1])["codes"]
    assert {UNSEEN[0]} <= {code["code"] for code in codes}
    values = json.loads((trained.parent / "open/open.json").read_text())
    assert all(code["probability"] > values["threshold"] for code in codes)


def test_a_model_of_another_label_set_predicts_labels_alone(command, trained, note, recipe):
    save(trained, recipe, "full")
    codes = json.loads(command("predict", note, "--model", trained, "--format", "json", "--top", 60)[1])["codes"]
    assert len(codes) == len(LABELS) and not any("unseen" in code for code in codes)


def test_without_a_gain_on_dev_the_prediction_is_the_models(command, trained, note, recipe):
    scorer = open_corpus.fit(described=False, models=tuple(saved_model.digests(trained))).scorer
    folder.write(trained.parent / "open", scorer, {})
    for arguments in (("--top", 60), ("--threshold", 0.5), ()):
        printed = command("predict", note, "--model", trained, *arguments)
        save(trained, recipe, "full")
        assert printed == command("predict", note, "--model", trained, *arguments)
        save(trained, recipe, "open")


def test_mistakes_are_one_line(command, trained, note, tmp_path):
    arguments = ("predict", note, "--model", trained)
    code, _, err = command(*arguments, "--open", tmp_path / "none")
    message = f"error: {tmp_path / 'none'}: holds no scorer of unseen codes (no open.json)"
    assert code == 2 and err.startswith(message) and err.count("\n") == 1
    path = trained.parent / "open/open.json"
    values = json.loads(path.read_text())
    for changed, message in (
        (values | {"models": ["other"]}, "made for another model than this one; make it again (dvc repro)"),
        (values | {"format": 0}, "written in format 0, this version reads 1"),
        ({key: value for key, value in values.items() if key != "folds"}, "damaged ('folds')"),
        ([], "damaged ("),
    ):
        path.write_text(json.dumps(changed))
        code, _, err = command(*arguments)
        assert code == 2 and message in err and err.count("\n") == 1


def test_the_evidence_of_an_unseen_code_are_the_words_of_its_description(command, trained, note):
    out = command("predict", note, "--model", trained, "--format", "json", "--evidence")[1]
    unseen = next(code for code in json.loads(out)["codes"] if code["code"] == UNSEEN[0])
    title = TITLES[UNSEEN[0]].lower()
    assert unseen["spans"], "the note has all words of the title"
    for start, end, text, _ in unseen["spans"]:
        assert TEXT[start:end] == text and text in title
    assert sum(weight for *_, weight in unseen["spans"]) == pytest.approx(1, abs=1e-3)
    shown = command("predict", note, "--model", trained, "--evidence")[1]
    assert f"[[{unseen['spans'][0][2]}]]" in shown
