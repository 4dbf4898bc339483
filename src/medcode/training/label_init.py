"""Optional use of label descriptions and training frequencies: initial label vectors and biases, and more documents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from medcode.config import Recipe
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.errors import UserError
from medcode.layers.word_embedding import PAD
from medcode.models.base import LabelAttentionHeads, Model
from medcode.text.tokenization import text_of
from medcode.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from medcode.encoders.pieces import PieceTokenizer

# A label's score of words like its title, and what such words add to its logit; chosen on CodiEsp's dev documents, for
# words and for word pieces alike.
QUERY_SCALE, OUTPUT_SCALE = 20.0, 5.0
AT_A_TIME = 256

# What is known of each label's title, by head: numbers of its words or word pieces, int64 [T] a label; T may be 0.
Titles = dict[str, list[np.ndarray]]


def initialise(model: Model, recipe: Recipe, data: Inputs, titles: Titles) -> None:
    """Changes the model's initial weights as `label_init` and `label_biases` of the recipe say, in place.

    Args:
        model: on its device, as its class draws it.
        recipe: the two options.
        data: with the training split.
        titles: of the labels; read where label vectors start from them.

    Raises:
        UserError: the model does not have what would be changed.
    """
    if recipe.label_init == "descriptions":
        start_from_titles(model, titles)
    if recipe.label_biases == "log_odds":
        for head in model.heads:
            documents = int(data.splits["train"].targets[head].is_coded.sum())
            start_from_frequencies(model, head, data.train_counts(head), documents)


def start_from_frequencies(model: Model, head: str, counts: np.ndarray, documents: int) -> None:
    """Sets each output bias to the log odds of its label among the training documents, log (n + 1/2) / (N - n + 1/2).

    Args:
        counts: n of each label, [Y].
        documents: N.

    Raises:
        UserError: the model has no output bias of each label.
    """
    n = torch.from_numpy(counts).double()
    with torch.no_grad():
        _output_bias(model, head).copy_(torch.log((n + 0.5) / (documents - n + 0.5)))


def _output_bias(model: Model, head: str) -> Tensor:
    attention, output = getattr(model, "attention", None), getattr(model, "output", None)
    layer = output[head] if output is not None else getattr(attention[head], "output", None) if attention else None
    if layer is None:
        raise UserError(
            f"recipe: label_biases: log_odds is for models whose logits have a bias for each label, which "
            f"{type(model).__name__} has not; set label_biases: random"
        )
    return layer.bias


@torch.no_grad()
def start_from_titles(model: Model, titles: Titles) -> None:
    """Gives every label of whose title something is known the vectors of that title, in place.

    The model reads the title as it reads a document, with its initial weights. The mean of what its label attention
    would compare with a query becomes the query, the mean of the features the output vector: so the label looks for
    words like those of its title from the first step, whatever the encoder. What all titles have in common is taken
    away first, and lengths are such that words that match in full score QUERY_SCALE and add OUTPUT_SCALE.

    Args:
        model: on its device, with its initial weights.
        titles: of the labels of every head of the model.

    Raises:
        UserError: the model has no label attention on features of words, or reads its features through RAM.
    """
    heads = _attention_on_features(model)
    device = next(model.parameters()).device
    model.eval()
    for head, attention in heads.items():
        known = torch.tensor([len(own) > 0 for own in titles[head]], device=device)
        if not known.any():
            continue
        queries, outputs = _title_vectors(model, attention, [own for own in titles[head] if len(own)], device)
        attention.queries.weight[known] = QUERY_SCALE * queries
        attention.output.weight[known.nonzero(), torch.arange(outputs.shape[1], device=device)] = OUTPUT_SCALE * outputs
    model.train()


def _attention_on_features(model: Model) -> nn.ModuleDict | dict[str, nn.Module]:
    heads = model.attention if isinstance(model, LabelAttentionHeads) else {}
    # Asked by what it can do: naming the layers would make every training depend on layers that its model lacks.
    if not heads or not all(hasattr(attention, "keys") for attention in heads.values()):
        raise UserError(
            "recipe: label_init: descriptions is for models with label attention, which "
            f"{type(model).__name__} has not with these options; set label_init: random"
        )
    if getattr(model.config, "ram", False):
        raise UserError(
            "recipe: label_init: descriptions goes without RAM, whose batch normalization makes something else of "
            "descriptions before training than of documents in training; set label_init: random"
        )
    return heads


def _title_vectors(
    model: LabelAttentionHeads, attention: nn.Module, titles: list[np.ndarray], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Keys and features of Y titles, each a mean over the title's positions: [Y, keys], [Y, D]."""
    tokens = pad_sequence([torch.from_numpy(own) for own in titles], batch_first=True, padding_value=PAD).to(device)
    lengths = torch.tensor([len(own) for own in titles], device=device)
    means, sizes = [], []
    for some, own in zip(tokens.split(AT_A_TIME), lengths.split(AT_A_TIME), strict=True):
        features, real = model.features(some, own)  # [Y, P, D]
        keys = attention.keys(features)
        weights = torch.ones(features.shape[:2], device=device) if real is None else real.float()
        weights = (weights / weights.sum(1, keepdim=True)).unsqueeze(1)  # [Y, 1, P]
        means.append([(weights @ values).squeeze(1) for values in (keys, features)])
        sizes.append([(weights @ values.norm(dim=2, keepdim=True)).flatten() for values in (keys, features)])
    whole = [torch.cat(parts) for parts in zip(*means, strict=True)]
    size = [torch.cat(parts).mean() for parts in zip(*sizes, strict=True)]
    centred = [values - values.mean(0) if len(values) > 1 else values for values in whole]
    keys, features = (nn.functional.normalize(own, dim=1) / length for own, length in zip(centred, size, strict=True))
    return keys, features


