"""A model that reads sentences one by one: the score of a document is the highest of its sentences'."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from medcode import models
from medcode.config import configure
from medcode.dataset.arrays import Fragments, Split, Targets
from medcode.inference import saved_model
from medcode.inference.predict import predict
from medcode.inference.scoring import raise_to, score_split
from medcode.models.inputs import ModelInputs
from medcode.text.sentences import sentence_spans

NOTE = "Fever and chills.\nNo cough. 12\nChills today, fever"


class Reader(torch.nn.Module):
    """Returns the first token of each row as its logit."""

    config = type("Config", (), {"masked": True})

    def __init__(self) -> None:
        super().__init__()
        self.heads = {"icd": 1}
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"icd": (tokens[:, :1].float() / 10 + self.weight)}


def test_a_document_has_the_highest_score_of_its_fragments():
    tokens = np.array([2, 9, 4, 1, 3], np.int32)
    targets = {"icd": Targets(sparse.csr_matrix((2, 1), dtype=np.uint8), np.ones(2, bool))}
    fragments = Fragments(np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]), np.array([0, 0, 0, 1, 1]))
    split = Split(["a", "b"], np.array([[0, 3], [3, 5]]), targets)
    for batch_size in (1, 2, 9):
        of_fragments = score_split(Reader(), tokens, replace(split, fragments=fragments), 7, batch_size)
        np.testing.assert_allclose(of_fragments["icd"], [[0.9], [0.3]], rtol=1e-6)
        whole = score_split(Reader(), tokens, split, 7, batch_size)
        np.testing.assert_allclose(whole["icd"], [[0.2], [0.1]], rtol=1e-6)


@pytest.mark.parametrize("documents", [[4, 0, 2], [1, 1, 0, 3, 1, 0], [2, 2, 2], []])
def test_scores_are_raised_as_numpy_does_it(documents):
    random = np.random.default_rng(len(documents))
    before = random.normal(size=(5, 3)).astype(np.float32)
    rows, values = np.array(documents, np.int64), random.normal(size=(len(documents), 3)).astype(np.float32)
    expected, scores = before.copy(), before.copy()
    np.maximum.at(expected, rows, values)
    raise_to(scores, rows, values)
    assert np.array_equal(scores, expected)


@pytest.fixture
def trained(recipe, tmp_path) -> saved_model.TrainedModel:
    torch.manual_seed(1)
    vocabulary = ["and", "chills", "cough", "fever", "no", "today"]
    config = configure("caml", {"filters": 4, "kernel": 2}, recipe)
    model = models.find("caml")(config, ModelInputs(heads={"icd": 3}, vocab_size=8, vectors=torch.randn(8, 5)))
    labels = [{"system": "icd9cm", "code": str(y), "description": "", "train_documents": 1} for y in range(3)]
    trained = saved_model.TrainedModel(
        "caml", model.eval(), vocabulary, {"icd": labels}, {"icd": 0.5}, 126, "caml", "full", unit="sentences"
    )
    saved_model.save(tmp_path / "model", trained, {"seed": 1})
    return saved_model.load(tmp_path / "model")


def by_code(prediction) -> dict[str, float]:
    return {code["code"]: code["probability"] for code in prediction.codes}


def test_a_note_is_predicted_by_the_best_of_its_sentences(trained):
    assert trained.unit == "sentences"
    whole = replace(trained, unit="documents")
    sentences = [NOTE[start:end] for start, end in sentence_spans(NOTE)]
    alone = [by_code(predict([whole], text, top=3)) for text in sentences if text != "12"]
    prediction = predict([trained], NOTE, top=3)
    assert by_code(prediction) == {code: max(of[code] for of in alone) for code in "012"}
    assert by_code(prediction) != by_code(predict([whole], NOTE, top=3))
    assert (prediction.words, prediction.words_read) == (8, 8)


def test_the_evidence_of_a_code_is_its_best_sentence(trained):
    whole = replace(trained, unit="documents")
    for code in predict([trained], NOTE, top=3).codes:
        evidence = NOTE[slice(*code["evidence"])]
        assert evidence in ("Fever and chills", "No cough", "Chills today, fever")
        assert by_code(predict([whole], evidence, top=3))[code["code"]] == code["probability"]
    assert "evidence" not in predict([whole], NOTE, top=1).codes[0]


def test_long_sentences_are_read_whole_in_parts(trained):
    short = replace(trained, max_tokens=2)
    parts = ["Fever and", "chills", "No cough", "Chills today", "fever"]
    alone = [by_code(predict([short], text, top=3)) for text in parts]
    prediction = predict([short], NOTE, top=3)
    assert by_code(prediction) == {code: max(of[code] for of in alone) for code in "012"}
    assert prediction.words_read == 8
    assert predict([replace(short, unit="documents")], NOTE, top=3).words_read == 2


def test_models_on_documents_do_not_say_so_in_their_folder(trained, tmp_path):
    saved_model.save(tmp_path / "whole", replace(trained, unit="documents"), {"seed": 1})
    assert '"unit"' not in (tmp_path / "whole/model.json").read_text()
    assert saved_model.load(tmp_path / "whole").unit == "documents"


def test_several_models_have_the_mean_of_their_best_sentences(trained):
    alone = predict([trained], NOTE, top=3)
    together = predict([trained, trained], NOTE, top=3)
    assert together.codes == alone.codes and together.seeds == 2
