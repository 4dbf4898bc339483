"""Training on sentences: fragments with the codes of their spans, and documents by the best of their fragments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import sparse
from small_models import ROWS, SIZE, build, every_model, options
from trainers import run_alone, trainer

from medcode.config.recipes import RecipeAtOnce
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.dataset.fragments import with_fragments
from medcode.dataset.sentences import Sentences
from medcode.evaluation.monitor import dev_metrics
from medcode.inference.scoring import probabilities, score, score_split
from medcode.training import at_once, label_init, results, setup
from medcode.training.at_once import AtOnce
from medcode.training.checkpoint import Checkpoints
from medcode.training.trainer import Trainer

LABELS = 5


class Corpus:
    """Random documents of three to six sentences. A sentence with word y + 1 is a span of code y."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.folder, self.tokens, self.splits = folder, [], {}
        admissions, sentences, counts, spans = [], [], [], []
        for name, documents in (("train", 8), ("dev", 6)):
            gold, offsets = np.zeros((documents, LABELS), np.uint8), []
            for number in range(documents):
                start, admissions = len(self.tokens), [*admissions, f"{name}{number}"]
                counts.append(random.integers(3, 7))
                for _ in range(counts[-1]):
                    words = random.integers(1, ROWS - 1, random.integers(2, 9))
                    first = len(self.tokens) - start
                    self.tokens += words.tolist()
                    sentences.append((first, first + len(words)))
                    for label in {word - 1 for word in words.tolist() if word <= LABELS}:
                        gold[number, label] = 1
                        spans.append((admissions[-1], "icd9cm", str(label), first, first + len(words)))
                offsets.append((start, len(self.tokens)))
            targets = Targets(sparse.csr_matrix(gold), np.ones(documents, bool))
            self.splits[name] = Split(admissions[-documents:], np.array(offsets), {"icd": targets})
        columns = ("admission_id", "system", "code", "first", "behind")
        table = pa.table(dict(zip(columns, map(list, zip(*spans, strict=True)), strict=True)))
        found = Sentences(admissions, np.array(sentences), np.cumsum([0, *counts]), table)
        found.write(folder / "sentences")

    @property
    def documents(self) -> Inputs:
        counts = np.asarray(self.splits["train"].targets["icd"].matrix.sum(0)).ravel()
        vectors = np.random.default_rng(1).standard_normal((ROWS, SIZE)).astype(np.float32)
        vectors[0] = 0
        labels = [
            {"system": "icd9cm", "code": str(y), "description": "", "train_documents": int(counts[y])}
            for y in range(LABELS)
        ]
        words = [f"word{number}" for number in range(ROWS - 2)]
        return Inputs(np.array(self.tokens, np.int32), words, vectors, {"icd": labels}, "caml", self.splits)

    def fragments(self, max_tokens: int = 50) -> Inputs:
        return with_fragments(self.documents, self.folder / "sentences", max_tokens)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def on_sentences(recipe):
    return recipe.model_copy(update={"unit": "sentences"})


def test_sentences_are_overfitted_and_every_document_gets_its_codes(corpus, on_sentences, engine, tmp_path):
    data = corpus.fragments()
    long = on_sentences.model_copy(update={"epochs": 20, "restore": "last", "learning_rate": 0.05, "dropout": 0.0})
    running = trainer(data, long, engine, tmp_path)
    result = run_alone(running)
    assert running.state.global_step <= 200 and result.history[-1]["train_loss"] < 0.05
    whole = corpus.splits["train"]
    read = with_fragments(
        Inputs(**(vars(corpus.documents) | {"splits": {"again": whole}})), corpus.folder / "sentences", 50
    )
    predicted = probabilities(score_split(running.model, data.tokens, read.splits["again"], 50, 8)["icd"]) > 0.5
    np.testing.assert_array_equal(predicted, whole.targets["icd"].matrix.toarray())


