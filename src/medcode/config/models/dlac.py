"""Options of DLAC."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medcode.config.models.base import EncoderConfig
from medcode.config.section import Epochs, Seed, Width


class DlacConfig(EncoderConfig):
    """Options of DLAC.

    `chunks` says whether labels attend to all chunks of a note `joined`, or to each chunk, with the mean of their
    logits (`averaged`). The `title_` options are of the word vectors of titles: their size, and the epochs and seed of
    word2vec.
    """

    published_size: ClassVar[str] = "longformer-base"
    needs_descriptions: ClassVar[bool] = True
    plain_labels: ClassVar[bool] = False  # queries start from titles

    chunks: Literal["joined", "averaged"]
    title_size: Annotated[Width, Field(le=2_048)]
    title_epochs: Epochs = 30
    title_seed: Seed = 1

    @property
    def attends_to_tokens(self) -> bool:
        """See `ModelConfig`; not where labels attend to each chunk alone."""
        return self.chunks == "joined"
