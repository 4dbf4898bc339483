"""Options of a FHIR export."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcode.config.section import Section

ALL = "all"


class Options(Section):
    """A bulk export of FHIR R4: the types of documents to read, and which code systems to predict.

    `types` is all, or codes of `DocumentReference.type` with blanks between them, such as LOINC 18842-5, a discharge
    summary.
    """

    types: Annotated[str, Field(pattern=r"\S")]
    systems: Annotated[list[Literal["icd9cm", "icd9proc", "icd10cm", "icd10pcs"]], Field(min_length=1)]

    @property
    def type_codes(self) -> set[str]:
        """Codes of the types of documents to read; none for all."""
        return set() if self.types == ALL else set(self.types.split())

    @property
    def code_systems(self) -> list[str]:
        """Systems that a code of the corpus may be of."""
        return list(self.systems)
