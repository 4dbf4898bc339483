"""The medical code attention network (MAT): codes of two systems look at what each maps to in the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky rectifier, as in graph attention networks
GAIN = 1.414  # of the vector's initial weights, likewise


@dataclass(frozen=True)
class Edges:
    """Edges that change the vectors of one system's codes, each pair of codes once.

    `own` are the numbers of these codes, `other` those of the codes of the other system that they look at, both int64
    [E]; `weight` says how much such a code counts, fp32 [E]: 1 where the two mean the same, 0.5 where they nearly do.
    """

    own: Tensor
    other: Tensor
    weight: Tensor

    @classmethod
    def none(cls) -> Edges:
        """No edges."""
        nothing = torch.empty(0, dtype=torch.long)
        return cls(nothing, nothing.clone(), torch.empty(0))

    def symmetric(self, back: Edges) -> Edges:
        """These edges and those of the other direction, turned round; of two weights the greater."""
        pairs = torch.cat([torch.stack([self.own, self.other]), torch.stack([back.other, back.own])], dim=1)
        pairs, place = pairs.unique(dim=1, return_inverse=True)
        weights = torch.cat([self.weight, back.weight])
        weight = weights.new_zeros(pairs.shape[1]).scatter_reduce(0, place, weights, "amax")
        return Edges(pairs[0], pairs[1], weight)


class MedicalCodeAttention(nn.Module):
    """Vectors of the codes of two systems, each drawn to the codes of the other that mean the same.

    Source: Jeong et al., "Bridging the Code Gap: A Joint Learning Framework Across Medical Coding Systems", equations 1
    and 2; the authors' code.

        e_ij = leaky(a . [h_i; h_j]),   alpha_ij = softmax over j in {i} and what i maps to
        u'_i = ELU(alpha_ii u_i + sum_j alpha_ij w_ij v_j)

    and the same for v' with the edges of the other direction; w_ij is the weight of an edge. A code without edges has
    ELU(u_i). Each system has a table of its own; the vector a serves both. The softmax is taken over lists of edges, so
    that memory grows with the edges, where the authors' code holds matrices of all pairs of codes.

    Args:
        labels: number of codes Y of each of the two systems, {head: Y}.
        features: d.
        edges: {head: the edges that change the vectors of this head's codes}; None for no edges, until saved weights,
            which hold the edges too, are loaded.
        renormalized: whether what is summed is divided by its total weight; in the paper and the authors' code it is
            not, so that a code that maps to others approximately gets a smaller vector.

    Shapes: -> {head: fp32 [Y, d]}.
    """

    def __init__(
        self, labels: dict[str, int], features: int, edges: dict[str, Edges] | None, *, renormalized: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.renormalized = tuple(labels), renormalized
        self.tables = nn.ParameterDict()
        self.vector = nn.Parameter(torch.empty(2 * features, 1))
        nn.init.xavier_uniform_(self.vector, gain=GAIN)
        for head, number in labels.items():
            self.tables[head] = nn.Parameter(torch.empty(number, features).normal_(std=0.03))
            kept = Edges.none() if edges is None else edges[head]
            order = torch.argsort(kept.own, stable=True)  # codes that one code looks at stand together
            for name in ("own", "other", "weight"):
                self.register_buffer(f"{name}_{head}", getattr(kept, name)[order])
        self.register_load_state_dict_pre_hook(_make_room)

    def forward(self) -> dict[str, Tensor]:
        first, second = self.heads
        with torch.autocast(self.vector.device.type, enabled=False):
            return {first: self._look(first, second), second: self._look(second, first)}

    def edges(self, head: str) -> Edges:
        """The edges that change the vectors of a head's codes."""
        return Edges(*(getattr(self, f"{name}_{head}") for name in ("own", "other", "weight")))

    def _look(self, head: str, beside: str) -> Tensor:
        edges, u, v = self.edges(head), self.tables[head], self.tables[beside]
        looking, seen = self.vector.squeeze(1).chunk(2)
        asks = u @ looking  # a . [h_i; h_j] is a sum of two numbers, one of each code
        to_self = nn.functional.leaky_relu(asks + u @ seen, SLOPE)  # [Y]
        to_other = nn.functional.leaky_relu(asks[edges.own] + (v @ seen)[edges.other], SLOPE)  # [E]
        peak = to_self.detach().scatter_reduce(0, edges.own, to_other.detach(), "amax")
        of_self, of_other = (to_self - peak).exp(), (to_other - peak[edges.own]).exp()
        total = of_self.index_add(0, edges.own, of_other)
        of_other = of_other * edges.weight.to(of_other.dtype)
        if self.renormalized:
            total = of_self.index_add(0, edges.own, of_other)
        starts = torch.searchsorted(edges.own, torch.arange(len(u), device=u.device))
        # A bag holds the codes that one code looks at; nothing of the size [E, d] is made.
        others = nn.functional.embedding_bag(
            edges.other, v, starts, mode="sum", per_sample_weights=of_other / total[edges.own]
        )
        return nn.functional.elu((of_self / total).unsqueeze(1) * u + others)


def _make_room(module: MedicalCodeAttention, weights: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Gives the edges the size that they have in the weights to be loaded: it is known from these alone."""
    for name, buffer in module.named_buffers(recurse=False):
        if prefix + name in weights:
            setattr(module, name, buffer.new_empty(weights[prefix + name].shape))
