"""Sections of params.yaml about data: the synthetic corpus, codes, words and splits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcode.config.section import Count, Epochs, Number, Positive, Section, Seed, Share, Width

LabelSet = Literal["top50", "top50_extra", "full", "icd9", "icd10", "joint", "open"]

# Editions of ICD that a label set is of; others take the codes of every system.
EDITIONS = {"icd9": ("icd9",), "icd10": ("icd10",), "joint": ("icd9", "icd10")}


class Synthesize(Section):
    """The synthetic corpus, in the file formats of MIMIC-III v1.4 and MIMIC-IV v2.2."""

    admissions: Annotated[Positive, Field(le=1_000_000)]
    mean_words: Annotated[int, Field(ge=50, le=20_000)]
    seed: Seed
    uncoded_share: Share
    unmentioned_share: Share
    distractor_rate: Annotated[Number, Field(ge=0, le=20)]
    misspelling_rate: Share
    other_notes: Annotated[Number, Field(ge=0, le=100)]
    icd10_share: Share


class Reference(Section):
    """The tables of codes: those of packages, or the official files; and the user's own titles and synonyms."""

    source: Literal["package", "official"]
    titles: Annotated[str, Field(min_length=1)]
    synonyms: Annotated[str, Field(min_length=1)]


class Ccs(Section):
    """Clinical Classifications Software: the form of the category codes."""

    bare_numbers: bool


class Gem(Section):
    """General Equivalence Mappings: which edges between ICD-9 and ICD-10 to use."""

    procedures: bool


class Tokenize(Section):
    """Word tokenization of the notes."""

    rule: Literal["caml", "diagnoses", "edin", "laat"]


class Split(Section):
    """Train, dev and test, and the labels of the label sets.

    With `train_on: train_dev`, train and dev together are divided anew into `folds` parts, of which `fold` becomes dev.
    """

    source: Literal["auto", "stratified"]
    published: Literal["none", "caml", "edin-clean", "edin-icd9", "edin-icd10", "edin-joint"]
    labels: Literal["train", "all"]
    top50: Literal["auto", "papers", "train"]
    min_occurrences: Positive
    dev_share: Annotated[Share, Field(gt=0, lt=1)]
    test_share: Annotated[Share, Field(gt=0, lt=1)]
    train_on: Literal["train", "train_dev"] = "train"
    folds: Annotated[int, Field(ge=2, le=1_000)] = 10
    fold: Count = 0
    seed: Seed


class WordVectors(Section):
    """Vocabulary and word2vec."""

    documents: Literal["train", "all"]
    background: bool
    min_documents: Positive
    size: Width
    window: Annotated[Positive, Field(le=1_000)]
    epochs: Epochs
    seed: Seed


class Open(Section):
    """The label set open: the list of codes that training may not have seen, and what is read as their synonyms."""

    codes: Annotated[str, Field(min_length=1)]
    inclusion_terms: bool
    index: bool
    mentions: bool

    @property
    def synonyms(self) -> dict[str, bool]:
        """Sources in the table of synonyms, and whether to take them."""
        return {"own": True, "inclusion_term": self.inclusion_terms, "index": self.index}
