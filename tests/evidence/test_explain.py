"""Evidence of codes in notes: a planted sentence, sentences as units, means of several models, odd characters."""

from __future__ import annotations

import numpy as np
import plain_encoder
import pytest
import torch
from planted_words import HEADS, PLANTED, WORDS, trained_on_planted_words, wrapped
from scipy import sparse
from small_models import ROWS, build, options

from medcode.dataset.arrays import Targets
from medcode.encoders.subwords import SubwordTokenizer
from medcode.engine.device_data import DeviceNotes
from medcode.evidence.attributions import methods_of
from medcode.evidence.explain import explain, explain_mean
from medcode.evidence.of_codes import add_spans
from medcode.evidence.spans import best_spans
from medcode.inference.predict import predict
from medcode.models.inputs import ModelInputs
from medcode.models.linear import Linear


def note_with(label: int) -> tuple[str, str]:
    """Return a note of five sentences, one of which is the label's, and that sentence."""
    random = np.random.default_rng(label)
    sentences = [" ".join(WORDS[n - 1] for n in random.integers(13, ROWS - 1, 5)).capitalize() for _ in range(4)]
    planted = " ".join(WORDS[n - 1] for n in PLANTED[label]).capitalize()
    sentences.insert(2, planted)
    return ". ".join(sentences) + ".", planted


@pytest.mark.parametrize("name", ["caml", "laat", "cnn", "multirescnn"])
def test_the_planted_sentence_of_a_code_is_its_best_evidence(name):
    trained = wrapped(trained_on_planted_words(name), name)
    for label in PLANTED:
        text, planted = note_with(label)
        assert predict([trained], text, top=1).codes[0]["code"] == str(label)
        place = text.index(planted)
        # Attention and the size of a gradient do not say for or against the code: these methods may point elsewhere.
        for method in set(methods_of(trained.model)) - {"label_attention", "attention_x_gradient"}:
            found = explain(trained, text, {"icd": np.array([label])}, method)
            start, end = found.offsets[found.weights["icd"][0].argmax()]
            assert place <= start and end <= place + len(planted), method
        codes = predict([trained], text, top=1).codes
        add_spans([trained], text, codes)
        start, end, words, _ = codes[0]["spans"][0]
        assert text[start:end] == words and words in planted


def test_the_planted_words_of_a_linear_model_are_its_evidence():
    random, gold, notes = np.random.default_rng(1), np.zeros((60, 4), np.uint8), []
    for row in range(60):
        gold[row] = random.random(4) < 0.5
        words = [PLANTED[label] for label in np.flatnonzero(gold[row])]
        notes.append(np.concatenate([*words, random.integers(13, ROWS - 1, 20)]).astype(np.int32))
    ends = np.cumsum([len(note) for note in notes])
    places = np.stack([ends - [len(note) for note in notes], ends], 1)
    documents = DeviceNotes(np.concatenate(notes), places, 100, torch.device("cpu"))
    config = options("linear", min_documents=2)
    model = Linear(config, ModelInputs(heads=HEADS, vocab_size=ROWS, train_documents=documents)).eval()
    model.fit(documents, {"icd": Targets(sparse.csr_matrix(gold), np.ones(60, bool))})
    for label in PLANTED:
        text, planted = note_with(label)
        codes = predict([wrapped(model, "linear")], text, top=4).codes
        assert add_spans([wrapped(model, "linear")], text, codes) == "exact"
        (code,) = (code for code in codes if code["code"] == str(label))
        assert code["spans"][0][2] in planted


def test_the_evidence_of_a_model_on_sentences_lies_in_the_best_sentence():
    trained = wrapped(build("caml", heads=HEADS), "caml", unit="sentences")
    text, _ = note_with(1)
    codes = predict([trained], text, top=4).codes
    add_spans([trained], text, codes)
    found = explain(trained, text, {"icd": np.arange(4)}, "label_attention")
    for code in codes:
        start, end = code["evidence"]
        assert all(start <= span[0] and span[1] <= end for span in code["spans"])
        inside = (found.offsets[:, 0] >= start) & (found.offsets[:, 1] <= end)
        weights = found.weights["icd"][int(code["code"])]
        assert (weights[~inside] == 0).all() and weights[inside].sum() > 0.5


def test_tokens_that_are_not_read_have_no_weight():
    trained = wrapped(build("caml", heads=HEADS), "caml", max_tokens=6)
    found = explain(trained, note_with(0)[0], {"icd": np.arange(4)})
    assert (found.weights["icd"][:, 6:] == 0).all() and (found.weights["icd"][:, :6] != 0).all()
    assert found.weights["icd"].shape == (4, len(found.offsets)) == (4, 23)


def test_the_evidence_of_several_models_is_the_mean_of_their_scaled_weights():
    first, second = (wrapped(build("caml", seed=seed, heads=HEADS), "caml") for seed in (0, 1))
    text, labels = note_with(2)[0], {"icd": np.array([3, 1])}
    mean = explain_mean([first, second], text, labels, "gradient_x_input").weights["icd"]
    parts = [explain(trained, text, labels, "gradient_x_input").weights["icd"] for trained in (first, second)]
    expected = sum(part / np.abs(part).sum(1, keepdims=True) for part in parts) / 2
    np.testing.assert_allclose(mean, expected, rtol=1e-6)
    codes = predict([first, second], text, top=2).codes
    add_spans(iter([first, second]), text, codes)
    assert all("spans" in code for code in codes)


@pytest.mark.parametrize("name", ["bert_trun", "bert_hier", "plm_icd"])
@pytest.mark.parametrize("read", ["raw", "words"])
def test_evidence_of_subwords_has_the_offsets_of_a_note_with_odd_characters(name, read):
    model = build(name)
    tokenizer = SubwordTokenizer(plain_encoder.tokenizer([f"word{n}" for n in range(ROWS - 2)]), read)
    trained = wrapped(model, name, vocabulary=[], tokenizer=tokenizer, rule="caml")
    text = "\ufeffWord3 \U0001f600 word1,\r\nİstanbul e\u0301tat\u00a0word2\x1b[2J " * 4
    head = next(iter(model.heads))
    found = explain(trained, text, {head: np.array([0, 2])})
    assert found.weights[head].shape == (2, len(found.offsets))
    for weights in found.weights[head]:
        assert np.abs(weights).sum() > 0
        for span in best_spans(text, found.offsets, weights):
            assert text[span.start : span.end] == span.text
