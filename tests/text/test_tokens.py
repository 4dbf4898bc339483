"""Word ids of a corpus."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode import io
from medcode.errors import UserError
from medcode.text.tokenization import tokenize
from medcode.text.tokens import TokenizedWords, documents_of, tokenized

DOCUMENTS = [("a", "Pain in the CHEST."), ("b", ""), ("c", "12 3.4"), ("d", "chest x-ray, no pain 7")]


@given(st.lists(st.text()))
def test_every_document_can_be_reconstructed(texts):
    tokens = tokenized((str(i), text) for i, text in enumerate(texts))
    assert [tokens.words(i) for i in range(len(texts))] == [tokenize(text) for text in texts]
    assert len(set(tokens.types)) == len(tokens.types)


def test_ids_follow_first_occurrence_and_empty_documents_are_counted():
    tokens = tokenized(DOCUMENTS)
    assert tokens.types == ["pain", "in", "the", "chest", "x", "ray", "no"]
    assert tokens.notes.ids.tolist() == [0, 1, 2, 3, 3, 4, 5, 6, 0]
    assert tokens.notes.offsets.tolist() == [0, 4, 4, 4, 9]
    assert (tokens.notes.ids.dtype, tokens.notes.offsets.dtype) == (np.int32, np.int64)
    counts = tokens.counts()
    assert (counts["documents"], counts["documents_without_tokens"], counts["tokens"], counts["types"]) == (4, 2, 9, 7)
    assert counts["tokens_per_document"] == {"mean": 2.25, "median": 2.0, "p95": pytest.approx(4.85), "max": 5}


@pytest.mark.parametrize("rule", ["caml", "edin"])
def test_two_processes_give_the_same_as_one(rule):
    documents = [(str(i), f"Word{i % 700} seen by {i} and Word{i * i % 1_009} at {i}") for i in range(3_000)]
    single, parallel = (tokenized(iter(documents), rule, processes) for processes in (1, 2))
    assert (single.types, single.notes.admissions) == (parallel.types, parallel.notes.admissions)
    assert np.array_equal(single.notes.ids, parallel.notes.ids)
    assert np.array_equal(single.notes.offsets, parallel.notes.offsets)
    assert parallel.words(2_999) == tokenize(documents[-1][1], rule)


def test_written_tokens_are_read_unchanged_and_reproducible(tmp_path):
    for folder in (tmp_path / "one", tmp_path / "two"):
        tokenized(DOCUMENTS).write(folder)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["admissions.txt", "ids.npy", "offsets.npy", "types.txt"]
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)
    again = TokenizedWords.read(tmp_path / "one")
    assert again.words(3) == ["chest", "x", "ray", "no", "pain"]
    assert again.notes.admissions == ["a", "b", "c", "d"]
    assert isinstance(again.notes.ids, np.memmap)


def test_a_corpus_without_words_is_tokenized(tmp_path):
    tokenized([("a", "1 2")]).write(tmp_path / "tokens")
    again = TokenizedWords.read(tmp_path / "tokens")
    assert (again.types, len(again.notes.ids), again.notes.offsets.tolist()) == ([], 0, [0, 0])


def test_inconsistent_files_are_refused(tmp_path):
    tokenized(DOCUMENTS).write(tmp_path / "tokens")
    io.write_text(tmp_path / "tokens" / "admissions.txt", "a\nb\n")
    with pytest.raises(UserError, match="do not belong together"):
        TokenizedWords.read(tmp_path / "tokens")


def test_notes_keep_the_order_of_the_table(tmp_path):
    path = tmp_path / "notes.parquet"
    ids = [f"a{i}" for i in range(1000)]
    io.write_table(path, pa.table({"admission_id": ids, "text": pa.array(ids, pa.large_string())}))
    assert list(documents_of(path)) == list(zip(ids, ids, strict=True))


def test_an_invalid_table_is_reported_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        list(documents_of(tmp_path / "notes.parquet"))
    (tmp_path / "notes.parquet").write_bytes(b"text")
    with pytest.raises(UserError, match="not the table of notes"):
        list(documents_of(tmp_path / "notes.parquet"))
    io.write_table(tmp_path / "notes.parquet", pa.table({"admission_id": ["1"]}))
    with pytest.raises(UserError, match="not the table of notes"):
        list(documents_of(tmp_path / "notes.parquet"))


def test_a_note_of_five_megabytes_is_tokenized_completely():
    tokens = tokenized([("a", "pain in the chest, radiating to the left arm; " * 110_000)])
    assert len(tokens.types) == 8
    assert np.array_equal(tokens.notes.ids, np.tile(tokens.notes.ids[:9], 110_000))


def test_notes_that_have_been_read_do_not_stay_in_memory(tmp_path):
    texts = [random.Random(i).randbytes(5_000).hex() for i in range(4_000)]  # 40 MB, of which zstd makes 20
    schema = pa.schema([("admission_id", pa.string()), ("text", pa.large_string())])
    batches = (pa.record_batch([[str(i)] * 50, texts[i : i + 50]], schema) for i in range(0, len(texts), 50))
    io.write_batches(tmp_path / "notes.parquet", batches, schema)
    tracemalloc.start()
    try:
        assert sum(1 for _ in documents_of(tmp_path / "notes.parquet")) == len(texts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


LIMITED = """
import resource, sys
from pathlib import Path
from medcode.text.tokens import tokenized
documents = lambda number: ((str(i), "pain in the chest " * 250) for i in range(number))
tokenized(documents(1), spool=open(sys.argv[1], "w+b"))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
limit = int(status["VmData"].split()[0]) * 1024 + 48 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
print(len(tokenized(documents(25_000), spool=open(sys.argv[1], "w+b")).notes.ids))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_ids_need_more_room_than_the_memory_has(tmp_path):
    """100 million bytes of ids, and 48 MiB of memory."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "spool")], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("25000000\n", 0), done.stderr[-500:]
