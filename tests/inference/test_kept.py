"""Models with names: copied whole, with a card, found by name or by path."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import medcode
from medcode import __main__, models
from medcode.config import configure
from medcode.corpora import licenses
from medcode.errors import UserError
from medcode.inference import card, kept, saved_model
from medcode.io import write_empty, write_json
from medcode.models.inputs import ModelInputs

MEASURED = {
    "tuned": {"f1": {"micro": 0.8765}, "macro_f1": {"caml": 0.7654}},
    "ranking": {"map": 0.6543},
    "counts": {"labels": 3},
}
TRAINED = {
    "model": "cnn", "recipe": "quick", "corpus": "mimic3", "label_set": "full", "parameters": {"total": 1234567},
}  # fmt: skip
MEASURES = [kept.CURRENT / f"metrics/{name}.json" for name in ("train", "test", "baseline")]
OPEN = kept.CURRENT / "open"


@pytest.fixture
def workspace(recipe, tmp_path, monkeypatch) -> Path:
    """A folder with a published model."""
    monkeypatch.chdir(tmp_path)
    config = configure("cnn", {"filters": 4, "kernel": 2}, recipe)
    network = models.find("cnn")(config, ModelInputs(heads={"icd": 3}, vocab_size=6, vectors=torch.randn(6, 5)))
    labels = [{"system": "icd9cm", "code": str(y), "description": "", "train_documents": 1} for y in range(3)]
    trained = saved_model.TrainedModel("cnn", network, list("abcd"), {"icd": labels}, {"icd": 0.3}, 7, "caml", "full")
    saved_model.save(kept.CURRENT, trained, {"seed": 1, "corpus": "mimic3", "recipe": "quick"})
    for path, measured in zip(MEASURES, (TRAINED, {"icd": MEASURED}, {}), strict=True):
        write_json(path, measured)
    return tmp_path


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = __main__.main(list(arguments))
    return code, *capsys.readouterr()


def test_a_kept_model_is_a_copy_with_a_card(workspace, capsys):
    assert run(capsys, "keep", "first") == (0, "models/kept/first\n", "")
    again = saved_model.load(kept.find("first"))
    assert saved_model.digests(kept.ROOT / "first") == saved_model.digests(kept.CURRENT) and again.thresholds == {
        "icd": 0.3
    }
    text = (workspace / "models/kept/first/README.md").read_text()
    assert (
        "`cnn` with the recipe `quick`, trained on `mimic3` with the label set `full`, 1 seed, 1,234,567 parameters"
        in text
    )
    assert "| icd | 3 | 0.876 | 0.765 | 0.654 |  |" in text
    assert "not a medical device" in text and "MIMIC's agreement" in text
    shutil.rmtree(kept.CURRENT)
    assert saved_model.load(kept.find("first")).name == "cnn", "it needs nothing else"


def test_the_card_says_what_a_probability_is_worth():
    texts = []
    for error in (None, 0.0123):
        calibrated = {"scores": {"calibration": {"after": {"ece_considered": error}}}}
        texts.append(card.card("first", TRAINED, {"icd": MEASURED | calibrated}, {}, 1))
    assert card.UNCALIBRATED in texts[0] and card.UNCALIBRATED in card.card("first", TRAINED, {"icd": MEASURED}, {}, 1)
    assert card.UNCALIBRATED not in texts[1] and "(expected calibration error), icd: 0.012." in texts[1]


def test_kept_models_are_listed(workspace, capsys):
    assert "no model is kept yet" in run(capsys, "keep")[1]
    for name in ("b", "a.2"):
        run(capsys, "keep", name)
    assert run(capsys, "keep")[1].splitlines() == ["a.2  cnn  full  mimic3", "b  cnn  full  mimic3"]
    assert run(capsys, "models", "--kept") == run(capsys, "keep")


def test_where_no_model_is_published_the_kept_ones_are_named(workspace, capsys):
    run(capsys, "keep", "first")
    kept.CURRENT.rename("away")
    with pytest.raises(UserError, match=r"models/current: has no model; dvc repro .* takes a kept one: first"):
        kept.find("models/current")
    assert kept.find("first") == kept.ROOT / "first"


def test_all_seeds_and_the_scorer_of_unseen_codes_are_kept(workspace):
    shutil.copytree(kept.CURRENT, saved_model.of_seed(kept.CURRENT, 2), ignore=shutil.ignore_patterns("seeds"))
    saved_model.save_ensemble(kept.CURRENT, {"icd": 0.4})
    write_json(OPEN / "open.json", {"models": saved_model.digests(kept.CURRENT)})
    folder = kept.keep("both")
    assert len(list(saved_model.load_all(folder))) == 2 and (folder / "open/open.json").exists()
    assert "2 seeds" in (folder / kept.CARD).read_text()
    write_json(OPEN / "open.json", {"models": ["another"]})
    with pytest.raises(UserError, match="models/current/open: made for another model"):
        kept.keep("other")


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "-a", "a" * 65, "a b", "ä"])
def test_a_name_that_is_none_is_refused(workspace, name):
    with pytest.raises(UserError, match="NAME: small letters, digits, points, dashes and underscores"):
        kept.keep(name)
    assert not kept.ROOT.exists()


def test_mistakes_are_one_line_and_leave_nothing(workspace, capsys):
    run(capsys, "keep", "first")
    assert "models/kept/first: exists; choose another name" in run(capsys, "keep", "first")[2]
    write_json(MEASURES[0], TRAINED | {"model": "caml"})
    code, _, said = run(capsys, "keep", "second")
    assert code == 2 and "train.json: of another model (caml, full, mimic3, quick) than models/current (cnn," in said
    weights = kept.CURRENT / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    code, _, said = run(capsys, "keep", "second")
    assert code == 2 and "models/current/weights.safetensors: damaged" in said and said.count("\n") == 1
    assert kept.names() == ["first"] and sorted(path.name for path in kept.ROOT.iterdir()) == ["first"]


def test_a_model_is_found_by_path_or_by_name(workspace):
    kept.keep("first")
    assert kept.find("models/current") == Path("models/current")
    assert kept.find("first") == kept.ROOT / "first"
    with pytest.raises(UserError, match="neither a folder nor a kept model frist; did you mean 'first'"):
        kept.find("frist")


def test_predict_takes_the_name_of_a_kept_model(workspace, capsys):
    kept.keep("first")
    shutil.rmtree(kept.CURRENT)
    Path("note.txt").write_text("a b c d")
    code, printed, said = run(capsys, "predict", "note.txt", "--model", "first", "--top", "2")
    assert (code, said, printed.count("icd9cm")) == (0, "", 2)
    assert len(medcode.load("first").predict(["a b"], top=1)[0].codes) == 1
    assert "neither a folder nor a kept model second" in run(capsys, "predict", "note.txt", "--model", "second")[2]


def test_what_belongs_to_a_model_is_in_its_folder_or_beside_one_just_trained(workspace):
    assert kept.open_folder(Path("models/trained")) == Path("models/open")
    assert kept.calibration_folder(Path("models/trained")) == Path("models/calibration")
    for folder in (OPEN, kept.CURRENT / "calibration", Path("models/open"), Path("models/calibration")):
        write_empty(folder, "nothing to do")
    assert kept.open_folder(kept.CURRENT) == OPEN, "what is beside it may be of another model"
    assert kept.calibration_folder(kept.CURRENT) == kept.CURRENT / "calibration"


def test_only_models_of_open_corpora_are_open():
    root = Path(__file__).resolve().parents[2]
    corpora = {path.stem for path in (root / "src/medcode/config/corpora").glob("[a-z]*.py")}
    assert {name for name in licenses.OPEN_CORPORA if not name.startswith("synthetic-")} <= corpora
    for corpus in ("mimic3", "mimic4", "jsonl", "table", "fhir"):
        assert "restricted" in card.restriction(corpus)
    assert "open (CC BY 4.0)" in card.restriction("codiesp")


def test_a_baseline_stands_beside_the_model():
    text = card.card("x", TRAINED, {"icd": MEASURED}, {"icd": json.loads(json.dumps(MEASURED))}, 3)
    assert "| icd | 3 | 0.876 | 0.765 | 0.654 | 0.876 |" in text and "3 seeds" in text
