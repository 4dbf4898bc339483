"""The words of a corpus as ids, and the word types of these ids."""

from __future__ import annotations

import functools
import itertools
import os
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from medcode import io
from medcode.errors import UserError
from medcode.table_files import STREAMED
from medcode.text import tokenization
from medcode.text.tokenized_notes import WORD_IDS, TokenizedNotes

_BATCH = 256
_DROPPED = -1


@dataclass(frozen=True)
class TokenizedWords:
    """Word ids of all notes, and the word types that they index.

    Attributes:
        notes: the word ids.
        types: the distinct words, in order of first occurrence.
    """

    notes: TokenizedNotes
    types: list[str]

    def words(self, index: int) -> list[str]:
        """Return the words of one note."""
        return [self.types[i] for i in self.notes.document(index)]

    def write(self, folder: str | os.PathLike) -> None:
        """Write types.txt, ids.npy, offsets.npy and admissions.txt, all or none."""
        with io.atomic_folder(folder) as target:
            io.write_text(target / "types.txt", "".join(f"{word}\n" for word in self.types))
            self.notes.write_files(target, WORD_IDS)

    @classmethod
    def read(cls, folder: str | os.PathLike) -> TokenizedWords:
        """Read the files of `write`; the ids are memory-mapped.

        Raises:
            UserError: a file is missing or damaged, or the files are inconsistent.
        """
        return cls(TokenizedNotes.read(folder, WORD_IDS), io.read_lines(Path(folder) / "types.txt"))

    def counts(self) -> dict[str, Any]:
        """Count documents, words and types, and summarize the lengths of the documents in words."""
        lengths = np.diff(self.notes.offsets)
        return {
            "documents": len(lengths),
            "documents_without_tokens": int((lengths == 0).sum()),
            "tokens": len(self.notes.ids),
            "types": len(self.types),
            "tokens_per_document": {
                "mean": float(lengths.mean()),
                "median": float(np.median(lengths)),
                "p95": float(np.percentile(lengths, 95)),
                "max": int(lengths.max()),
            }
            if len(lengths)
            else {},
        }


class _TypeIds(dict):
    """Mapping from a word as spelled in the text to the id of its type, or to -1 if the rule drops it.

    Each spelling is normalized once, not once per occurrence in the corpus.
    """

    def __init__(self, rule: tokenization.Rule) -> None:
        super().__init__()
        self.form = rule.form
        self.types: dict[str, int] = {}

    def __missing__(self, word: str) -> int:
        form = self.form(word)
        type_id = _DROPPED if form is None else self.types.setdefault(form, len(self.types))
        self[word] = type_id
        return type_id


def _tokenized(texts: list[str], rule: str) -> tuple[list[str], np.ndarray, list[int]]:
    """Return the types of the texts in order of first occurrence, all ids (int32), and the word count of each text."""
    tokenizer = tokenization.rule_named(rule)
    split, type_ids = tokenizer.words, _TypeIds(tokenizer)
    ids, lengths = [], []
    for text in texts:
        words = split(text)
        text_ids = np.fromiter(map(type_ids.__getitem__, words), dtype=np.int32, count=len(words))
        ids.append(text_ids[text_ids != _DROPPED])
        lengths.append(len(ids[-1]))
    return list(type_ids.types), np.concatenate(ids), lengths


def tokenized(
    documents: Iterable[tuple[str, str]], rule: str = "caml", processes: int = 1, spool: BinaryIO | None = None
) -> TokenizedWords:
    """Tokenize documents; the result does not depend on the number of processes.

    With a spool neither texts nor word ids are held in memory, only the types, and some hundred bytes of each document.

    Args:
        documents: pairs of admission and text, consumed lazily.
        processes: number of worker processes.
        spool: an open, empty file that keeps the ids as long as the result is used; None keeps them in memory.

    Raises:
        UserError: the rule is unknown.
    """
    tokenization.rule_named(rule)
    types: dict[str, int] = {}
    offsets = array("q", [0])
    admissions: list[str] = []

    def batches() -> Iterator[list[str]]:
        unread = iter(documents)
        while batch := list(itertools.islice(unread, _BATCH)):
            admissions.extend(admission for admission, _ in batch)
            yield [text for _, text in batch]

    written = BytesIO() if spool is None else spool
    for batch_types, batch_ids, lengths in _in_order(functools.partial(_tokenized, rule=rule), batches(), processes):
        # Batches are in document order, and their types in order of first occurrence; so are the corpus types.
        corpus_ids = np.array([types.setdefault(word, len(types)) for word in batch_types], dtype=np.int32)
        written.write(corpus_ids[batch_ids].tobytes())
        offsets.extend(itertools.accumulate(lengths, initial=offsets.pop()))
    written.flush()
    notes = TokenizedNotes(
        ids=_ids(written) if offsets[-1] else np.empty(0, dtype=np.int32),
        offsets=np.frombuffer(offsets, dtype=np.int64),
        admissions=admissions,
    )
    return TokenizedWords(notes, list(types))


def _ids(written: BinaryIO) -> np.ndarray:
    """Return the ids that a file or a buffer holds, int32; those of a file stay on the disk."""
    if isinstance(written, BytesIO):
        return np.frombuffer(written.getbuffer(), dtype=np.int32)
    return np.memmap(written, dtype=np.int32, mode="r")


def _in_order(function: Callable[[Any], Any], items: Iterable[Any], processes: int) -> Iterator[Any]:
    """Apply a function in several processes; yield results in the order of the items, with few items in memory."""
    if processes == 1:
        yield from map(function, items)
        return
    # Spawn, because a forked child could hang on a lock that a thread of pyarrow held at the fork.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures: deque[Future] = deque()
        for item in items:
            futures.append(pool.submit(function, item))
            if len(futures) > 2 * processes:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()


def documents_of(notes: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """Yield admission and text of each note in notes.parquet, in batches and with a progress bar.

    Raises:
        UserError: the file is missing, damaged, or lacks a column.
    """
    try:
        with open(notes, "rb") as file:
            table = pq.ParquetFile(file, **STREAMED)
            bar = tqdm(total=table.metadata.num_rows, desc="tokenize", unit="note", disable=None)
            for batch in table.iter_batches(batch_size=_BATCH, columns=["admission_id", "text"]):
                yield from zip(batch["admission_id"].to_pylist(), batch["text"].to_pylist(), strict=True)
                bar.update(batch.num_rows)
            bar.close()
    except FileNotFoundError as error:
        raise UserError(f"{notes}: no such file") from error
    except (pa.ArrowInvalid, KeyError) as error:
        raise UserError(f"{notes}: not the table of notes that the stage extract writes ({error})") from error
