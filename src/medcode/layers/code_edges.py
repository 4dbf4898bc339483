"""Links between the codes of two systems, along which the codes of one attend to those of the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Edges:
    """Edges along which codes of one system attend to codes of the other, each pair of codes once.

    Attributes:
        attending: indices of the attending codes, int64 [E].
        attended: indices of the codes of the other system that they attend to, int64 [E].
        weight: weight of each edge, fp32 [E]: 1 for an exact mapping, 0.5 for an approximate one.
    """

    attending: Tensor
    attended: Tensor
    weight: Tensor

    @classmethod
    def none(cls) -> Edges:
        """Return an empty set of edges."""
        empty = torch.empty(0, dtype=torch.long)
        return cls(empty, empty.clone(), torch.empty(0))

    def symmetric(self, back: Edges) -> Edges:
        """Return the union with the reversed edges of the other direction; a pair in both has the larger weight."""
        pairs = torch.cat(
            [torch.stack([self.attending, self.attended]), torch.stack([back.attended, back.attending])], dim=1
        )
        pairs, index = pairs.unique(dim=1, return_inverse=True)
        weights = torch.cat([self.weight, back.weight])
        weight = weights.new_zeros(pairs.shape[1]).scatter_reduce(0, index, weights, "amax")
        return Edges(pairs[0], pairs[1], weight)
