"""Fragments: sentences of documents, cut where they are long. The examples of a recipe with `unit: sentences`.

Training examples are the fragments of the training documents, each with the codes whose spans it overlaps. A document's
score of a label is the highest of its fragments'. Source: López-García et al. 2021, "Transformers for Clinical Coding
in Spanish".
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from medcode.config.recipes import SPAN_HEAD
from medcode.dataset.arrays import Fragments, Inputs, Split, Targets
from medcode.dataset.sentences import Sentences
from medcode.errors import UserError


def cut(sentences: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut sentences after every `longest` tokens.

    Args:
        sentences: start and end in tokens, int64 [S, 2]. An empty one makes an empty fragment.
        longest: tokens of a fragment, at most.

    Returns:
        Start and end of each fragment, int64 [M, 2]; the number of the sentence that each is of, int64 [M].
    """
    lengths = sentences[:, 1] - sentences[:, 0]
    counts = np.maximum(1, -(-lengths // longest))
    sentence = np.repeat(np.arange(len(sentences)), counts)
    starts = sentences[sentence, 0] + longest * _numbers(counts)
    return np.stack([starts, np.minimum(starts + longest, sentences[sentence, 1])], axis=1), sentence


def _numbers(counts: np.ndarray) -> np.ndarray:
    """Return 0, 1, ... up to each count, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def with_fragments(
    data: Inputs,
    folder: str | os.PathLike,
    max_tokens: int,
    *,
    span_documents: bool = False,
    spans_within: int | None = None,
) -> Inputs:
    """Return inputs whose training examples are fragments, and whose other documents are scored by their fragments.

    Args:
        data: its tokens are words or subwords, as those of the sentences are. Its labels are of the head `icd`, among
            others that are left out.
        folder: data/sentences.
        max_tokens: sentences are cut after so many tokens.
        span_documents: the words of each span are a training example too.
        spans_within: the splits also have the spans within so many tokens of each fragment, for `span_weight`; None for
            no spans. The words of a span that are an example have none: they are all within it.

    Raises:
        UserError: the corpus has no spans; a file is missing or damaged; the sentences are of other tokens.
    """
    sentences, splits, counts = Sentences.read(folder), dict(data.splits), {}
    for name, split in data.splits.items():
        fragments = fragments_of(split, sentences, max_tokens)
        if name == "train":
            labels = data.labels[SPAN_HEAD]
            splits[name] = examples(split, fragments, sentences.spans, labels, spans_within)
            if span_documents:
                splits[name] = _joined(splits[name], span_examples(split, sentences.spans, labels, max_tokens))
            matrix = splits[name].targets[SPAN_HEAD].matrix
            counts = {SPAN_HEAD: np.asarray(matrix.sum(axis=0, dtype=np.int64)).ravel()}
        else:
            splits[name] = replace(split, fragments=fragments)
            if spans_within is not None:
                overlaps = _overlaps(split, fragments, sentences.spans, data.labels[SPAN_HEAD])
                splits[name] = replace(splits[name], spans={SPAN_HEAD: _within(overlaps, spans_within)})
    return replace(data, splits=splits, fragment_counts=counts)


def fragments_of(split: Split, sentences: Sentences, max_tokens: int) -> Fragments:
    """Return the fragments of the documents of a split."""
    of_split, document = sentences_of(split, sentences)
    slices, sentence = cut(of_split, max_tokens)
    return Fragments(slices + split.offsets[document[sentence], :1], document[sentence])


def sentences_of(split: Split, sentences: Sentences) -> tuple[np.ndarray, np.ndarray]:
    """Return the sentences of the documents of a split.

    Returns:
        Start and end of each sentence in the tokens of its document, int64 [S, 2]; the number of that document,
        ascending, int64 [S].

    Raises:
        UserError: a document has no sentences, or they are of other tokens.
    """
    index_of = {admission: index for index, admission in enumerate(sentences.admissions)}
    try:
        rows = np.array([index_of[admission] for admission in split.documents], dtype=np.int64)
    except KeyError as error:
        raise UserError(f"data/sentences: lacks admission {error}; make it again (dvc repro sentences)") from error
    counts = sentences.offsets[rows + 1] - sentences.offsets[rows]
    document = np.repeat(np.arange(len(rows)), counts)
    of_split = sentences.tokens[sentences.offsets[rows][document] + _numbers(counts)]
    lengths = np.zeros(len(rows), np.int64)
    np.maximum.at(lengths, document, of_split[:, 1])
    if not np.array_equal(lengths, split.offsets[:, 1] - split.offsets[:, 0]):
        raise UserError("data/sentences: made of other tokens than the documents; make it again (dvc repro sentences)")
    return of_split, document


def examples(
    split: Split, fragments: Fragments, spans: pa.Table, labels: list[dict], spans_within: int | None = None
) -> Split:
    """Return the fragments of a split as documents of their own, without empty ones.

    Args:
        split: its documents.
        fragments: of the documents.
        spans: as in `Sentences`.
        labels: of the head `icd`. A fragment has those whose spans it overlaps, maybe none.
        spans_within: the result has the spans within so many tokens of each fragment; None for no spans.
    """
    overlaps = _overlaps(split, fragments, spans, labels)
    has_tokens = fragments.offsets[:, 0] < fragments.offsets[:, 1]
    cells = np.unique(overlaps[:, :2], axis=0).T  # several spans of one code count once
    shape = len(has_tokens), len(labels)
    matrix = sparse.csr_matrix((np.ones(cells.shape[1], np.uint8), tuple(cells)), shape=shape)[has_tokens]
    offsets, documents = fragments.offsets[has_tokens], fragments.documents[has_tokens]
    is_coded = split.targets[SPAN_HEAD].is_coded[documents]
    names = [split.documents[document] for document in documents]
    result = Split(names, offsets, {SPAN_HEAD: Targets(matrix, is_coded)})
    if spans_within is None:
        return result
    places = _within(overlaps, spans_within)  # none of them in an empty fragment
    places[:, 0] = (np.cumsum(has_tokens) - 1)[places[:, 0]]
    return replace(result, spans={SPAN_HEAD: places})


def span_examples(split: Split, spans: pa.Table, labels: list[dict], max_tokens: int) -> Split:
    """Return the words of each span as a document of its own, with all labels of spans at its place.

    Each part of a discontinuous span is a span here. Those without a label, or between two tokens, are left out.

    Args:
        split: its documents.
        spans: as in `Sentences`.
        labels: of the head `icd`.
        max_tokens: a longer span is cut.
    """
    rows = spans_of(split, spans, labels)
    rows = rows[(rows[:, 1] >= 0) & (rows[:, 2] < rows[:, 3])]
    places, example = np.unique(rows[:, [0, 2, 3]], axis=0, return_inverse=True)
    cells = np.unique(np.stack([example.ravel(), rows[:, 1]]), axis=1)
    matrix = sparse.csr_matrix((np.ones(cells.shape[1], np.uint8), tuple(cells)), shape=(len(places), len(labels)))
    starts = split.offsets[places[:, 0], 0] + places[:, 1]
    offsets = np.stack([starts, starts + np.minimum(places[:, 2] - places[:, 1], max_tokens)], axis=1)
    names = [split.documents[document] for document in places[:, 0]]
    return Split(names, offsets, {SPAN_HEAD: Targets(matrix, np.ones(len(places), bool))})


def _joined(first: Split, second: Split) -> Split:
    """Return the training examples of both."""
    one, two = first.targets[SPAN_HEAD], second.targets[SPAN_HEAD]
    targets = Targets(
        sparse.vstack([one.matrix, two.matrix], format="csr"), np.concatenate([one.is_coded, two.is_coded])
    )
    offsets = np.concatenate([first.offsets, second.offsets])
    return Split([*first.documents, *second.documents], offsets, {SPAN_HEAD: targets}, spans=first.spans)


def spans_of(split: Split, spans: pa.Table, labels: list[dict]) -> np.ndarray:
    """Return the spans in the documents of a split: document, label, first and behind, int64 [K, 4].

    Args:
        split: its documents.
        spans: as in `Sentences`.
        labels: of a head; a code that is none of them has label -1.
    """
    column_of = {(label["system"], label["code"]): column for column, label in enumerate(labels)}
    document_of = {admission: number for number, admission in enumerate(split.documents)}
    rows = spans.filter(pc.is_in(spans["admission_id"], pa.array(split.documents, pa.string()))).to_pydict()
    columns = [column_of.get(code, -1) for code in zip(rows["system"], rows["code"], strict=True)]
    documents = [document_of[admission] for admission in rows["admission_id"]]
    return np.array([documents, columns, rows["first"], rows["behind"]], dtype=np.int64).T


def _overlaps(split: Split, fragments: Fragments, spans: pa.Table, labels: list[dict]) -> np.ndarray:
    """Return the spans that fragments overlap: fragment, label, first and behind within the fragment, int64 [K, 4].

    A span over several fragments has a part in each. A span between two tokens has none of them.
    """
    rows = spans_of(split, spans, labels)
    documents, columns, *places = rows[rows[:, 1] >= 0].T
    # The tokens of all documents, one document after the other: so fragments ascend, whatever the order in the array.
    lengths = split.offsets[:, 1] - split.offsets[:, 0]
    moved = np.cumsum(lengths) - lengths
    slices = fragments.offsets + (moved - split.offsets[:, 0])[fragments.documents, None]
    first, behind = (place + moved[documents] for place in places)
    from_fragment = np.searchsorted(slices[:, 1], first, side="right")
    to_fragment = np.searchsorted(slices[:, 0], behind, side="left")
    counts = np.maximum(0, to_fragment - from_fragment)
    fragment, span = np.repeat(from_fragment, counts) + _numbers(counts), np.repeat(np.arange(len(counts)), counts)
    start, end = slices[fragment].T
    return np.column_stack(
        [fragment, columns[span], np.maximum(first[span], start) - start, np.minimum(behind[span], end) - start]
    )


def _within(overlaps: np.ndarray, tokens: int) -> np.ndarray:
    """Return the spans that have one of the first so many tokens of their fragment, each once, ascending."""
    cut_off = overlaps.copy()
    cut_off[:, 3] = np.minimum(cut_off[:, 3], tokens)
    return np.unique(cut_off[cut_off[:, 2] < cut_off[:, 3]], axis=0)
