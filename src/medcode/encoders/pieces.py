"""The tokenizer of an encoder, and all notes of a corpus cut into its word pieces."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
from tokenizers import Tokenizer

from medcode.text.tokenized_notes import TokenizedNotes

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


def cut_into_pieces(documents: Iterable[tuple[str, str]], tokenizer: PieceTokenizer) -> TokenizedNotes:
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
    return TokenizedNotes(held, np.frombuffer(offsets, dtype=np.int64), admissions)
