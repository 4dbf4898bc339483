"""Spans of gold labels in tokens, as training reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from medcode import io
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.dataset.sentences import Sentences
from medcode.dataset.spans import with_spans
from medcode.errors import UserError

LABELS = [{"system": "icd10cm", "code": code, "description": "", "train_documents": 1} for code in ("I10", "E11.9")]
CATEGORIES = [{"system": "icd10cm", "code": "I10", "description": "", "train_documents": 1}]
# Documents a, b and c of 4, 6 and 3 tokens; b has no code, and c is in dev.
ADMISSIONS, LENGTHS = ["a", "b", "c"], [4, 6, 3]


def write(folder: Path, spans: list[tuple[str, str, int, int]], lengths: list[int] = LENGTHS) -> Path:
    """Write data/sentences with one sentence a document and spans of admission, code, first and behind."""
    columns = dict(zip(("admission_id", "code", "first", "behind"), map(list, zip(*spans, strict=True)), strict=True))
    table = pa.table({"system": ["icd10cm"] * len(spans)} | columns)
    Sentences(ADMISSIONS, np.array([(0, length) for length in lengths]), np.arange(4), table).write(
        folder / "sentences"
    )
    return folder / "sentences"


def inputs(gold: list[list[int]] = ((1, 1), (0, 0))) -> Inputs:
    """Return a training split of b and a, in this order in the split and in the array of tokens, and c as dev."""

    def targets(rows: list[list[int]]) -> Targets:
        return Targets(sparse.csr_matrix(np.array(rows, np.uint8)), np.ones(len(rows), bool))

    train = Split(
        ["b", "a"], np.array([[10, 16], [0, 4]]), {"icd": targets(gold[::-1]), "category": targets([[0], [1]])}
    )
    dev = Split(["c"], np.array([[20, 23]]), {"icd": targets([[0, 1]]), "category": targets([[0]])})
    labels = {"icd": LABELS, "category": CATEGORIES}
    return Inputs(np.zeros(23, np.int32), ["x"], np.zeros((3, 2)), labels, "caml", {"train": train, "dev": dev})


def test_spans_are_of_gold_labels_and_within_the_tokens_that_are_read(tmp_path):
    folder = write(
        tmp_path,
        [
            ("a", "E11.9", 3, 4),
            ("a", "E11.9", 0, 2),
            ("a", "E11.9", 0, 2),  # the same place twice
            ("a", "I10", 1, 4),
            ("a", "I10", 2, 2),  # between two tokens
            ("a", "J45", 0, 1),  # no label
            ("b", "I10", 0, 1),  # not gold
            ("c", "E11.9", 2, 3),
        ],
    )
    data = with_spans(inputs(), folder, ["icd", "category"], 10)
    assert data.splits["train"].spans["icd"].tolist() == [[1, 0, 1, 4], [1, 1, 0, 2], [1, 1, 3, 4]]
    assert data.splits["dev"].spans["icd"].tolist() == [[0, 1, 2, 3]]
    assert all(set(split.spans) == {"icd"} for split in data.splits.values())
    truncated = with_spans(inputs(), folder, ["icd"], 2)
    assert truncated.splits["train"].spans["icd"].tolist() == [[1, 0, 1, 2], [1, 1, 0, 2]]
    assert truncated.splits["dev"].spans["icd"].shape == (0, 4)
    assert len(data.splits["train"].first(1).spans["icd"]) == 0
    assert len(data.splits["train"].first(2).spans["icd"]) == 3


def test_what_has_no_spans_is_refused_in_one_line(tmp_path):
    folder = write(tmp_path, [("a", "J45", 0, 1), ("b", "I10", 0, 1), ("c", "E11.9", 2, 3)])
    with pytest.raises(UserError, match=r"^recipe: span_weight learns .* no training note has one of a label of icd "):
        with_spans(inputs(), folder, ["icd"], 10)
    write(tmp_path, [("a", "I10", 2, 3)])
    with pytest.raises(UserError, match=r"no training note has one of a label of icd within 2 tokens; set span_weight"):
        with_spans(inputs(), folder, ["icd"], 2)
    with pytest.raises(UserError, match=r"no training note has one of a label of category "):
        with_spans(inputs(), folder, ["category"], 10)
    write(tmp_path, [("a", "I10", 2, 3)], lengths=[4, 7, 3])
    with pytest.raises(UserError, match="made of other tokens than the documents; make it again"):
        with_spans(inputs(), folder, ["icd"], 10)
    io.write_empty(tmp_path / "empty", "no sentences")
    with pytest.raises(UserError, match=r"^recipe: span_weight learns .* the corpus has none .*; set span_weight: 0$"):
        with_spans(inputs(), tmp_path / "empty", ["icd"], 10)
