"""Options of PLM-CA."""

from __future__ import annotations

from typing import ClassVar, Literal

from medcode.config.models.base import EncoderConfig


class PlmCaConfig(EncoderConfig):
    """Options of PLM-CA.

    `output: shared` has one output vector for all labels, as Edin et al.; `per_label` one for each, as Zhang et al.
    `queries: titles` initializes what is of a label, its query and its own output vector, from its encoded title.
    """

    published_size: ClassVar[str] = "roberta-base-pm"
    needs_titles: ClassVar[bool] = True
    plain_labels: ClassVar[bool] = False  # it may share its output vector, or start from its title

    output: Literal["shared", "per_label"]
    queries: Literal["random", "titles"]
