"""JAMS: ICD-9 and ICD-10 learned jointly by any label attention model, with links between the codes of the two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from medcode import models
from medcode.config.models.jams import CODES, JamsConfig
from medcode.errors import UserError
from medcode.layers.label_attention import LabelAttention
from medcode.layers.medical_code_attention import MedicalCodeAttention
from medcode.layers.projected_attention import ProjectedLabelAttention
from medcode.models.base import Model, ModelInputs


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
    needs_descriptions = True
    needs_edges = True

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
        features, real = self.backbone.features(tokens, lengths)
        return self._split(self.backbone.attention[CODES](features, real, queries=self._queries()))

    def label_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """See `Model`."""
        (features, real), queries = self.backbone.features(tokens, lengths), self.codes()
        if labels is not None:
            queries = {head: queries[head][indices] for head, indices in labels.items()}
        attention = self.backbone.attention[CODES]
        return {head: attention.weights(features, real, vectors) for head, vectors in queries.items()}

    def regularization(self, gold: dict[str, Tensor]) -> Tensor | None:
        """See `Model`; that of the backbone."""
        return self.backbone.regularization({CODES: torch.cat([gold[head] for head in self.heads], dim=1)})

    def before_evaluation(self, train_counts: dict[str, Tensor]) -> None:
        """See `Model`; that of the backbone."""
        self.backbone.before_evaluation({CODES: torch.cat([train_counts[head] for head in self.heads])})

    def _queries(self) -> Tensor:
        return torch.cat(list(self.codes().values()))

    def _split(self, values: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.heads, values.split(list(self.heads.values()), dim=1), strict=True))


def _backbone_inputs(inputs: ModelInputs) -> ModelInputs:
    """Return inputs with both heads joined into one of Y + Y' labels, and descriptions padded with 0 to the longest."""
    descriptions = None
    if inputs.descriptions is not None:
        words = [inputs.descriptions[head] for head in inputs.heads]
        longest = max(of_head.shape[1] for of_head in words)
        padded = [nn.functional.pad(of_head, (0, longest - of_head.shape[1])) for of_head in words]
        descriptions = {CODES: torch.cat(padded)}
    return replace(inputs, heads={CODES: sum(inputs.heads.values())}, descriptions=descriptions, edges=None)
