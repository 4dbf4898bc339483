"""Fragments of documents, and the labels that spans give them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from medcode import io
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.dataset.fragments import cut, examples, fragments_of, with_fragments
from medcode.dataset.sentences import Sentences, find_sentences
from medcode.errors import UserError
from medcode.text.tokens import tokenized

LABELS = [{"system": "icd10cm", "code": code, "description": "", "train_documents": 1} for code in ("I10", "E11.9")]


def spans_table(spans: list[tuple[str, str, int, int]]) -> pa.Table:
    """Return a table of spans from admission, code, start and end."""
    admission, code, start, end = zip(*spans, strict=True) if spans else ((), (), (), ())
    columns = {"admission_id": admission, "system": ["icd10cm"] * len(code), "code": code}
    texts = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    return pa.table(texts | {"start": pa.array(start, pa.int64()), "end": pa.array(end, pa.int64())})


def find(folder: Path, notes: dict[str, str], spans: list[tuple[str, str, int, int]]) -> Sentences:
    words = tokenized(notes.items())
    io.write_table(folder / "notes.parquet", pa.table({"admission_id": list(notes), "text": list(notes.values())}))
    return find_sentences(words.notes, folder / "notes.parquet", spans_table(spans), "caml")


def split_of(notes: dict[str, str]) -> Split:
    """Return a split of documents in reverse order, behind ten other tokens."""
    lengths = np.diff(tokenized(notes.items()).notes.offsets)
    ends = 10 + np.cumsum(lengths)
    n = len(notes)
    targets = Targets(sparse.csr_matrix((n, 2), dtype=np.uint8), np.arange(n) != n - 1)
    offsets = np.stack([ends - lengths, ends], axis=1)
    return Split(list(notes)[::-1], offsets[::-1], {"icd": targets})


def gold(split: Split, sentences: Sentences, max_tokens: int) -> Split:
    return examples(split, fragments_of(split, sentences, max_tokens), sentences.spans, LABELS)


def test_a_span_labels_its_sentence_alone(tmp_path):
    notes = {"a": "One. Two is. Three."}
    sentences = find(tmp_path, notes, [("a", "I10", 5, 8)])
    assert sentences.tokens.tolist() == [[0, 1], [1, 3], [3, 4]] and sentences.offsets.tolist() == [0, 3]
    split = gold(split_of(notes), sentences, 126)
    assert split.offsets.tolist() == [[10, 11], [11, 13], [13, 14]]
    assert split.targets["icd"].matrix.toarray().tolist() == [[0, 0], [1, 0], [0, 0]]
    assert split.documents == ["a", "a", "a"]


@pytest.mark.parametrize(
    ("start", "end", "labeled"),
    [
        (0, 6, [1, 0]),  # "Alpha." ends at 6
        (5, 7, [0, 0]),  # the period and the blank belong to no word
        (4, 7, [1, 0]),
        (5, 8, [0, 1]),  # "Beta" starts at 7
        (7, 8, [0, 1]),
        (6, 7, [0, 0]),
        (4, 8, [1, 1]),
    ],
)
def test_a_span_that_touches_the_border_of_a_fragment_gives_it_no_label(tmp_path, start, end, labeled):
    notes = {"a": "Alpha. Beta"}
    split = gold(split_of(notes), find(tmp_path, notes, [("a", "I10", start, end)]), 126)
    assert split.targets["icd"].matrix.toarray()[:, 0].tolist() == labeled


def test_a_long_sentence_is_cut_and_a_span_over_the_cut_labels_both_parts(tmp_path):
    notes = {"a": " ".join(["word"] * 300)}
    at = 125 * 5
    split = gold(
        split_of(notes), find(tmp_path, notes, [("a", "I10", at, at + 9), ("a", "E11.9", at + 9, at + 10)]), 126
    )
    assert np.diff(split.offsets).ravel().tolist() == [126, 126, 48]
    # The second span is the blank behind the first word of the second part, so within it.
    assert split.targets["icd"].matrix.toarray().tolist() == [[1, 0], [1, 1], [0, 0]]


def test_documents_keep_their_spans_in_any_order_and_codes_outside_the_labels_give_none(tmp_path):
    notes = {"a": "One two. Three", "b": " 12 ", "c": "Four\nfive", "d": "Six"}
    spans = [("c", "E11.9", 5, 9), ("a", "I10", 0, 3), ("a", "I10", 4, 7), ("a", "Z99", 9, 14), ("d", "I10", 0, 3)]
    sentences = find(tmp_path, notes, spans)
    assert np.diff(sentences.offsets).tolist() == [2, 1, 2, 1]
    del notes["d"]  # of another split
    split = gold(split_of(notes), sentences, 126)
    assert split.documents == ["c", "c", "a", "a"]
    assert split.offsets.tolist() == [[13, 14], [14, 15], [10, 12], [12, 13]]
    assert split.targets["icd"].matrix.toarray().tolist() == [[0, 0], [0, 1], [1, 0], [0, 0]]
    assert split.targets["icd"].is_coded.tolist() == [True, True, False, False]


def test_every_document_has_a_fragment_where_it_is_scored(tmp_path):
    notes = {"a": "One two. Three", "b": " 12 ", "c": "Four\nfive"}
    fragments = fragments_of(split_of(notes), find(tmp_path, notes, []), 1)
    assert fragments.documents.tolist() == [0, 0, 1, 2, 2, 2]
    assert fragments.offsets.tolist() == [[13, 14], [14, 15], [13, 13], [10, 11], [11, 12], [12, 13]]
    first = fragments.first(2)
    assert (first.documents.tolist(), len(first.offsets)) == ([0, 0, 1], 3)


@given(st.lists(st.integers(0, 30), max_size=10), st.integers(1, 12))
def test_parts_of_sentences_are_the_sentences(lengths, longest):
    ends = np.cumsum(lengths, dtype=np.int64)
    parts, number = cut(np.stack([ends - np.array(lengths, np.int64), ends], axis=1), longest)
    found = parts[:, 1] - parts[:, 0]
    assert (found <= longest).all()
    for sentence, length in enumerate(lengths):
        assert found[number == sentence].tolist() == [longest] * (length // longest) + (
            [length % longest] if length % longest or not length else []
        )
    assert parts[1:, 0].tolist() == parts[:-1, 1].tolist()


def inputs(splits: dict[str, Split]) -> Inputs:
    return Inputs(np.zeros(20, np.int32), ["a"], np.zeros((3, 2)), {"icd": LABELS}, "caml", splits)


def test_training_documents_become_fragments_and_others_have_fragments(tmp_path):
    notes = {"a": "One two. Three", "c": "Four\nfive"}
    find(tmp_path, notes, [("a", "I10", 0, 14), ("c", "E11.9", 0, 1)]).write(tmp_path / "sentences")
    data = inputs({"train": split_of(notes), "dev": split_of(notes)})
    read = with_fragments(data, tmp_path / "sentences", 126)
    assert len(read.splits["train"]) == 4 and read.splits["train"].fragments is None
    assert read.example_counts("icd").tolist() == [2, 1]
    assert read.train_counts("icd").tolist() == data.example_counts("icd").tolist() == [1, 1]
    assert read.splits["dev"].documents == ["c", "a"] and len(read.splits["dev"].fragments.documents) == 4
    assert len(read.splits["dev"].first(1).fragments.documents) == 2
    assert with_fragments(inputs({"dev": split_of(notes)}), tmp_path / "sentences", 126).fragment_counts == {}


def test_words_of_spans_are_training_examples_too(tmp_path):
    notes = {"a": "One two. Three", "c": "Four\nfive"}
    spans = [
        ("a", "I10", 4, 14), ("a", "E11.9", 4, 14), ("a", "I10", 4, 14),  # one place, two codes, one of them twice
        ("c", "E11.9", 0, 4), ("a", "Z99", 0, 3), ("a", "I10", 7, 9),  # no label; between two words
    ]  # fmt: skip
    find(tmp_path, notes, spans).write(tmp_path / "sentences")
    data = inputs({name: split_of(notes) for name in ("train", "dev")})
    plain, read = (
        with_fragments(data, tmp_path / "sentences", 126, span_documents=span_documents)
        for span_documents in (False, True)
    )
    train, old = read.splits["train"], plain.splits["train"]
    assert train.offsets[: len(old)].tolist() == old.offsets.tolist()
    # The documents are in reverse order: c has the tokens 13 and 14, a those from 10 to 12.
    assert train.offsets[len(old) :].tolist() == [[13, 14], [11, 13]] and train.documents[len(old) :] == ["c", "a"]
    assert train.targets["icd"].matrix.toarray()[len(old) :].tolist() == [[0, 1], [1, 1]]
    assert train.targets["icd"].is_coded.tolist() == [*old.targets["icd"].is_coded, True, True]
    assert read.example_counts("icd").tolist() == (plain.example_counts("icd") + np.array([1, 2])).tolist()
    assert read.splits["dev"].offsets.tolist() == plain.splits["dev"].offsets.tolist()
    cut_read = with_fragments(data, tmp_path / "sentences", 1, span_documents=True).splits["train"]
    assert cut_read.offsets[-2:].tolist() == [[13, 14], [11, 12]]


def test_what_does_not_belong_together_is_refused_in_one_line(tmp_path):
    notes = {"a": "One two. Three", "c": "Four\nfive"}
    sentences, split = find(tmp_path, notes, []), split_of(notes)
    with pytest.raises(UserError, match="made of other tokens than the documents; make it again"):
        fragments_of(replace(split, offsets=split.offsets + np.array([0, 1])), sentences, 126)
    with pytest.raises(UserError, match="lacks admission 'x'; make it again"):
        fragments_of(replace(split, documents=["x", "a"]), sentences, 126)
    with pytest.raises(UserError, match="admission c has other tokens; tokenize it again"):
        find_sentences(
            tokenized([("a", "One two three"), ("c", "x")]).notes, tmp_path / "notes.parquet", spans_table([]), "caml"
        )
    io.write_empty(tmp_path / "sentences", "no sentences")
    with pytest.raises(UserError, match=r"unit: sentences learns from the spans .* the corpus has none"):
        with_fragments(inputs({"dev": split}), tmp_path / "sentences", 126)
