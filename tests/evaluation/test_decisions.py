"""Decisions are written and read unchanged, at both thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from medcode.errors import UserError
from medcode.evaluation import decisions as decisions_file
from medcode.evaluation.measurement import Predictions


def test_written_decisions_are_read_unchanged(tmp_path):
    random = np.random.default_rng(1)
    gold, scores = (random.random((9, 4)) < 0.3).astype(np.uint8), random.random((9, 4)).astype(np.float32)
    scores[0, 0] = 0.5  # exactly at the threshold is negative
    documents = [f"d{n}" for n in range(9)]
    labels = [{"system": "icd9cm", "code": f"{n}"} for n in range(4)]
    decided = decisions_file.decide(Predictions(documents, labels, gold, scores, np.arange(4), 0.5, 0.25))
    decisions_file.write(tmp_path / "p.npz", {"icd": decided})
    decisions = decisions_file.read(tmp_path / "p.npz")["icd"]
    assert list(decisions.documents) == documents and list(decisions.codes) == [f"icd9cm:{n}" for n in range(4)]
    assert list(decisions.train_counts) == [0, 1, 2, 3]
    np.testing.assert_array_equal(decisions.gold.toarray(), gold)
    np.testing.assert_array_equal(decisions.predicted("fixed").toarray(), scores > 0.5)
    np.testing.assert_array_equal(decisions.predicted("tuned").toarray(), scores > 0.25)


def test_a_missing_or_damaged_file_is_reported(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no")
    for name in ("none.npz", "bad.npz"):
        with pytest.raises(UserError, match=r"cannot be read .* run the study again"):
            decisions_file.read(tmp_path / name)
