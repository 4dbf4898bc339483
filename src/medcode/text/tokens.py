"""All words of a corpus as numbers, and the word types that the numbers stand for."""

from __future__ import annotations

import functools
import itertools
import os
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from medcode import io
from medcode.errors import UserError
from medcode.text import tokenization
from medcode.text.tokenized_notes import WORD_IDS, TokenizedNotes

_BATCH = 256
_DROPPED = -1


@dataclass(frozen=True)
class TokenizedWords:
    """The words of all notes, and the word types that the ids are indices into.

    Attributes:
        notes: ids of the words.
        types: the distinct words, in the order in which they first occur.
    """

    notes: TokenizedNotes
    types: list[str]

    def words(self, index: int) -> list[str]:
        """Returns the words of one note."""
        return [self.types[i] for i in self.notes.document(index)]

    def write(self, folder: str | os.PathLike) -> None:
        """Writes types.txt, ids.npy, offsets.npy and admissions.txt, all or nothing."""
        with io.atomic_folder(folder) as target:
            io.write_text(target / "types.txt", "".join(f"{word}\n" for word in self.types))
            self.notes.write_files(target, WORD_IDS)

    @classmethod
    def read(cls, folder: str | os.PathLike) -> TokenizedWords:
        """Reads what `write` wrote; the ids stay on disk.

        Raises:
            UserError: a file is missing or damaged, or the files do not belong together.
        """
        return cls(TokenizedNotes.read(folder, WORD_IDS), io.read_lines(Path(folder) / "types.txt"))

    def counts(self) -> dict[str, Any]:
        """Counts documents, words and types, and describes the lengths of the documents in words."""
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


class _Numbers(dict):
    """Maps a word as it stands in the text to its number, or to -1 when the rule drops it.

    Case and numbers are dealt with once for each spelling, not once for each word of the corpus.
    """

    def __init__(self, rule: tokenization.Rule) -> None:
        super().__init__()
        self.form = rule.form
        self.types: dict[str, int] = {}

    def __missing__(self, word: str) -> int:
        form = self.form(word)
        number = _DROPPED if form is None else self.types.setdefault(form, len(self.types))
        self[word] = number
        return number


def _tokenized(texts: list[str], rule: str) -> tuple[list[str], np.ndarray, list[int]]:
    """The types of some texts in the order in which they first occur; all ids, int32; the number of words of each."""
    chosen = tokenization.rule_named(rule)
    split, numbers = chosen.words, _Numbers(chosen)
    ids, lengths = [], []
    for text in texts:
        words = split(text)
        found = np.fromiter(map(numbers.__getitem__, words), dtype=np.int32, count=len(words))
        ids.append(found[found != _DROPPED])
        lengths.append(len(ids[-1]))
    return list(numbers.types), np.concatenate(ids), lengths


def tokenized(documents: Iterable[tuple[str, str]], rule: str = "caml", processes: int = 1) -> TokenizedWords:
    """Tokenises documents; the result is the same for any number of processes.

    Args:
        documents: pairs of admission and text; read as they are needed.
        processes: how many share the work.

    Raises:
        UserError: there is no such rule.
    """
    tokenization.rule_named(rule)
    types: dict[str, int] = {}
    ids, offsets, admissions = array("i"), array("q", [0]), []

    def batches() -> Iterator[list[str]]:
        unread = iter(documents)
        while batch := list(itertools.islice(unread, _BATCH)):
            admissions.extend(admission for admission, _ in batch)
            yield [text for _, text in batch]

    for own, found, lengths in _in_order(functools.partial(_tokenized, rule=rule), batches(), processes):
        # Batches come in the order of the documents, and their types in the order of first occurrence: so do these.
        numbers = np.array([types.setdefault(word, len(types)) for word in own], dtype=np.int32)
        ids.frombytes(numbers[found].tobytes())
        offsets.extend(itertools.accumulate(lengths, initial=offsets.pop()))
    notes = TokenizedNotes(
        ids=np.frombuffer(ids, dtype=np.int32) if ids else np.empty(0, dtype=np.int32),
        offsets=np.frombuffer(offsets, dtype=np.int64),
        admissions=admissions,
    )
    return TokenizedWords(notes, list(types))


def _in_order(function: Callable[[Any], Any], items: Iterable[Any], processes: int) -> Iterator[Any]:
    """Applies a function in several processes; results come in the order of the items, of which few are held."""
    if processes == 1:
        yield from map(function, items)
        return
    # Forked children could hang on a lock that a thread of pyarrow held at that moment; spawned ones cannot.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running: deque[Future] = deque()
        for item in items:
            running.append(pool.submit(function, item))
            if len(running) > 2 * processes:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def documents_of(notes: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """Reads notes.parquet a few hundred notes at a time, with a progress bar; yields admission and text.

    Raises:
        UserError: the file is missing, damaged, or lacks a column.
    """
    try:
        with open(notes, "rb") as file:
            table = pq.ParquetFile(file)
            bar = tqdm(total=table.metadata.num_rows, desc="tokenise", unit="note", disable=None)
            for batch in table.iter_batches(batch_size=_BATCH, columns=["admission_id", "text"]):
                yield from zip(batch["admission_id"].to_pylist(), batch["text"].to_pylist(), strict=True)
                bar.update(batch.num_rows)
            bar.close()
    except FileNotFoundError as error:
        raise UserError(f"{notes}: no such file") from error
    except (pa.ArrowInvalid, KeyError) as error:
        raise UserError(f"{notes}: not the table of notes that the stage extract writes ({error})") from error
