"""JAMS: ICD-9 and ICD-10 learned jointly by any label attention model, with links between the codes of the two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from medcode import models
from medcode.config.models.jams import CODES, JamsConfig
from medcode.errors import UserError
from medcode.layers.code_edges import Edges
from medcode.layers.label_attention import LabelAttention
from medcode.layers.loaded_buffers import resize_to_loaded
from medcode.layers.projected_attention import ProjectedLabelAttention
from medcode.models.base import Model
from medcode.models.inputs import ModelInputs

SLOPE = 0.2  # of the leaky rectifier, as in graph attention networks
GAIN = 1.414  # of the vector's initial weights, likewise
BUFFERS = {"attending": "own", "attended": "other", "weight": "weight"}  # names in the files of saved weights


class Jams(Model):
    """JAMS (Jeong et al., "Bridging the Code Gap: A Joint Learning Framework Across Medical Coding Systems"; the
    authors' code).

        h = encoder of the backbone, shared by both systems
        u', v' = MAT(u, v, edges between ICD-9 and ICD-10 codes)
        logits = the backbone's label attention with u' (ICD-9) and v' (ICD-10) as the queries

    The loss of a document is that over the labels of its coding system; the mean over a batch is equation 3. A document
    coded in both systems (MIMIC-IV has a handful) has the losses of both and counts once.

    Args: config: backbone, a model with label attention; backbones, the options of each; heads, the two systems;
        renormalized and symmetric, variants of MAT for approximate edges and for edges of only one direction;
        inputs: `descriptions` for a backbone that reads descriptions; `edges`, {head: edges that change the vectors of
        its codes}, needed only for training, since a saved model has them among its weights.

    Raises:
        UserError: the number of heads is not two, or the backbone's attention has no query for each label.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, P]} with the backbone's P.

    Departures: as the backbone; `match_released_code` is passed on to it. The labels of both systems are one head of
        the backbone, so that they share a projection before the attention, as in the authors' code. The authors' edges
        are not public: here they are the rows of the General Equivalence Mappings, with one file for each direction.
    """

    paper = "Jeong et al. 2024"
    Config = JamsConfig

    def __init__(self, config: JamsConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        heads, edges = inputs.heads, inputs.edges
        if len(heads) != 2:
            raise UserError(f"heads: two different heads are joined, found {', '.join(heads)}")
        self.backbone = models.find(config.backbone)(config.backbone_config, _backbone_inputs(inputs))
        attention = self.backbone.attention[CODES]
        if not isinstance(attention, LabelAttention | ProjectedLabelAttention):
            raise UserError(f"options.backbones.{config.backbone}: its attention has no query for each label")
        if edges is not None and config.symmetric:
            first, second = heads
            edges = {
                first: edges[first].symmetric(edges[second]),
                second: edges[second].symmetric(edges[first]),
            }
        if isinstance(attention, LabelAttention):  # Xavier's bound depends on the number of labels, of one system
            for weights in attention.output.weight.split(list(heads.values())):
                nn.init.xavier_uniform_(weights)
        features = attention.queries.in_features
        attention.queries = None  # replaced by the vectors of MAT
        self.codes = MedicalCodeAttention(heads, features, edges, renormalized=config.renormalized)

    def rebuild_metadata(self) -> dict[str, Any]:
        """See `Model`; that of the backbone."""
        return self.backbone.rebuild_metadata()

    def layer_depths(self) -> dict[str, int]:
        """See `Model`; those of the backbone's encoder."""
        return {f"backbone.{name}": depth for name, depth in self.backbone.layer_depths().items()}

    def enable_gradient_checkpointing(self) -> None:
        """See `Model`."""
        self.backbone.enable_gradient_checkpointing()

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return self._logits(*self.backbone.features(tokens, lengths), self.codes())

    def label_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """See `Model`."""
        return self._attention(*self.backbone.features(tokens, lengths), self.codes(), labels)

    def forward_with_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See `Model`."""
        (features, real), queries = self.backbone.features(tokens, lengths), self.codes()
        return self._logits(features, real, queries), self._attention(features, real, queries, labels)

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """See `Model`; those of the backbone."""
        return self.backbone.marked_positions(marked, positions)

    def regularization(self, gold: dict[str, Tensor]) -> Tensor | None:
        """See `Model`; that of the backbone."""
        return self.backbone.regularization({CODES: torch.cat([gold[head] for head in self.heads], dim=1)})

    def before_evaluation(self, train_counts: dict[str, Tensor]) -> None:
        """See `Model`; that of the backbone."""
        self.backbone.before_evaluation({CODES: torch.cat([train_counts[head] for head in self.heads])})

    def _logits(self, features: Tensor, real: Tensor | None, queries: dict[str, Tensor]) -> dict[str, Tensor]:
        logits = self.backbone.attention[CODES](features, real, queries=torch.cat(list(queries.values())))
        return dict(zip(self.heads, logits.split(list(self.heads.values()), dim=1), strict=True))

    def _attention(
        self, features: Tensor, real: Tensor | None, queries: dict[str, Tensor], labels: dict[str, Tensor] | None
    ) -> dict[str, Tensor]:
        if labels is not None:
            queries = {head: queries[head][indices] for head, indices in labels.items()}
        attention = self.backbone.attention[CODES]
        return {head: attention.weights(features, real, vectors) for head, vectors in queries.items()}


def _backbone_inputs(inputs: ModelInputs) -> ModelInputs:
    """Return inputs with both heads joined into one of Y + Y' labels, and descriptions padded with 0 to the longest."""
    descriptions = None
    if inputs.descriptions is not None:
        words = [inputs.descriptions[head] for head in inputs.heads]
        longest = max(of_head.shape[1] for of_head in words)
        padded = [nn.functional.pad(of_head, (0, longest - of_head.shape[1])) for of_head in words]
        descriptions = {CODES: torch.cat(padded)}
    return replace(inputs, heads={CODES: sum(inputs.heads.values())}, descriptions=descriptions, edges=None)


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
        self.register_load_state_dict_pre_hook(resize_to_loaded)  # only the weights know the number of edges

    def forward(self) -> dict[str, Tensor]:
        first, second = self.heads
        with torch.autocast(self.vector.device.type, enabled=False):
            return {first: self._attend(first, second), second: self._attend(second, first)}

    @torch.no_grad()
    def set_vectors(self, chosen: Tensor, vectors: Tensor) -> None:
        """Set the vectors of some codes, before they attend to one another.

        Args:
            chosen: the codes among those of the first system and then of the second, bool [Y + Y'].
            vectors: of the chosen codes, [number, d].
        """
        tables = [self.tables[head] for head in self.heads]
        masks = chosen.split([len(table) for table in tables])
        parts = vectors.split([int(mask.sum()) for mask in masks])
        for table, mask, part in zip(tables, masks, parts, strict=True):
            table[mask] = part

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
