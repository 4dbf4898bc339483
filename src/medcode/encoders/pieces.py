"""All documents of a corpus as numbers of word pieces, and the tokenizer that makes them."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from medcode import io
from medcode.errors import UserError

_BATCH = 512


class PieceTokenizer:
    """Turns text into numbers of an encoder's word pieces, without special pieces.

    Args:
        definition: content of a tokenizer.json.
        text: what of a note is cut, `words` or `raw`, as `text_of` has it; pieces themselves do not depend on it.
    """

    def __init__(self, definition: str, text: str = "words") -> None:
        self.definition, self.text = definition, text
        self._tokenizer = Tokenizer.from_str(definition)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # what looks like a special piece in a note is text
        self.unknown = self._tokenizer.token_to_id(getattr(self._tokenizer.model, "unk_token", None) or "<unk>")

    def __call__(self, texts: list[str]) -> list[np.ndarray]:
        """Pieces of some texts, on all cores, int32 [N] each."""
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(each.ids, dtype=np.int32) for each in encoded]


@dataclass(frozen=True)
class Pieces:
    """The pieces of all documents: `ids` int32, `offsets` int64 [documents + 1], `admissions` of the documents."""

    ids: np.ndarray
    offsets: np.ndarray
    admissions: list[str]

    def document(self, index: int) -> np.ndarray:
        """Numbers of the pieces of one document."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def spans(self, admissions: list[str]) -> np.ndarray:
        """Start and end of the documents of some admissions, int64 [n, 2].

        Raises:
            UserError: a document is missing.
        """
        number = {admission: index for index, admission in enumerate(self.admissions)}
        try:
            rows = np.array([number[admission] for admission in admissions], dtype=np.int64)
        except KeyError as error:
            raise UserError(f"data/subword: lacks admission {error}; make it again (dvc repro subword)") from error
        return np.stack([self.offsets[rows], self.offsets[rows + 1]], axis=1)

    def write(self, folder: str | os.PathLike) -> None:
        """Writes pieces.npy, offsets.npy and admissions.txt, all or nothing."""
        with io.atomic_folder(folder) as target:
            io.write_array(target / "pieces.npy", self.ids)
            io.write_array(target / "offsets.npy", self.offsets)
            io.write_text(target / "admissions.txt", "".join(f"{admission}\n" for admission in self.admissions))

    @classmethod
    def read(cls, folder: str | os.PathLike) -> Pieces:
        """Reads what `write` wrote; the numbers stay on disk.

        Raises:
            UserError: a file is missing or damaged, or the files do not belong together.
        """
        folder = Path(folder)
        ids = io.read_array(folder / "pieces.npy", mapped=True)
        offsets, admissions = io.read_array(folder / "offsets.npy"), io.read_lines(folder / "admissions.txt")
        if len(offsets) != len(admissions) + 1 or offsets[-1] != len(ids):
            raise UserError(f"{folder}: its files do not belong together; make it again (dvc repro subword)")
        return cls(ids, offsets, admissions)


def cut_into_pieces(documents: Iterable[tuple[str, str]], tokenizer: PieceTokenizer) -> Pieces:
    """Cuts documents into pieces, some hundred at a time on all cores.

    Args:
        documents: admission and text; read as they are needed.
        tokenizer: of the encoder.
    """
    ids, offsets, admissions, waiting = array("i"), array("q", [0]), [], []

    def flush() -> None:
        for own in tokenizer(waiting):
            ids.frombytes(own.tobytes())
            offsets.append(len(ids))
        waiting.clear()

    for admission, text in documents:
        admissions.append(admission)
        waiting.append(text)
        if len(waiting) == _BATCH:
            flush()
    flush()
    held = np.frombuffer(ids, dtype=np.int32) if ids else np.empty(0, dtype=np.int32)
    return Pieces(held, np.frombuffer(offsets, dtype=np.int64), admissions)