@every_model
def test_every_model_with_one_head_trains_on_sentences(name, corpus, recipe, engine, tmp_path):
    if options(name).heads != ["icd"]:
        pytest.skip(f"{name} has the heads {', '.join(options(name).heads)}")
    data, model = corpus.fragments(), build(name, heads={"icd": LABELS})
    if model.config.fits_at_once:
        chosen = RecipeAtOnce(unit="sentences", max_tokens=50)
        training = AtOnce(model, data, chosen, engine, 1, Checkpoints(tmp_path))
        (result,) = at_once.train([training])
    else:
        chosen = recipe.model_copy(update={"unit": "sentences", "epochs": 1})
        result = run_alone(Trainer(model, data, chosen, engine, 1, Checkpoints(tmp_path)))
    # The best of the fragments of each document, one by one.
    dev, expected = data.splits["dev"], []
    for document in range(len(dev)):
        slices = dev.fragments.offsets[dev.fragments.documents == document]
        assert len(slices) >= 3
        expected.append(score(model, data.tokens, slices, 50, 1)["icd"].max(axis=0))
    logits = score_split(model, data.tokens, dev, 50, 4)["icd"]
    np.testing.assert_allclose(logits, np.stack(expected), rtol=1e-4, atol=1e-4)
    (row,) = result.history
    assert row["map"] == pytest.approx(dev_metrics(dev.targets["icd"].matrix, probabilities(logits), ["map"])["map"])


def test_log_odds_are_of_fragments(corpus, on_sentences):
    data = corpus.fragments()
    examples = data.splits["train"]
    model = build("caml", heads={"icd": LABELS})
    label_init.initialize(model, on_sentences.model_copy(update={"label_biases": "log_odds"}), data, {})
    share = (examples.targets["icd"].matrix.toarray().sum(0) + 0.5) / (len(examples) + 1)
    bias = model.attention["icd"].output.bias if hasattr(model.attention["icd"], "output") else model.output["icd"].bias
    np.testing.assert_allclose(torch.sigmoid(bias.detach()), share, rtol=1e-5)
    assert len(examples) > 3 * len(corpus.splits["train"])


def test_inputs_of_the_constructor_are_of_fragments(corpus, monkeypatch):
    monkeypatch.setattr(setup.arrays, "load", lambda *arguments, **options: corpus.documents)
    chosen = RecipeAtOnce(unit="sentences", max_tokens=3)
    paths = {"inputs": Path("nowhere"), "sentences": corpus.folder / "sentences"}
    data, inputs, _ = setup.read(options("linear"), chosen, paths)
    assert inputs.train_documents.lengths.max() == 3
    assert len(inputs.train_documents) == len(data.splits["train"]) > len(corpus.fragments().splits["train"])


def test_a_weight_of_spans_reads_whole_documents_with_their_spans(corpus, recipe, engine, tmp_path, monkeypatch):
    monkeypatch.setattr(setup.arrays, "load", lambda *arguments, **options: corpus.documents)
    supervised = recipe.model_copy(update={"span_weight": 0.5, "max_tokens": 12, "epochs": 1})
    paths = {"inputs": Path("nowhere"), "sentences": corpus.folder / "sentences"}
    data, _, _ = setup.read(options("caml"), supervised, paths)
    train = data.splits["train"]
    assert train.documents == corpus.splits["train"].documents and data.fragment_counts == {}
    rows = Sentences.read(corpus.folder / "sentences").spans.to_pylist()
    expected = {
        (train.documents.index(row["admission_id"]), int(row["code"]), row["first"], min(row["behind"], 12))
        for row in rows
        if row["admission_id"] in train.documents and row["first"] < 12
    }
    assert set(map(tuple, train.spans["icd"].tolist())) == expected and len(expected) < len(rows)
    result = run_alone(
        Trainer(build("caml", heads={"icd": LABELS}), data, supervised, engine, 1, Checkpoints(tmp_path))
    )
    assert 0 < result.history[0]["attention_in_spans"] < 1
    del paths["sentences"]  # which nothing else reads
    assert setup.read(options("caml"), recipe, paths)[0].splits["train"].spans == {}


def test_the_threshold_is_tuned_on_documents(corpus, monkeypatch):
    tuned = {}
    monkeypatch.setattr(results, "tune_threshold", lambda gold, p, grid: tuned.update(gold=gold, p=p) or 0.25)
    data, model = corpus.fragments(), build("caml", heads={"icd": LABELS})
    assert results.tune_thresholds(results.dev_probabilities(model, data, 50, "fp32"), data) == {"icd": 0.25}
    assert tuned["p"].shape == tuned["gold"].shape == (len(corpus.splits["dev"]), LABELS)