def known_titles(data: Inputs, heads: Iterable[str], pieces: PieceTokenizer | None = None) -> Titles:
    """Titles of the labels of some heads, without what is unknown of them.

    Args:
        data: with descriptions, for a model on words.
        heads: whose labels.
        pieces: for a model on word pieces; titles are cut as notes are.
    """
    if pieces is None:
        unknown = Vocabulary(data.vocabulary).unknown
        return {
            head: [own[(own != PAD) & (own != unknown)].astype(np.int64) for own in data.descriptions[head]]
            for head in heads
        }
    texts = {head: [text_of(label["title"], pieces.text, data.rule) for label in data.labels[head]] for head in heads}
    return {
        head: [own[own != pieces.unknown].astype(np.int64) for own in pieces(titles)] for head, titles in texts.items()
    }


def with_description_documents(data: Inputs, titles: Titles) -> Inputs:
    """Inputs in which the title of each label is one more training document, coded with that label alone.

    A title of which nothing is known makes no document. Other heads know nothing of it.

    Args:
        data: whose tokens are of the kind of the titles.
        titles: of the labels of the heads to teach.
    """
    tokens, train = [data.tokens], data.splits["train"]
    for head, own in titles.items():
        lengths = np.array([len(title) for title in own], dtype=np.int64)
        labels = np.flatnonzero(lengths)
        ends = sum(map(len, tokens)) + np.cumsum(lengths[labels])
        tokens.append(np.concatenate(own).astype(data.tokens.dtype))
        train = _joined(train, head, labels, np.stack([ends - lengths[labels], ends], axis=1))
    return replace(data, tokens=np.concatenate(tokens), splits=data.splits | {"train": train})


def _joined(train: Split, head: str, labels: np.ndarray, offsets: np.ndarray) -> Split:
    targets = {}
    for name, of_documents in train.targets.items():
        n_labels = of_documents.matrix.shape[1]
        of_titles = (
            Targets.of_single_labels(labels, n_labels) if name == head else Targets.uncoded(len(labels), n_labels)
        )
        targets[name] = of_documents.joined(of_titles)
    return Split(
        documents=[*train.documents, *(f"title of {head} {label}" for label in labels)],
        offsets=np.concatenate([train.offsets, offsets]),
        targets=targets,
    )
