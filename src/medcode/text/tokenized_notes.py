"""Tokenized notes: one array of token ids for all notes, and the offset of each note."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medcode import io
from medcode.errors import UserError

# File names of the ids in data/tokens and data/subword, and the stages that write them.
WORD_IDS, SUBWORD_IDS = "ids.npy", "subword_ids.npy"
STAGES = {WORD_IDS: "tokenize", SUBWORD_IDS: "subword"}


@dataclass(frozen=True)
class TokenizedNotes:
    """Word ids or subword ids of all notes.

    Attributes:
        ids: int32 [tokens of all notes]; indices into word types, or into the vocabulary of an encoder.
        offsets: int64 [n + 1]; note i is ids[offsets[i]:offsets[i + 1]].
        admissions: the admission of each note [n], in the order of notes.parquet.
    """

    ids: np.ndarray
    offsets: np.ndarray
    admissions: list[str]

    def __len__(self) -> int:
        return len(self.admissions)

    def document(self, index: int) -> np.ndarray:
        """Return the token ids of one note."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def spans(self, admissions: list[str]) -> np.ndarray:
        """Return start and end in `ids` of the notes of the admissions, int64 [n, 2].

        Raises:
            UserError: an admission has no note.
        """
        index_of = {admission: index for index, admission in enumerate(self.admissions)}
        try:
            rows = np.array([index_of[admission] for admission in admissions], dtype=np.int64)
        except KeyError as error:
            # The stage subword depends on tokenize, so the command runs both.
            raise UserError(
                f"the tokenized notes lack admission {error}; make them again (dvc repro subword)"
            ) from error
        return np.stack([self.offsets[rows], self.offsets[rows + 1]], axis=1)

    def write(self, folder: str | os.PathLike, ids_file: str) -> None:
        """Write the ids, offsets.npy and admissions.txt, all or none.

        Args:
            folder: the output folder.
            ids_file: WORD_IDS or SUBWORD_IDS.
        """
        with io.atomic_folder(folder) as target:
            self.write_files(target, ids_file)

    def write_files(self, folder: Path, ids_file: str) -> None:
        """Write the three files into an existing folder."""
        io.write_array(folder / ids_file, self.ids)
        io.write_array(folder / "offsets.npy", self.offsets)
        io.write_text(folder / "admissions.txt", "".join(f"{admission}\n" for admission in self.admissions))

    @classmethod
    def read(cls, folder: str | os.PathLike, ids_file: str) -> TokenizedNotes:
        """Read the files of `write`; the ids are memory-mapped.

        Raises:
            UserError: a file is missing or damaged, or the files are inconsistent.
        """
        folder = Path(folder)
        ids = io.read_array(folder / ids_file, mapped=True)
        offsets, admissions = io.read_array(folder / "offsets.npy"), io.read_lines(folder / "admissions.txt")
        if len(offsets) != len(admissions) + 1 or offsets[-1] != len(ids):
            raise UserError(
                f"{folder}: {ids_file}, offsets.npy and admissions.txt do not belong together; "
                f"make it again (dvc repro {STAGES[ids_file]})"
            )
        return cls(ids, offsets, admissions)
