"""Evidence for the codes of a note: weights of its tokens, with their places in its text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from medcode.evidence.attributions import attribute, check_method, default_method
from medcode.inference.predict import slices_of, token_ids
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import score
from medcode.text.offsets import token_offsets


@dataclass(frozen=True)
class TokenWeights:
    """Weights of the tokens of a note for some labels.

    Attributes:
        method: by which they were computed.
        offsets: start and end of each token in characters of the note, int64 [N, 2].
        weights: {head: float32 [K, N]}; zero for tokens that the model does not read.
    """

    method: str
    offsets: np.ndarray
    weights: dict[str, np.ndarray]


def explain(
    trained: TrainedModel, text: str, labels: Mapping[str, np.ndarray], method: str | None = None
) -> TokenWeights:
    """Return the weights of a note's tokens for some labels.

    A model on sentences scores a label by its best sentence; only the tokens of that sentence have weights.

    Args:
        trained: the model.
        text: the note, with at least one token.
        labels: {head: indices of K labels, int [K]}.
        method: a name of `attributions.METHODS`; None takes the model's default.

    Raises:
        UserError: there is no such method, or it does not work for the model.
    """
    model, method = trained.model, method or default_method(trained.model)
    check_method(model, method)
    tokens, _ = token_ids(trained, text)
    (offsets,) = token_offsets([text], trained.rule, trained.tokenizer)
    slices, _ = slices_of(trained, text, len(tokens))
    return TokenWeights(method, offsets, token_weights(trained, tokens, slices, labels, method))


def token_weights(
    trained: TrainedModel, tokens: np.ndarray, slices: np.ndarray, labels: Mapping[str, np.ndarray], method: str
) -> dict[str, np.ndarray]:
    """Return the weights of a note's tokens for some labels, {head: float32 [K, N]}.

    Args:
        trained: the model.
        tokens: ids of the note, int [N].
        slices: start and end of what the model reads at a time, int64 [S, 2]. Of several, those of the best have
            weights.
        labels: {head: indices of K labels, int [K]}.
        method: a name of `attributions.METHODS` that works for the model.
    """
    model = trained.model
    best = {head: np.zeros(len(chosen), np.int64) for head, chosen in labels.items()}
    if len(slices) > 1:
        logits = score(model, tokens[: slices.max()], slices, trained.max_tokens, batch_size=1)
        best = {head: logits[head][:, chosen].argmax(axis=0) for head, chosen in labels.items()}
    weights = {head: np.zeros((len(chosen), len(tokens)), np.float32) for head, chosen in labels.items()}
    device = next(model.parameters()).device
    for head, chosen in labels.items():
        for number in np.unique(best[head]):
            rows, (start, end) = np.flatnonzero(best[head] == number), slices[number]
            note = torch.from_numpy(tokens[start:end].astype(np.int64))[None].to(device)
            lengths, of_rows = torch.tensor([end - start], device=device), torch.from_numpy(np.asarray(chosen)[rows])
            found = attribute(model, note, lengths, head, of_rows.to(device), method)
            weights[head][rows, start:end] = found[0].cpu().numpy()
    return weights


def explain_mean(
    models: Iterable[TrainedModel], text: str, labels: Mapping[str, np.ndarray], method: str | None = None
) -> TokenWeights:
    """Return the mean of the weights of several models, each divided by the sum of its absolute weights.

    Args:
        models: one or several, of the same labels and tokens, one after another.
        text, labels, method: as for `explain`.
    """
    parts = [explain(trained, text, labels, method) for trained in models]
    mean = {head: np.mean([_scaled(part.weights[head]) for part in parts], axis=0) for head in labels}
    return TokenWeights(parts[0].method, parts[0].offsets, mean)


def _scaled(weights: np.ndarray) -> np.ndarray:
    total = np.abs(weights).sum(axis=1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
