"""Tokenized notes: indexed by admission, written and read."""

from __future__ import annotations

import numpy as np
import pytest

from medcode import io
from medcode.errors import UserError
from medcode.text.tokenized_notes import SUBWORD_IDS, WORD_IDS, TokenizedNotes

NOTES = TokenizedNotes(np.array([4, 5, 6, 7], np.int32), np.array([0, 3, 3, 4]), ["7", "3", "9"])


def test_notes_are_indexed_by_number_and_admission():
    assert len(NOTES) == 3
    assert [NOTES.document(index).tolist() for index in range(3)] == [[4, 5, 6], [], [7]]
    assert NOTES.spans(["9", "7", "3"]).tolist() == [[3, 4], [0, 3], [3, 3]]
    assert NOTES.spans([]).shape == (0, 2)
    with pytest.raises(UserError, match=r"the tokenized notes lack admission '8'; .* \(dvc repro subword\)"):
        NOTES.spans(["7", "8"])


@pytest.mark.parametrize("ids_file", [WORD_IDS, SUBWORD_IDS])
def test_written_notes_are_read_unchanged(tmp_path, ids_file):
    NOTES.write(tmp_path / "notes", ids_file)
    names = sorted(path.name for path in (tmp_path / "notes").iterdir())
    assert names == sorted(["admissions.txt", ids_file, "offsets.npy"])
    read = TokenizedNotes.read(tmp_path / "notes", ids_file)
    assert isinstance(read.ids, np.memmap)
    assert (read.ids.tolist(), read.ids.dtype) == (NOTES.ids.tolist(), np.int32)
    assert (read.offsets.tolist(), read.offsets.dtype) == (NOTES.offsets.tolist(), np.int64)
    assert read.admissions == NOTES.admissions


@pytest.mark.parametrize(("ids_file", "stage"), [(WORD_IDS, "tokenize"), (SUBWORD_IDS, "subword")])
@pytest.mark.parametrize("changed", ["admissions.txt", "offsets.npy"])
def test_inconsistent_files_are_reported_with_their_stage(tmp_path, ids_file, stage, changed):
    NOTES.write(tmp_path / "notes", ids_file)
    if changed == "admissions.txt":
        io.write_text(tmp_path / "notes" / changed, "7\n3\n")
    else:
        io.write_array(tmp_path / "notes" / changed, NOTES.offsets + np.array([0, 0, 0, 1]))
    with pytest.raises(UserError, match=rf"do not belong together; make it again \(dvc repro {stage}\)"):
        TokenizedNotes.read(tmp_path / "notes", ids_file)
