"""Logits of a note without some of its tokens: what occlusion and the measures of faithfulness compare."""

from __future__ import annotations

import torch
from torch import Tensor

from medcode.evidence.token_vectors import baseline_vector, changed_vectors, embedding_layer, token_places
from medcode.models.base import Model

TOKENS_AT_A_TIME = 16_384  # of copies of a note in one pass


@torch.no_grad()
def hidden_logits(model: Model, tokens: Tensor, head: str, labels: Tensor, hidden: Tensor) -> Tensor:
    """Return the logits of a note for each way of hiding some of its tokens.

    A hidden token has the vector of padding at its place. A model without word vectors reads the note without it.

    Args:
        model: in evaluation mode.
        tokens: ids of the note, int [N] with N > 0.
        head: a head of the model.
        labels: indices of K of its labels, int [K].
        hidden: which tokens are hidden, bool [M, N].

    Shapes: -> fp32 [M, K].
    """
    if embedding_layer(model) is None:
        parts = [_without(model, tokens, head, labels, part) for part in hidden.split(copies_at_a_time(tokens))]
        return torch.cat(parts)
    places, logits = token_places(model, len(tokens)), []
    is_token = places >= 0
    for part in hidden.split(copies_at_a_time(tokens)):
        at_places = (part[:, places.clamp(min=0)] & is_token).flatten(0, 1)[..., None]  # [copies C, L, 1]

        def hide(output: Tensor, at_places: Tensor = at_places) -> Tensor:
            return torch.where(at_places, baseline_vector(model).to(output), output)

        with changed_vectors(model, hide):
            logits.append(model(*repeated(tokens, len(part)))[head][:, labels].float())
    return torch.cat(logits)


def _without(model: Model, tokens: Tensor, head: str, labels: Tensor, hidden: Tensor) -> Tensor:
    lengths = (~hidden).sum(1)
    kept_first = hidden.to(torch.uint8).argsort(dim=1, stable=True)  # the kept tokens, in their order
    shorter = tokens[kept_first][:, : max(1, int(lengths.max()))]
    past_end = torch.arange(shorter.shape[1], device=tokens.device) >= lengths[:, None]
    return model(shorter.masked_fill(past_end, 0), lengths)[head][:, labels].float()


def copies_at_a_time(tokens: Tensor) -> int:
    """Return how many copies of a note are computed at a time."""
    return max(1, TOKENS_AT_A_TIME // len(tokens))


def repeated(tokens: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    """Return a batch of copies of a note: ids [copies, N] and lengths [copies]."""
    return tokens.expand(copies, -1).contiguous(), torch.tensor([len(tokens)], device=tokens.device).expand(copies)
