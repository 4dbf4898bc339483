"""Options of a FHIR export."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcode.config.section import Section


class Options(Section):
    """A bulk export of FHIR R4: the types of documents to read, and which code systems to predict.

    `types` are codes of `DocumentReference.type`, such as LOINC 18842-5, a discharge summary; without any, all
    documents are read.
    """

    types: list[Annotated[str, Field(min_length=1)]]
    systems: Annotated[list[Literal["icd9cm", "icd9proc", "icd10cm", "icd10pcs"]], Field(min_length=1)]

    @property
    def code_systems(self) -> list[str]:
        """Systems that a code of the corpus may be of."""
        return list(self.systems)
