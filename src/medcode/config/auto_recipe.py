"""Choose the recipe of a run from its data, where params.yaml says `recipe: auto`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from medcode.errors import UserError

AUTO = "auto"
# Training documents, and those of the average label, that `quick` needs. Below, a recipe for few documents does better:
# `small`.
FEW_DOCUMENTS, FEW_DOCUMENTS_PER_LABEL = 1_500, 40
# A corpus of the size that the papers train on, for which `published` is made: MIMIC-III has 8,066 training documents
# of 1,500 words with 50 codes, and 47,719 with all codes.
MANY_DOCUMENTS, LONG_NOTES = 5_000, 1_000


@dataclass(frozen=True)
class CorpusSize:
    """Sizes of the training data: documents, labels, documents per label, and words per document (both means)."""

    documents: int
    labels: int
    documents_per_label: float
    words: float


def candidates(recipe: str, recipes: Iterable[str]) -> list[str]:
    """List the recipes that a run may take: the named one, or with `auto` those that the data may choose.

    Args:
        recipe: of params.yaml.
        recipes: names of the recipes in the model's file.

    Raises:
        UserError: with `auto`, the file has none of quick, small and published.
    """
    if recipe != AUTO:
        return [recipe]
    names: list[str] = [name for name in ("quick", "small", "published") if name in set(recipes)]
    if not names:
        raise UserError("recipe: auto chooses between quick, small and published; the model's file has none of them")
    return names


def choose(size: CorpusSize, names: list[str]) -> tuple[str, str]:
    """Choose a recipe by the size of the corpus.

    Args:
        size: of the training data.
        names: result of `candidates` for `auto`.

    Returns:
        The name, and the reason in one sentence.
    """
    few = size.documents < FEW_DOCUMENTS or size.documents_per_label < FEW_DOCUMENTS_PER_LABEL
    large = size.documents >= MANY_DOCUMENTS and size.words >= LONG_NOTES
    wanted = "published" if large else "small" if few else "quick"
    numbers = (
        f"{size.documents:,} training notes of {size.words:,.0f} words on average, {size.labels:,} codes with "
        f"{size.documents_per_label:,.1f} notes each"
    )
    if large:
        reason = "as many and as long notes as the papers train on"
    elif few:
        reason = f"fewer than {FEW_DOCUMENTS:,} notes, or fewer than {FEW_DOCUMENTS_PER_LABEL} for each code"
    else:
        reason = "enough notes for each code, and fewer or shorter notes than the papers train on"
    if wanted in names:
        return wanted, f"{reason} ({numbers})"
    return names[0], f"{reason} ({numbers}); the model has no recipe {wanted}"
