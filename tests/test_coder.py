"""The library: `medcode.load(folder)` and `Coder.predict`, from several threads too."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import note_models
import open_corpus
import pytest
import torch
from open_corpus import TITLES
from small_models import every_model

import medcode
from medcode import models
from medcode.coder import Coder
from medcode.config import configure
from medcode.errors import UserError
from medcode.evidence import of_codes
from medcode.evidence.label_subset import only_labels
from medcode.inference import saved_model
from medcode.inference.predict import Prediction, UnreadableNote, predict
from medcode.models.inputs import ModelInputs
from medcode.open_codes import folder

TEXTS = [note_models.note(number) for number in range(20)]


@pytest.fixture
def coder(recipe, tmp_path) -> Coder:
    return medcode.load(note_models.saved(tmp_path / "model", recipe))


def test_importing_the_package_loads_no_heavy_library():
    heavy = "torch numpy pandas scipy pyarrow pydantic medcode.coder"
    program = f"import medcode, sys; sys.exit(' '.join(set('{heavy}'.split()) & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_predictions_are_typed_and_in_the_order_of_the_notes(coder):
    predictions = coder.predict(TEXTS, top=2)
    assert all(isinstance(prediction, Prediction) for prediction in predictions)
    for text, prediction in zip(TEXTS, predictions, strict=True):
        (alone,) = coder.predict([text], top=2)
        assert [code["code"] for code in prediction.codes] == [code["code"] for code in alone.codes]
        assert prediction.words == alone.words and prediction.evidence_method is None
        for code, other in zip(prediction.codes, alone.codes, strict=True):
            assert code["probability"] == pytest.approx(other["probability"], abs=1e-6) and "spans" not in code
    assert coder.predict([]) == []


@every_model
@pytest.mark.parametrize("unit", ["documents", "sentences"])
def test_one_note_is_predicted_to_the_bit_as_by_predict(name, unit):
    coder, (text,) = Coder([note_models.any_model(name, unit=unit)]), note_models.sentences(1)
    assert coder.predict([text], top=5) == [predict(coder.models, text, top=5)]


def test_evidence_is_that_of_each_note_alone(coder):
    method = "gradient_x_input"
    for text, prediction in zip(TEXTS, coder.predict(TEXTS, evidence=True, top=3, method=method), strict=True):
        codes = predict(coder.models, text, top=3).codes
        of_codes.add_spans(coder.models, text, codes, method)
        spans = {code["code"]: code["spans"] for code in codes}
        assert {code["code"]: code["spans"] for code in prediction.codes} == spans
        assert prediction.evidence_method == method and prediction.as_dict()["evidence_method"] == method
        assert all(text[start:end] == words for found in spans.values() for start, end, words, _ in found)


def test_threads_get_the_results_of_one(coder):
    """Evidence takes labels out of the model while it is found; no other thread may see that."""
    expected = coder.predict(TEXTS, top=3), coder.predict(TEXTS[:6], evidence=True, top=2)

    def work(number: int) -> list[Prediction]:
        return coder.predict(TEXTS[:6], evidence=True, top=2) if number % 3 == 0 else coder.predict(TEXTS, top=3)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(48)))
    for number, result in enumerate(results):
        assert result == expected[1 if number % 3 == 0 else 0]


@every_model
def test_threads_may_share_every_model(name):
    coder, texts = Coder([note_models.any_model(name)]), note_models.sentences(6, 30)
    expected = coder.predict(texts, top=3), coder.predict(texts[:2], evidence=True, top=2)
    with ThreadPoolExecutor(4) as pool:
        works = [pool.submit(coder.predict, texts, top=3) for _ in range(4)]
        explained = [pool.submit(coder.predict, texts[:2], evidence=True, top=2) for _ in range(2)]
        works += [pool.submit(coder.predict, texts, top=3) for _ in range(4)]
    assert all(work.result() == expected[0] for work in works)
    assert all(work.result() == expected[1] for work in explained)


def test_evidence_changes_the_model_while_it_is_found(coder):
    """If this fails, evidence leaves the model as it is, and the lock is no longer needed."""
    network, before = coder.models[0].model, predict(coder.models, TEXTS[0], top=5)
    with only_labels(network, "icd", torch.tensor([0])):
        assert predict(coder.models, TEXTS[0], top=5) != before
    assert predict(coder.models, TEXTS[0], top=5) == before


def test_an_unreadable_note_is_named_or_returned(coder):
    texts = [*TEXTS[:2], "12 34", TEXTS[3]]
    with pytest.raises(UnreadableNote, match=r"texts\[2\]: no words to read"):
        coder.predict(texts)
    with pytest.raises(UnreadableNote, match=r"^no words to read"):
        coder.predict(["12"])
    results = coder.try_predict(texts, evidence=True)
    assert [isinstance(result, UnreadableNote) for result in results] == [False, False, True, False]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": "fever"}, TypeError, "texts: a list of notes, found one string"),
        ({"texts": ["fever", None]}, TypeError, r"texts\[1\]: a string, found NoneType"),
        ({"top": 0}, UserError, "top: at least 1, found 0"),
        ({"threshold": 1.5}, UserError, "threshold: a probability from 0 to 1, found 1.5"),
        ({"batch_tokens": 0}, UserError, "batch_tokens: at least 1, found 0"),
        ({"method": "exact"}, UserError, "method: says how evidence is found; add evidence=True"),
        ({"method": "exact", "evidence": True}, UserError, "method: exact does not work for this model"),
    ],
)
def test_invalid_arguments_are_refused(coder, arguments, error, message):
    with pytest.raises(error, match=message):
        coder.predict(**{"texts": TEXTS} | arguments)


def test_all_seeds_are_read(recipe, tmp_path):
    first = note_models.saved(tmp_path / "model", recipe)
    note_models.saved(saved_model.of_seed(first, 2), recipe, seed=2)
    with pytest.raises(UserError, match="holds the models of several seeds, but no ensemble"):
        medcode.load(first)
    saved_model.save_ensemble(first, {"icd": 0.3})
    (prediction,) = medcode.load(str(first)).predict(["fever and chills"])
    assert prediction.seeds == 2 and prediction.thresholds == {"icd": 0.3}


@pytest.fixture
def current(recipe, tmp_path):
    """Folder of a model of the label set open, with a scorer next to it."""
    config = configure("caml", {"filters": 4, "kernel": 2}, recipe)
    torch.manual_seed(0)
    inputs = ModelInputs(heads={"icd": len(open_corpus.LABELS)}, vocab_size=5, vectors=torch.randn(5, 5))
    network = models.find("caml")(config, inputs)
    labels, words = {"icd": open_corpus.LABELS}, ["burn", "fever", "liver"]
    trained = saved_model.TrainedModel("caml", network, words, labels, {"icd": 0.9}, 50, "caml", "open")
    saved_model.save(tmp_path / "current", trained, {"seed": 1})
    scorer = open_corpus.fit(models=tuple(saved_model.digests(tmp_path / "current"))).scorer
    folder.write(tmp_path / "open", scorer, {})
    return tmp_path / "current"


def test_codes_that_training_never_saw_are_added_to_many_notes_as_to_one(current):
    coder, texts = medcode.load(current), [f"No fever. There was {title.lower()}." for title in TITLES.values()]
    several = coder.predict(texts[:20], evidence=True)
    assert sum(bool(code.get("unseen")) for prediction in several for code in prediction.codes) > 5
    for text, prediction in zip(texts, several, strict=False):
        (alone,) = coder.predict([text], evidence=True)
        names = [[(code["code"], code.get("unseen"), code["spans"]) for code in p.codes] for p in (prediction, alone)]
        assert sorted(names[0]) == sorted(names[1])


def test_the_folder_of_unseen_codes_can_be_named(current, recipe, tmp_path):
    other = note_models.saved(tmp_path / "other", recipe)
    with pytest.raises(UserError, match="made for another model"):
        medcode.load(other, tmp_path / "open")
    (tmp_path / "open").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="holds no scorer of unseen codes"):
        medcode.load(current)
    assert medcode.load(current, tmp_path / "elsewhere").predict(["fever"])


def test_a_missing_folder_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"holds no trained model \(no model\.json\)"):
        medcode.load(tmp_path)
