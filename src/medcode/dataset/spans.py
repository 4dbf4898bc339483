"""Spans of the gold labels of documents, in tokens, for a recipe with `span_weight`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from medcode.config.recipes import SPAN_HEAD
from medcode.dataset.arrays import LINKED_HEADS, Inputs, Split
from medcode.dataset.fragments import sentences_of, spans_of
from medcode.dataset.sentences import Sentences
from medcode.errors import UserError

CODE_HEADS = (SPAN_HEAD, *LINKED_HEADS)  # whose labels are codes, as those of spans; other heads group codes


def with_spans(data: Inputs, folder: str | os.PathLike, heads: Iterable[str], max_tokens: int) -> Inputs:
    """Return inputs whose splits have the spans of their documents.

    Args:
        data: its tokens are words or subwords, as those of the spans are.
        folder: data/sentences.
        heads: of the model; those whose labels are not codes get no spans.
        max_tokens: tokens of a document that the model reads at most. Spans behind them are left out, and so are those
            without a token.

    Raises:
        UserError: the corpus has no spans, or the training documents have none of a label; a file is missing or
            damaged; the spans are of other tokens.
    """
    sentences = Sentences.read(folder, "span_weight", "span_weight: 0")
    code_heads = [head for head in heads if head in CODE_HEADS]
    splits = {}
    for name, split in data.splits.items():
        sentences_of(split, sentences)  # raises if they are of other tokens
        spans = {head: _gold_spans(split, head, sentences.spans, data.labels[head], max_tokens) for head in code_heads}
        splits[name] = replace(split, spans=spans)
    if "train" in splits and not any(len(spans) for spans in splits["train"].spans.values()):
        raise UserError(
            "recipe: span_weight learns from the spans of codes in the notes, and no training note has one of a label "
            f"of {', '.join(heads)} within {max_tokens} tokens; set span_weight: 0"
        )
    return replace(data, splits=splits)


def _gold_spans(split: Split, head: str, spans: pa.Table, labels: list[dict], max_tokens: int) -> np.ndarray:
    """Return document, label, first and behind of the spans of the gold labels under a head, int64 [K, 4]."""
    rows = spans_of(split, spans, labels)
    rows = rows[rows[:, 1] >= 0]
    rows[:, 3] = np.minimum(rows[:, 3], max_tokens)
    gold = np.stack(split.targets[head].matrix.nonzero())  # documents and labels, [2, cells]
    is_gold = np.isin(*(pairs[0] * len(labels) + pairs[1] for pairs in (rows.T, gold)))
    return np.unique(rows[is_gold & (rows[:, 2] < rows[:, 3])], axis=0)
