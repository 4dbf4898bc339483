"""The file of the probabilities of a training on dev and test."""

from __future__ import annotations

import numpy as np
import pytest

from medcode.errors import UserError
from medcode.evaluation import probability_files


def probabilities():
    random = np.random.default_rng(0)
    shapes = {"dev": 3, "test": 5}
    return {
        split: {head: random.random((n, labels), dtype=np.float32) for head, labels in {"icd": 4, "ccs": 2}.items()}
        for split, n in shapes.items()
    }


def test_what_is_read_is_what_was_written_to_the_bit(tmp_path):
    written = probabilities()
    probability_files.write(tmp_path / "probabilities.npz", written)
    read = probability_files.read(tmp_path / "probabilities.npz")
    assert read.keys() == written.keys()
    for split, heads in written.items():
        assert read[split].keys() == heads.keys()
        for head, values in heads.items():
            assert read[split][head].dtype == np.float32
            np.testing.assert_array_equal(read[split][head], values)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:99])])
def test_a_missing_or_damaged_file_is_told_in_one_line(tmp_path, damage):
    path = tmp_path / "probabilities.npz"
    probability_files.write(path, probabilities())
    damage(path)
    with pytest.raises(UserError, match=r"probabilities.npz: cannot be read .*; run the study again"):
        probability_files.read(path)
