"""Resources of FHIR R4 in files of a bulk export, one JSON object a line: only what the reader needs of each.

Source: hl7.org/fhir/R4, pages DocumentReference, Condition, Procedure; hl7.org/fhir/uv/bulkdata for the files. Keys
that are not named here are ignored.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medcode.errors import UserError
from medcode.table_files import lines

_ENCOUNTER = re.compile(r"(?:.*/)?Encounter/([A-Za-z0-9.-]{1,64})(?:/_history/.*)?")
_PATIENT = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9.-]{1,64})(?:/_history/.*)?")
_UUID = re.compile(r"urn:uuid:[0-9A-Fa-f-]{36}")
_CHARSET = re.compile(r"(?i)charset\s*=\s*[\"']?([\w.:-]+)")
_POSITION = re.compile(r" at line 1 column (\d+)$")
PLAIN = "text/plain"
INVALID = ("entered-in-error", "refuted", "not-done")


class _Object(BaseModel):
    model_config = ConfigDict(strict=True)


class Coding(_Object):
    """A code, and the address of its code system."""

    system: str | None = None
    code: str | None = None


class Concept(_Object):
    """One thing, coded in one or several systems."""

    coding: list[Coding] = Field(default_factory=list)

    @property
    def codes(self) -> set[str]:
        """Its codes, whatever their systems."""
        return {coding.code for coding in self.coding if coding.code}


class Reference(_Object):
    """A link to another resource."""

    reference: str | None = None

    @property
    def encounter(self) -> str | None:
        """Id of an encounter, if it is one."""
        return self._id(_ENCOUNTER)

    @property
    def patient(self) -> str | None:
        """Id of a patient, if it is one."""
        return self._id(_PATIENT)

    def _id(self, pattern: re.Pattern[str]) -> str | None:
        if match := pattern.fullmatch(self.reference or ""):
            return match[1]
        return self.reference if _UUID.fullmatch(self.reference or "") else None


class Attachment(_Object):
    """The content of a document, in base64, or only its address."""

    contentType: str | None = None
    data: str | None = None

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; text/plain for text/plain;charset=utf-8."""
        return (self.contentType or "").partition(";")[0].strip().lower()

    def text(self) -> str:
        """Decode the content, as UTF-8 unless its type has another charset.

        Raises:
            UserError: it is not base64; the charset is unknown; the content is not of the charset.
        """
        charset = match[1] if (match := _CHARSET.search(self.contentType or "")) else "utf-8"
        try:
            content = base64.b64decode("".join((self.data or "").split()), validate=True)
        except ValueError:
            raise UserError("attachment.data is not base64") from None
        try:
            text = content.decode(charset)
            text.encode()  # UTF-7, for instance, decodes to half a surrogate pair, which no file of text can hold
            return text
        except LookupError:
            raise UserError("attachment.contentType has an unknown charset; write for instance charset=utf-8") from None
        except ValueError:
            raise UserError(f"attachment.data is no text in {charset}; name its charset in contentType") from None


class Content(_Object):
    """One form of a document."""

    attachment: Attachment


class Context(_Object):
    """What a document is about."""

    encounter: list[Reference] = Field(default_factory=list)


class DocumentReference(_Object):
    """A note."""

    resourceType: Literal["DocumentReference"]
    id: str | None = None
    status: str | None = None
    docStatus: str | None = None
    type: Concept = Field(default_factory=Concept)
    subject: Reference = Field(default_factory=Reference)
    date: str | None = None
    context: Context = Field(default_factory=Context)
    content: list[Content] = Field(default_factory=list)

    @property
    def day(self) -> datetime:
        """When the reference was made; the beginning of time if it does not say.

        Raises:
            UserError: `date` is no instant.
        """
        if self.date is None:
            return datetime.min.replace(tzinfo=UTC)
        try:
            day = datetime.fromisoformat(self.date)
        except ValueError:
            raise UserError("date is no instant such as 2180-05-07T13:45:00Z") from None
        return day if day.tzinfo else day.replace(tzinfo=UTC)


class Coded(_Object):
    """A condition or a procedure."""

    resourceType: Literal["Condition", "Procedure"]
    id: str | None = None
    status: str | None = None  # of a procedure
    verificationStatus: Concept = Field(default_factory=Concept)  # of a condition
    code: Concept = Field(default_factory=Concept)
    encounter: Reference = Field(default_factory=Reference)

    @property
    def invalid(self) -> str | None:
        """Why it does not hold, if so: one of `INVALID`."""
        states = self.verificationStatus.codes | {self.status}
        return next((state for state in INVALID if state in states), None)


Resource = TypeVar("Resource", DocumentReference, Coded)


def files(folder: Path, kind: str) -> list[Path]:
    """List the files of a kind of resources, sorted by name: Condition.ndjson, Condition.000.ndjson.gz."""
    name = re.compile(rf"{kind}([^A-Za-z].*)?\.ndjson(\.gz)?")
    return sorted(path for path in folder.iterdir() if name.fullmatch(path.name))


def read(path: Path, kind: str, form: type[Resource]) -> Iterator[tuple[int, Resource]]:
    """Read the resources of a file, with the numbers of their lines.

    Raises:
        UserError: the file is damaged; a line is not JSON, or not such a resource.
    """
    for number, line in lines(path):
        try:
            resource = form.model_validate_json(line.strip())
        except ValidationError as error:
            problem = error.errors()[0]  # its message lacks the value, which may be text of a note
            place = ".".join(map(str, problem["loc"]))
            message = _POSITION.sub(r" (column \1)", f"{place}: {problem['msg']}" if place else problem["msg"])
            raise UserError(f"{path}: line {number}: {message}; expected a {kind} of FHIR R4") from None
        if resource.resourceType != kind:
            raise UserError(f"{path}: line {number}: resourceType: expected {kind}, found {resource.resourceType}")
        yield number, resource
