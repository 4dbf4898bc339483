"""Subword tokenization of notes with the tokenizer of an encoder."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from medcode.errors import UserError
from medcode.text.tokenized_notes import TokenizedNotes

_BATCH = 512


class SubwordTokenizer:
    """Subword tokenizer of an encoder: text to subword ids, without special tokens.

    Args:
        definition: content of a tokenizer.json.
        text: which text of a note is tokenized, `words` or `raw`, see `text_of`. Stored for the callers: the subwords
            of a text do not depend on it.
    """

    def __init__(self, definition: str, text: str = "words") -> None:
        self.definition, self.text = definition, text
        self._tokenizer = Tokenizer.from_str(definition)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # a note that contains "[SEP]" contains text
        self.unknown = self._tokenizer.token_to_id(getattr(self._tokenizer.model, "unk_token", None) or "<unk>")

    def __call__(self, texts: list[str]) -> list[np.ndarray]:
        """Return the subword ids of each text, int32 [N], computed on all cores."""
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]

    def offsets(self, texts: list[str]) -> list[np.ndarray]:
        """Return start and end of each subword of each text in characters, the end excluded, int64 [N, 2]."""
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2) for encoding in encodings]


def read_tokenizer(folder: str | os.PathLike) -> str:
    """Return the content of the folder's tokenizer.json.

    Raises:
        UserError: it is missing.
    """
    try:
        with open(Path(folder) / "tokenizer.json", encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{folder}: holds no tokenizer.json; make it again (dvc repro encoder)") from error


def tokenize_into_subwords(documents: Iterable[tuple[str, str]], tokenizer: SubwordTokenizer) -> TokenizedNotes:
    """Tokenize documents in batches of some hundred, on all cores.

    Args:
        documents: pairs of admission and text, read lazily.
        tokenizer: tokenizer of the encoder.
    """
    ids, offsets, admissions, batch = array("i"), array("q", [0]), [], []

    def flush() -> None:
        for subwords in tokenizer(batch):
            ids.frombytes(subwords.tobytes())
            offsets.append(len(ids))
        batch.clear()

    for admission, text in documents:
        admissions.append(admission)
        batch.append(text)
        if len(batch) == _BATCH:
            flush()
    flush()
    subword_ids = np.frombuffer(ids, dtype=np.int32) if ids else np.empty(0, dtype=np.int32)
    return TokenizedNotes(subword_ids, np.frombuffer(offsets, dtype=np.int64), admissions)
