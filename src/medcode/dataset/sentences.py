"""Sentences of all documents and spans of their codes, in tokens: making, writing and reading of data/sentences."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from medcode import io
from medcode.errors import UserError
from medcode.text.offsets import TokenizerWithOffsets, sentence_tokens, span_tokens, token_offsets
from medcode.text.sentences import sentence_spans
from medcode.text.tokenized_notes import TokenizedNotes
from medcode.text.tokens import documents_of

AT_A_TIME = 256  # notes


@dataclass(frozen=True)
class Sentences:
    """The sentences of all documents, and the spans of their codes, both in tokens of their document.

    Attributes:
        admissions: of the documents [n].
        tokens: start and end of each sentence in the tokens of its document, int64 [S, 2]. The sentences of a document
            cover all its tokens; one without tokens has an empty sentence.
        offsets: document i has the sentences offsets[i] to offsets[i + 1], int64 [n + 1].
        spans: admission_id, system, code, first, behind; the latter two as `text.offsets.span_tokens` returns them.
    """

    admissions: list[str]
    tokens: np.ndarray
    offsets: np.ndarray
    spans: pa.Table

    def write(self, folder: str | os.PathLike) -> None:
        """Write data/sentences, all or nothing; `read` reads it."""
        with io.atomic_folder(folder) as target:
            io.write_text(target / "admissions.txt", "".join(f"{admission}\n" for admission in self.admissions))
            io.write_array(target / "tokens.npy", self.tokens)
            io.write_array(target / "offsets.npy", self.offsets)
            io.write_table(target / "spans.parquet", self.spans)

    @classmethod
    def read(
        cls, folder: str | os.PathLike, key: str = "unit: sentences", instead: str = "unit: documents"
    ) -> Sentences:
        """Read the files of `write`.

        Args:
            folder: data/sentences.
            key, instead: what in the recipe needs them, and what to set where the corpus has no spans, for the message.

        Raises:
            UserError: the corpus has no spans; a file is missing or damaged.
        """
        folder = Path(folder)
        if io.is_empty(folder):
            raise UserError(
                f"recipe: {key} learns from the spans of codes in the notes, and the corpus has none "
                f"(docs/DATA.md says which have); set {instead}"
            )
        return cls(
            io.read_lines(folder / "admissions.txt"),
            io.read_array(folder / "tokens.npy"),
            io.read_array(folder / "offsets.npy"),
            io.read_table(folder / "spans.parquet"),
        )


def find_sentences(
    documents: TokenizedNotes,
    notes: str | os.PathLike,
    spans: pa.Table,
    rule: str,
    tokenizer: TokenizerWithOffsets | None = None,
) -> Sentences:
    """Find the sentences of all documents, and the tokens of all spans.

    Args:
        documents: the documents as words or subwords.
        notes: notes.parquet.
        spans: admission_id, system, code, start, end; in characters of the text in notes.parquet.
        rule: the rule by which text is tokenized into words.
        tokenizer: of the encoder, for documents as subwords; None for words.

    Raises:
        UserError: the notes cannot be read, or the documents are of other notes.
    """
    characters = spans.to_pandas().groupby("admission_id", sort=False).indices
    starts, ends = (spans[name].to_numpy() for name in ("start", "end"))
    slices, places, rows = [], [], []
    for number, (admission, text, offsets) in enumerate(_read(notes, rule, tokenizer)):
        if documents.admissions[number] != admission or len(documents.document(number)) != len(offsets):
            raise UserError(f"{notes}: admission {admission} has other tokens; tokenize it again (dvc repro)")
        of_document = characters.get(admission, np.empty(0, np.int64))
        slices.append(sentence_tokens(offsets, sentence_spans(text)))
        places.append(span_tokens(offsets, starts[of_document], ends[of_document]))
        rows.append(of_document)
    table = spans.select(["admission_id", "system", "code"]).take(np.concatenate(rows))
    first, behind = np.concatenate(places).T
    return Sentences(
        documents.admissions,
        np.concatenate(slices),
        np.cumsum([0, *map(len, slices)]),
        table.append_column("first", pa.array(first)).append_column("behind", pa.array(behind)),
    )


def _read(
    notes: str | os.PathLike, rule: str, tokenizer: TokenizerWithOffsets | None
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield admission, text and offsets of the tokens of each note, which are made on all cores."""
    texts = documents_of(notes)
    while batch := list(itertools.islice(texts, AT_A_TIME)):
        offsets = token_offsets([text for _, text in batch], rule, tokenizer)
        yield from ((*note, of_note) for note, of_note in zip(batch, offsets, strict=True))
