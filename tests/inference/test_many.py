"""Many notes have the predictions of each alone, whatever the model, the batch and the order."""

from __future__ import annotations

import itertools
from dataclasses import replace

import note_models
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import build, every_model

from medcode.inference import many
from medcode.inference.many import BatchPredictor, NoteTokenizer, batches
from medcode.inference.predict import Prediction, UnreadableNote, predict, token_ids
from medcode.inference.saved_model import TrainedModel
from medcode.text.tokenization import RULES


def assert_same(several: list[Prediction | UnreadableNote], alone: list[Prediction]) -> None:
    """Compare up to rounding: codes with the same probability may change places."""
    for one, other in zip(several, alone, strict=True):
        assert isinstance(one, Prediction)
        found, expected = ({(c["head"], c["code"]): c for c in prediction.codes} for prediction in (one, other))
        assert found.keys() == expected.keys()
        for key, code in expected.items():
            assert found[key]["probability"] == pytest.approx(code["probability"], abs=1e-6)
        order = [expected[code["head"], code["code"]] for code in one.codes]
        for code, following in itertools.pairwise(order):
            assert code["head"] != following["head"] or code["probability"] > following["probability"] - 1e-6
        assert replace(one, codes=[]) == replace(other, codes=[])


@every_model
@pytest.mark.parametrize("batch_tokens", [1, 200, 8192])
def test_many_notes_are_predicted_as_each_alone(name, batch_tokens):
    trained, texts = note_models.any_model(name), note_models.sentences(12)
    assert_same(
        BatchPredictor([trained])(texts, top=10, batch_tokens=batch_tokens),
        [predict([trained], text, top=10) for text in texts],
    )


@pytest.mark.parametrize("name", ["caml", "laat", "plm_icd"])
def test_models_on_sentences_and_several_seeds_too(name):
    one = note_models.any_model(name, unit="sentences", max_tokens=9)
    other = replace(one, model=build(name, seed=1))
    texts = note_models.sentences(11)
    assert_same(BatchPredictor([one, other])(texts, top=10), [predict([one, other], text, top=10) for text in texts])
    for found, expected in zip(BatchPredictor([one])(texts), (predict([one], text) for text in texts), strict=True):
        assert [code["evidence"] for code in found.codes] == [code["evidence"] for code in expected.codes]


def test_thresholds_decide_as_alone(recipe):
    trained = note_models.trained(recipe)
    texts = [note_models.note(number) for number in range(30)]
    for threshold in (None, 0.2, 0.9):
        several = BatchPredictor([trained])(texts, threshold)
        alone = [predict([trained], text, threshold) for text in texts]
        assert [len(p.codes) for p in several] == [len(p.codes) for p in alone]
        assert {p.thresholds["icd"] for p in several} == {0.5 if threshold is None else threshold}
    assert len({len(p.codes) for p in BatchPredictor([trained])(texts)}) > 1


@pytest.mark.parametrize("unit", ["documents", "sentences"])
def test_unreadable_notes_keep_their_places_among_the_others(recipe, unit):
    trained = note_models.trained(recipe, unit=unit)
    texts = ["", "fever", "f\0e\0v\0e\0r\0", "12 3", "chills", "cough \udcff"]
    results = BatchPredictor([trained])(texts)
    assert [isinstance(result, Prediction) for result in results] == [False, True, False, False, True, False]
    messages = [str(result) for result in results if isinstance(result, UnreadableNote)]
    assert messages[0].startswith("no words to read") and messages[2] == messages[0]
    assert messages[1].startswith("holds NUL characters, as UTF-16 does")
    assert messages[3] == "not valid Unicode text (character 7)"
    assert BatchPredictor([trained])(["", "1"])[1].args and BatchPredictor([trained])([]) == []


def test_more_notes_than_are_held_at_once(recipe, monkeypatch):
    monkeypatch.setattr(many, "NOTES_AT_ONCE", {"documents": 3})
    trained, texts = note_models.trained(recipe), [note_models.note(number) for number in range(10)]
    assert_same(BatchPredictor([trained])(texts, top=5), [predict([trained], text, top=5) for text in texts])


@pytest.mark.parametrize("rule", sorted(RULES))
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("aeF1_ \n"), max_size=60)))
def test_tokens_are_those_of_a_note_alone(rule, texts):
    trained = TrainedModel("caml", None, ["a", "ae", "f1"], {}, {}, 9, rule, "top50")
    texts = [*texts, "A ae f1 AE 12 İ ﬁ"]
    for ids, text in zip(NoteTokenizer(trained)(texts), texts, strict=True):
        assert np.array_equal(ids, token_ids(trained, text)[0]) and ids.dtype == np.int32


def test_the_memory_of_spellings_is_limited(monkeypatch):
    monkeypatch.setattr(many, "SPELLINGS", 4)
    tokenizer = NoteTokenizer(TrainedModel("caml", None, ["a", "b"], {}, {}, 9, "caml", "top50"))
    for _ in range(3):
        assert [ids.tolist() for ids in tokenizer(["a b c d e", "b A"])] == [[1, 2, 3, 3, 3], [2, 1]]
        assert len(tokenizer._rows) == 6
    tokenizer(["x"])
    assert len(tokenizer._rows) == 1


def test_batches_are_of_similar_length_and_keep_to_the_limit():
    lengths = np.random.default_rng(0).integers(0, 100, 200)
    parts = list(batches(lengths, 300))
    assert sorted(np.concatenate(parts)) == list(range(200))
    assert all(len(part) == 1 or len(part) * lengths[part].max() <= 300 for part in parts)
    assert max(len(part) for part in parts) > 10
    assert all(lengths[one].min() >= lengths[other].max() for one, other in itertools.pairwise(parts))
    assert [part.tolist() for part in batches(np.array([7, 9]), 1)] == [[1], [0]]


def test_a_note_of_unusual_length_is_shorter_or_longer_than_every_note_of_dev():
    trained = note_models.any_model("caml")
    assert not predict([trained], "word1").is_unusual_length  # a folder that says nothing of lengths
    trained = replace(trained, dev_lengths=(3, 5))
    found = [predict([trained], "word1 " * words).is_unusual_length for words in (2, 3, 5, 6)]
    assert found == [True, False, False, True]
    assert "dev_lengths" not in predict([trained], "word1").as_dict()


def test_a_note_is_called_unknown_only_if_it_has_enough_words():
    trained = note_models.any_model("caml")
    known, unknown = "word1 " * 11, "strange " * 12
    assert predict([trained], known + unknown).mostly_unknown
    assert not predict([trained], known + known).mostly_unknown
    assert not predict([trained], "word1 " + "strange " * 5).mostly_unknown
    assert [result.mostly_unknown for result in BatchPredictor([trained])([known + unknown, known])] == [True, False]
