"""Medical code attention network (MAT): codes of two systems attend to the codes that they map to in the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky rectifier, as in graph attention networks
GAIN = 1.414  # of the vector's initial weights, likewise
BUFFERS = {"attending": "own", "attended": "other", "weight": "weight"}  # names in the files of saved weights


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


class MedicalCodeAttention(nn.Module):
    """Label vectors of the codes of two systems, where each code attends to its equivalents in the other system.

    Source: Jeong et al., "Bridging the Code Gap: A Joint Learning Framework Across Medical Coding Systems", equations 1
    and 2; the authors' code.

        e_ij = leaky(a . [h_i; h_j]),   alpha_ij = softmax over j in {i} and what i maps to
        u'_i = ELU(alpha_ii u_i + sum_j alpha_ij w_ij v_j)

    and the same for v' with the edges of the other direction; w_ij is the weight of an edge. A code without edges has
    ELU(u_i). Each system has a separate table; the vector a is shared. The softmax is computed over lists of edges, so
    memory grows with the number of edges, where the authors' code stores matrices of all pairs of codes.

    Args:
        labels: number of codes Y of each of the two systems, {head: Y}.
        features: d.
        edges: {head: edges that change the vectors of this head's codes}; None starts without edges, for a model whose
            saved weights, which contain the edges, are loaded later.
        renormalized: whether the weighted sum is divided by its total weight. In the paper and the authors' code it is
            not, so a code with approximate mappings gets a smaller vector.

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
            head_edges = Edges.none() if edges is None else edges[head]
            order = torch.argsort(head_edges.attending, stable=True)  # the edges of a code are adjacent
            for name, buffer in BUFFERS.items():
                self.register_buffer(f"{buffer}_{head}", getattr(head_edges, name)[order])
        self.register_load_state_dict_pre_hook(_resize_edges)

    def forward(self) -> dict[str, Tensor]:
        first, second = self.heads
        with torch.autocast(self.vector.device.type, enabled=False):
            return {first: self._attend(first, second), second: self._attend(second, first)}

    def edges(self, head: str) -> Edges:
        """Return the edges that change the vectors of a head's codes."""
        return Edges(**{name: getattr(self, f"{buffer}_{head}") for name, buffer in BUFFERS.items()})

    def _attend(self, head: str, other_head: str) -> Tensor:
        edges, u, v = self.edges(head), self.tables[head], self.tables[other_head]
        source, target = self.vector.squeeze(1).chunk(2)
        source_scores = u @ source  # a . [h_i; h_j] is a sum of two numbers, one of each code
        self_scores = nn.functional.leaky_relu(source_scores + u @ target, SLOPE)  # [Y]
        edge_scores = nn.functional.leaky_relu(
            source_scores[edges.attending] + (v @ target)[edges.attended], SLOPE
        )  # [E]
        peak = self_scores.detach().scatter_reduce(0, edges.attending, edge_scores.detach(), "amax")
        self_weights, edge_weights = (self_scores - peak).exp(), (edge_scores - peak[edges.attending]).exp()
        total = self_weights.index_add(0, edges.attending, edge_weights)
        edge_weights = edge_weights * edges.weight.to(edge_weights.dtype)
        if self.renormalized:
            total = self_weights.index_add(0, edges.attending, edge_weights)
        starts = torch.searchsorted(edges.attending, torch.arange(len(u), device=u.device))
        # A bag holds the codes that one code attends to, so no tensor of the size [E, d] is created.
        context = nn.functional.embedding_bag(
            edges.attended, v, starts, mode="sum", per_sample_weights=edge_weights / total[edges.attending]
        )
        return nn.functional.elu((self_weights / total).unsqueeze(1) * u + context)


def _resize_edges(module: MedicalCodeAttention, weights: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Resize the buffers of edges to the weights that are loaded, because only these know the number of edges."""
    for name, buffer in module.named_buffers(recurse=False):
        if prefix + name in weights:
            setattr(module, name, buffer.new_empty(weights[prefix + name].shape))
