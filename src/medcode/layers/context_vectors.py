"""Context vectors of many queries: attention whose result is needed as a whole, not only its product with a vector."""

from __future__ import annotations

from torch import Tensor, nn


def context_vectors(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute sum_n softmax_n(q . k_n) v_n, by torch's attention, which does not hold the scores of many queries.

    Args:
        queries: [B or 1, Y, K].
        keys: [B or 1, N, K].
        values: [B or 1, N, D].
        mask: bool [B, N], true where real, at least once in each row; None masks nothing.

    Shapes: -> [B, Y, D].
    """
    size = max(len(queries), len(keys))
    heads = [tensor.expand(size, -1, -1).unsqueeze(1) for tensor in (queries, keys, values)]  # as of one head
    real = None if mask is None else mask[:, None, None]
    return nn.functional.scaled_dot_product_attention(*heads, attn_mask=real, scale=1.0).squeeze(1)
