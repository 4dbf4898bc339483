"""A tiny corpus in which three words in a row make a label, with their places as spans, and models that learned it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from scipy import sparse
from small_models import ROWS, build
from torch import nn

from medcode import io
from medcode.dataset import arrays
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.dataset.sentences import Sentences
from medcode.inference.saved_model import TrainedModel

WORDS = [f"w{'abcdefghij'[n // 10]}{'abcdefghij'[n % 10]}" for n in range(ROWS - 2)]
HEADS = {"icd": 4}
PLANTED = {0: [1, 2, 3], 1: [4, 5, 6], 2: [7, 8, 9], 3: [10, 11, 12]}  # the words of each label
SENTENCES, LENGTH = 6, 5  # of a document, and their words


@dataclass(frozen=True)
class Documents:
    """Documents of random words, with the words of their labels at the beginning of sentences of their own.

    Attributes:
        tokens: ids [n, 30].
        gold: 0 or 1 [n, 4].
        spans: document, label, first and last + 1 of its words, of every gold label, [K, 4].
    """

    tokens: np.ndarray
    gold: np.ndarray
    spans: np.ndarray


def documents(random: np.random.Generator, n: int) -> Documents:
    gold = (random.random((n, len(PLANTED))) < 0.4).astype(np.uint8)
    tokens, spans = random.integers(13, ROWS - 1, (n, SENTENCES * LENGTH)), []
    for number, labels in enumerate(gold):
        for label, place in zip(np.flatnonzero(labels), LENGTH * random.permutation(SENTENCES), strict=False):
            tokens[number, place : place + 3] = PLANTED[label]
            spans.append((number, label, place, place + 3))
    return Documents(tokens, gold, np.array(spans))


def trained_on_planted_words(name: str, seed: int = 0, heads: dict[str, int] = HEADS) -> nn.Module:
    """Return a small model that has learned the labels. With several heads each has the same labels."""
    model, random = build(name, seed, heads, dropout=0.0, embedding="trained"), np.random.default_rng(seed)
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.train().parameters(), lr=0.01)
    for _ in range(120):
        batch = documents(random, 16)
        gold, lengths = torch.from_numpy(batch.gold).float(), torch.full((16,), SENTENCES * LENGTH)
        logits = model(torch.from_numpy(batch.tokens), lengths)
        optimizer.zero_grad()
        sum(nn.functional.binary_cross_entropy_with_logits(of_head, gold) for of_head in logits.values()).backward()
        optimizer.step()
    return model.eval()


def records(labels: int, system: str = "icd9cm") -> list[dict]:
    return [{"system": system, "code": str(y), "description": "", "train_documents": 1} for y in range(labels)]


def wrapped(model: nn.Module, name: str, **changes) -> TrainedModel:
    labels = {head: records(number) for head, number in model.heads.items()}
    trained = TrainedModel(name, model, WORDS, labels, dict.fromkeys(model.heads, 0.5), 100, "caml", "top50")
    return replace(trained, **changes)


def write_corpus(folder: Path, heads: dict[str, str] | None = None, dev: int = 12, test: int = 14) -> Inputs:
    """Write data/inputs of dev and test, and data/sentences, and return the inputs.

    Args:
        folder: that holds both.
        heads: the coding system of each head, whose labels are the same four; by default of one head.
        dev, test: numbers of documents.
    """
    heads, splits, parts, rows, start = heads or {"icd": "icd9cm"}, {}, [], [], 0
    for name, n in (("dev", dev), ("test", test)):
        of_split = documents(np.random.default_rng(n), n)
        starts = start + SENTENCES * LENGTH * np.arange(n)
        start += of_split.tokens.size
        targets = Targets(sparse.csr_matrix(of_split.gold), np.ones(n, bool))
        names = [f"{name}{number}" for number in range(n)]
        splits[name] = Split(names, np.stack([starts, starts + SENTENCES * LENGTH], 1), dict.fromkeys(heads, targets))
        parts.append(of_split.tokens.ravel())
        rows += [
            (names[document], system, str(label), first, behind)
            for document, label, first, behind in of_split.spans.tolist()
            for system in heads.values()
        ]
    labels = {head: records(len(PLANTED), system) for head, system in heads.items()}
    data = Inputs(
        np.concatenate(parts).astype(np.int32), WORDS, np.zeros((ROWS, 8), np.float32), labels, "caml", splits,
        descriptions={head: np.ones((len(PLANTED), 1), np.int32) for head in heads},
        linked={head: np.zeros(len(PLANTED), bool) for head in heads},
    )  # fmt: skip
    arrays.write(folder / "inputs", data)
    ends = LENGTH * np.arange(1, SENTENCES + 1)
    admissions = [admission for split in splits.values() for admission in split.documents]
    sentences = np.tile(np.stack([ends - LENGTH, ends], 1), (len(admissions), 1))
    table = pa.table(
        dict(zip(("admission_id", "system", "code", "first", "behind"), zip(*rows, strict=True), strict=True))
    )
    offsets = SENTENCES * np.arange(len(admissions) + 1)
    Sentences(admissions, sentences, offsets, table).write(folder / "sentences")
    io.write_empty(folder / "subword", "no subwords")
    return data
