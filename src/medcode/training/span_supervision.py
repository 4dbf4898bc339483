"""Supervision of label attention by spans, the places in a note that a gold label rests on (recipe key `span_weight`).

    loss = loss over labels + span_weight * mean over pairs of -log(sum over n in the spans of a_yn)

A pair is a document, or a sentence where those are examples, and one of its gold labels with a span. The mean is over
the pairs of a batch. Source of the idea: Cheng et al. 2023, "MDACE: MIMIC Documents Annotated with Code Evidence",
which trains the label attention of EffectiveCAN on annotated evidence. The code of Edin et al. 2024, "An Unsupervised
Approach to Achieve Supervised-Level Explainability in Healthcare Records", takes the divergence from a uniform
distribution over the tokens of the spans. Here it is the logarithm of the attention within them, as in Kadlec et al.
2016, "Text Understanding with the Attention Sum Reader Network": a label may attend to any part of its spans, so that
one of several mentions is enough.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.engine.batches import scoring_batches
from medcode.engine.device_data import DeviceNotes
from medcode.engine.device_spans import DeviceSpans
from medcode.engine.precision import autocast
from medcode.engine.transfer import to_device
from medcode.models.base import Model

SPAN_LOSS, IN_SPANS = "train_span_loss", "attention_in_spans"


class ForwardWithAttention(nn.Module):
    """A model whose forward also returns the attention of some labels, for what wraps it in several processes.

    Args:
        model: with label attention.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See `Model.forward_with_attention`."""
        return self.model.forward_with_attention(tokens, lengths, labels)


def labels_with_spans(spans: dict[str, DeviceSpans], documents: Tensor) -> dict[str, Tensor]:
    """Return the gold labels with spans of some documents, {head: int64 [B, M]}."""
    return {head: of_head.labels(documents) for head, of_head in spans.items()}


def count_pairs(spans: dict[str, DeviceSpans], documents: Tensor) -> Tensor:
    """Return the number of pairs of some documents over all heads, int64 []."""
    return torch.stack([of_head.counts(documents).sum() for of_head in spans.values()]).sum()


def attention_in_spans(
    model: Model, spans: dict[str, DeviceSpans], attention: dict[str, Tensor], documents: Tensor, length: int
) -> tuple[Tensor, Tensor]:
    """Return the sum of the attention of each pair over its spans.

    Args:
        model: knows the positions of tokens.
        spans: of the split, by head.
        attention: of the labels of `labels_with_spans`, {head: fp32 [B, M, P]}.
        documents: of the batch, int64 [B], on the device.
        length: N of the batch.

    Returns:
        The sums of all heads, fp32 [sum of the M times B]; whether each is of a pair rather than padding, bool.
    """
    sums, is_pair = [], []
    for head, of_head in spans.items():
        marked = model.marked_positions(of_head.tokens(documents, length), attention[head].shape[2])
        place = torch.arange(marked.shape[1], device=documents.device)
        is_pair.append((place < of_head.counts(documents).unsqueeze(1)).flatten())
        sums.append((attention[head] * marked).sum(2).flatten())
    return torch.cat(sums), torch.cat(is_pair)


def span_loss(in_spans: Tensor, is_pair: Tensor) -> Tensor:
    """Return the sum over pairs of the negative logarithm of their attention in spans, fp32 []; finite everywhere.

    Args:
        in_spans, is_pair: result of `attention_in_spans`.
    """
    return -(in_spans.clamp(torch.finfo(torch.float32).tiny, 1.0).log() * is_pair).sum()


@torch.inference_mode()
def mean_attention_in_spans(
    model: Model, notes: DeviceNotes, spans: dict[str, DeviceSpans], batch_size: int, precision: str
) -> float | None:
    """Return how much of the attention of gold labels lies in their spans, a mean over pairs; None without a pair.

    Args:
        model: on its device; left in evaluation mode.
        notes: the documents.
        spans: theirs, by head.
        batch_size: documents at a time.
        precision: of the features.
    """
    model.eval()
    values: list[Tensor] = []
    for batch in scoring_batches(notes.lengths, batch_size, padding=model.config.masked):
        documents = to_device(batch.documents, notes.device)
        with autocast(notes.device, precision):
            attention = model.label_attention(
                *notes.gather(documents, batch.length), labels_with_spans(spans, documents)
            )
        in_spans, is_pair = attention_in_spans(model, spans, attention, documents, batch.length)
        values.append(in_spans[is_pair].double().cpu())
    of_pairs = torch.cat(values)
    return float(of_pairs.mean()) if len(of_pairs) else None
