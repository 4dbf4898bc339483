"""What the titles of labels can teach where documents are few: vectors to start from, and documents of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from medcode.errors import UserError
from medcode.inputs import Inputs, Split
from medcode.layers.label_attention import LabelAttention
from medcode.layers.projected_attention import ProjectedLabelAttention
from medcode.layers.recalibrated_aggregation import RecalibratedAggregation
from medcode.layers.word_embedding import PAD
from medcode.models.base import LabelAttentionModel, Model

# A label's score of words like its title, and what such words add to its logit; chosen on CodiEsp's dev documents.
QUERY_SCALE, OUTPUT_SCALE = 20.0, 5.0
AT_A_TIME = 256


@torch.no_grad()
def start_from_titles(model: Model, titles: dict[str, Tensor]) -> None:
    """Gives every label whose title has a known word the vectors of that title, in place.

    The model reads the title as it reads a document, with its initial weights. The mean of what its label attention
    would compare with a query becomes the query, the mean of the features the output vector: so the label looks for
    words like those of its title from the first step, whatever the encoder. What all titles have in common is taken
    away first, and lengths are such that words that match in full score QUERY_SCALE and add OUTPUT_SCALE.

    Args:
        model: on its device, with its initial weights.
        titles: the known words of each label's title, {head: int [Y, T]} padded with 0.

    Raises:
        UserError: the model has no label attention on words, or reads its features through RAM.
    """
    heads = _attention_on_words(model)
    device = next(model.parameters()).device
    model.eval()
    for head, attention in heads.items():
        words = titles[head][:, : max(1, int((titles[head] != PAD).sum(1).max()))].to(device)
        known = words[:, 0] != PAD
        if not known.any():
            continue
        queries, outputs = _title_vectors(model, attention, words[known])
        attention.queries.weight[known] = QUERY_SCALE * queries
        attention.output.weight[known.nonzero(), torch.arange(outputs.shape[1], device=device)] = OUTPUT_SCALE * outputs
    model.train()


def _attention_on_words(model: Model) -> nn.ModuleDict | dict[str, nn.Module]:
    heads = model.attention if isinstance(model, LabelAttentionModel) else {}
    if not heads or not all(isinstance(own, LabelAttention | ProjectedLabelAttention) for own in heads.values()):
        raise UserError(
            f"recipe: label_vectors: titles is for models with label attention on word vectors, which "
            f"{type(model).__name__} has not; set label_vectors: drawn"
        )
    if any(isinstance(module, RecalibratedAggregation) for module in model.modules()):
        raise UserError(
            "recipe: label_vectors: titles goes without RAM, whose batch normalisation makes something else of titles "
            "before training than of documents in training; set label_vectors: drawn"
        )
    return heads


def _title_vectors(model: LabelAttentionModel, attention: nn.Module, words: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and features of titles, each a mean over the title's positions: [Y, T] -> [Y, keys], [Y, D]."""
    means, sizes = [], []
    for part in words.split(AT_A_TIME):
        features, real = model.features(part, (part != PAD).sum(1))  # [Y, P, D]
        projected = isinstance(attention, ProjectedLabelAttention)
        keys = torch.tanh(attention.projection(features)) if projected else features
        weights = torch.ones(features.shape[:2], device=words.device) if real is None else real.float()
        weights = (weights / weights.sum(1, keepdim=True)).unsqueeze(1)  # [Y, 1, P]
        means.append([(weights @ values).squeeze(1) for values in (keys, features)])
        sizes.append([(weights @ values.norm(dim=2, keepdim=True)).flatten() for values in (keys, features)])
    whole = [torch.cat(parts) for parts in zip(*means, strict=True)]
    size = [torch.cat(parts).mean() for parts in zip(*sizes, strict=True)]
    centred = [values - values.mean(0) if len(values) > 1 else values for values in whole]
    keys, features = (nn.functional.normalize(own, dim=1) / length for own, length in zip(centred, size, strict=True))
    return keys, features


def known_words(data: Inputs, heads: Iterable[str]) -> dict[str, np.ndarray]:
    """The words of each label's title that are in the vocabulary, {head: int64 [Y, T]} padded with 0 at the end."""
    unknown, found = len(data.vectors) - 1, {}
    for head in heads:
        words = np.where(data.descriptions[head] == unknown, PAD, data.descriptions[head]).astype(np.int64)
        found[head] = np.take_along_axis(words, np.argsort(words == PAD, axis=1, kind="stable"), axis=1)
    return found


def with_title_documents(data: Inputs, heads: Iterable[str]) -> Inputs:
    """Inputs in which the title of each label is one more training document, coded with that label alone.

    Only known words of titles count; a title without any makes no document. Other heads know nothing of it.

    Args:
        data: with descriptions.
        heads: whose labels.
    """
    tokens, train = [data.tokens], data.splits["train"]
    for head, words in known_words(data, heads).items():
        labels = np.flatnonzero(words[:, 0] != PAD)
        lengths = (words[labels] != PAD).sum(1)
        ends = sum(map(len, tokens)) + np.cumsum(lengths)
        tokens.append(words[labels][words[labels] != PAD].astype(data.tokens.dtype))
        train = _joined(train, head, labels, np.stack([ends - lengths, ends], axis=1))
    return replace(data, tokens=np.concatenate(tokens), splits=data.splits | {"train": train})


def _joined(train: Split, head: str, labels: np.ndarray, offsets: np.ndarray) -> Split:
    count, gold = len(labels), {}
    for name, own in train.labels.items():
        ones = np.full(count, name == head, own.dtype)
        columns = labels if name == head else np.zeros(count, int)
        new = sparse.csr_matrix((ones, (np.arange(count), columns)), shape=(count, own.shape[1]))
        new.eliminate_zeros()
        gold[name] = sparse.vstack([own, new], format="csr")
    return Split(
        documents=[*train.documents, *(f"title of {head} {label}" for label in labels)],
        offsets=np.concatenate([train.offsets, offsets]),
        labels=gold,
        outside={name: np.concatenate([own, np.zeros(count, own.dtype)]) for name, own in train.outside.items()},
        has={name: np.concatenate([own, np.full(count, name == head)]) for name, own in train.has.items()},
    )
