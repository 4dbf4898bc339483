"""Options that several models share."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from medcode.config.section import Chunk, Kernel, Section, Share

# Widths of convolutions that keep the number of positions.
OddKernels = Annotated[list[Annotated[Kernel, AfterValidator(lambda kernel: _odd(kernel))]], Field(min_length=1)]


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError("expected an odd kernel, which keeps the number of positions")
    return kernel


class ModelConfig(Section):
    """Options of every model: those of its file, and dropout and embedding from the recipe.

    `heads` names the label spaces that the model predicts, of those in data/inputs: icd, ccs (CCS categories), category
    (the first characters of a code). `mask_padding: false` does not mask padding, as in the authors' code.
    `match_released_code` follows the authors' code wherever it differs from the description in their paper.

    Attributes:
        shares_features: whether the model has one label attention per head on features that the heads share.
        fits_at_once: whether its weights are fitted at once rather than in steps.
        tokenize_rule: the rule by which notes must be tokenized (`tokenize.rule`); None for any.
        plain_labels: whether a label is nothing but its query and output vector in the label attention of its head.
        needs_...: whether the model's constructor takes the field of `ModelInputs` of that name in training.
    """

    shares_features: ClassVar[bool] = False
    plain_labels: ClassVar[bool] = True
    fits_at_once: ClassVar[bool] = False
    tokenize_rule: ClassVar[str | None] = None
    needs_descriptions: ClassVar[bool] = False
    needs_edges: ClassVar[bool] = False
    needs_train_documents: ClassVar[bool] = False
    needs_titles: ClassVar[bool] = False
    needs_terms: ClassVar[bool] = False
    needs_tree: ClassVar[bool] = False
    needs_cooccurrence: ClassVar[bool] = False

    heads: list[str] = Field(["icd"], min_length=1)
    dropout: Share
    embedding: Literal["trained", "static"]
    mask_padding: bool = True
    match_released_code: bool = False

    @property
    def masked(self) -> bool:
        """Whether padding is masked; no reference implementation does so."""
        return self.mask_padding and not self.match_released_code

    @property
    def attends_to_tokens(self) -> bool:
        """Whether labels attend to the tokens of a note, or to a few neighbors at a time, so that spans can teach them.

        A model class whose positions are not the tokens says which are, with `marked_positions`.
        """
        return self.shares_features

    @property
    def takes_curriculum(self) -> bool:
        """Whether a label can start from another one, that of the level above, by its rows in `attention[head]`."""
        return self.shares_features and self.attends_to_tokens and self.plain_labels

    @property
    def token_limit(self) -> int | None:
        """Number of tokens of a note that the model reads at most; None for all that it gets."""
        return None

    @property
    def published_encoder(self) -> str | None:
        """Size of the encoder in the publication; None for a model on words."""
        return None

    @property
    def uses_subwords(self) -> bool:
        """Whether the model reads subwords instead of words."""
        return self.published_encoder is not None


class RecalibratedConfig(ModelConfig):
    """Options of a model with MT-RAM's recalibrated aggregation module (RAM), for all ablations of MT-RAM.

    `ram: true` puts RAM between features and heads. `ram_combine` says how RAM joins its weights with the features, by
    a product or a sum. `ram_position` says whether the heads share one RAM or each branch has its own. `ram_init:
    identity` makes RAM begin as tanh(h), so that features reach the heads from the first step; `match_released_code`
    ignores it.
    """

    shares_features: ClassVar[bool] = True

    ram: bool = False
    ram_combine: Literal["multiply", "add"] = "multiply"
    ram_position: Literal["shared", "branches"] = "shared"
    ram_init: Literal["published", "identity"] = "published"

    @property
    def attends_to_tokens(self) -> bool:
        """See `ModelConfig`; not where each head has a RAM of its own between features and attention."""
        return not (self.ram and self.ram_position == "branches")


class EncoderConfig(ModelConfig):
    """Options of every model on a pretrained encoder. `embedding` is about subword vectors.

    `chunk` is the number of positions that the encoder reads at a time, special tokens included.
    """

    shares_features: ClassVar[bool] = True
    published_size: ClassVar[str]  # of the encoder, a key of medcode.models.catalog.PUBLISHED_SIZES

    chunk: Chunk

    @property
    def published_encoder(self) -> str | None:
        """See `ModelConfig`."""
        return self.published_size


class StudyConfig(EncoderConfig):
    """Options of the models of the BERT study."""

    published_size: ClassVar[str] = "bert-base-cased"

    head: Literal["fcn", "label_attention"]

    @property
    def attends_to_tokens(self) -> bool:
        """See `ModelConfig`."""
        return self.head == "label_attention"
