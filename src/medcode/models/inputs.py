"""What goes into a model besides its options, and what comes out of it in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from scipy import sparse

    from medcode.codes.tree import Path as TreePath
    from medcode.encoders.outline import Encoder
    from medcode.engine.device_data import DeviceNotes
    from medcode.layers.code_edges import Edges


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelInputs:
    """Inputs of a model's constructor that come from the data: sizes, pretrained weights, label descriptions.

    A model on words takes `vocab_size`, and `vectors` where they are pretrained. A model on subwords takes `encoder`.

    Attributes:
        heads: number of labels Y of each head, {"icd": Y}.
        vocab_size: number V of embedding rows, PAD and UNK included.
        vectors: pretrained word vectors [V, E]; None initializes them at random with the papers' E = 100.
        vocabulary: words of the rows but PAD and UNK; only in training.
        encoder: pretrained encoder, with or without weights.
        tokenize: splits texts into the ids of tokens that the model reads, as notes are split, [int32 [N], ...].
        descriptions: words of each label's description, {head: int [Y, T]}, padded with 0.
        titles: the description of each label as text, empty where it has none, {head: Y texts}.
        terms: the synonyms of each label without its title, maybe none, {head: Y lists of texts}.
        tree: nodes of the tree of codes from the chapter of each label down to the label, {head: Y paths}.
        cooccurrence: number of training documents with both of two labels, {head: int64 [Y, Y]}, symmetric; on the
            diagonal those of the label.
        edges: {head: links of its codes to those of the other head}.
        train_documents: for a model which chooses its features by them.
        features: their number F in a saved model.

    Label knowledge, edges and documents are there for a model whose `Config` has `needs_` and the name of the field,
    and the tree also with a curriculum. They are there only in training: a saved model is rebuilt without them. What it
    needs of them in prediction stands in its weights and buffers, whose sizes may depend on them
    (`layers.loaded_buffers`).

    Raises:
        ValueError: both a vocabulary and an encoder are passed, or neither.
    """

    heads: dict[str, int]
    vocab_size: int = 0
    vectors: Tensor | None = None
    vocabulary: Sequence[str] | None = None
    encoder: Encoder | None = None
    tokenize: Callable[[Sequence[str]], list[np.ndarray]] | None = None
    descriptions: dict[str, Tensor] | None = None
    titles: dict[str, list[str]] | None = None
    terms: dict[str, list[list[str]]] | None = None
    tree: dict[str, list[TreePath]] | None = None
    cooccurrence: dict[str, sparse.csr_matrix] | None = None
    edges: dict[str, Edges] | None = None
    train_documents: DeviceNotes | None = None
    features: int | None = None

    def __post_init__(self) -> None:
        if (self.encoder is None) == (self.vocab_size == 0) or (self.vectors is not None and self.vocab_size == 0):
            raise ValueError("a model takes vocab_size, with or without vectors, or it takes an encoder")


class TrainingOutput(NamedTuple):
    """What a model computes on a training batch.

    Attributes:
        logits: of each pass, {head: [B, Y]}. The loss of a document is the mean of its losses over the passes.
        penalties: what is added to the loss of each document, [B], by the names that losses have in the learning curve,
            which begin with train_.
    """

    logits: Sequence[dict[str, Tensor]]
    penalties: dict[str, Tensor]
