"""The server's application: the page, what it asks for, and predictions over HTTP."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, ConfigDict, Field

from medcode import __version__
from medcode.coder import Coder
from medcode.errors import UserError
from medcode.inference.predict import UnreadableNote
from medcode.review.decisions import Action
from medcode.review.security import TOKEN_HEADER, Guard
from medcode.review.session import Filter, Session, Undecided

FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/server.js": ("server.js", "text/javascript; charset=utf-8"),
    "/view.js": ("view.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
MOST_TEXTS, MOST_ROWS = 1000, 200
Words = Annotated[str, Query(max_length=200)]
Number = Annotated[int, Path(ge=0, le=2**31, description="of the note, from 0")]
_TOKEN = APIKeyHeader(name=TOKEN_HEADER, auto_error=False, description="printed when the server starts")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Code(_Body):
    """A code of a code system."""

    system: Annotated[str, Field(max_length=20)]
    code: Annotated[str, Field(max_length=20)]


class Decision(_Body):
    """A decision on a note, or on codes of it."""

    action: Action
    codes: Annotated[list[Code], Field(max_length=1000)] = []


class PredictRequest(_Body):
    """Notes to predict."""

    texts: Annotated[list[str], Field(max_length=MOST_TEXTS)]
    evidence: Annotated[bool, Field(description="add the words that made each code")] = False
    top: Annotated[int | None, Field(ge=1, le=1000, description="predict this many codes of each head")] = None


class PredictedCode(BaseModel):
    """A predicted code, as `PredictedCode` of `predict`; `spans` are in Unicode code points of the note."""

    head: str
    system: str
    code: str
    description: str
    probability: float
    evidence: list[int] | None = None
    unseen: bool | None = None
    spans: list[list[Any]] | None = None
    threshold: float | None = None


class PredictedNote(BaseModel):
    """The prediction of a note; for one that cannot be read an `error` instead."""

    error: str | None = None
    model: str | None = None
    label_set: str | None = None
    codes: list[PredictedCode] | None = None
    words: int | None = None
    words_read: int | None = None
    words_known: int | None = None
    unit: str | None = None
    seeds: int | None = None
    thresholds: dict[str, float] | None = None
    evidence_method: str | None = None


class PredictResponse(BaseModel):
    """Predictions in the order of the texts."""

    predictions: list[PredictedNote]


def create(session: Session, coder: Coder, token: str, port: int) -> Guard:
    """Return the application, behind its token.

    Args:
        session: the review.
        coder: the model.
        token: that every request must have.
        port: on which it is served; other ports in the header `Host` are refused.
    """
    app = FastAPI(
        title="medcode", version=__version__, docs_url=None, redoc_url=None, dependencies=[Security(_TOKEN)],
        description="The page for review, and predictions. Every request needs the token.",
    )  # fmt: skip
    _add_files(app)
    _add_review(app, session)
    _add_predict(app, coder)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UserError, _mistake)
    hosts = frozenset(f"{host}:{port}" for host in ("127.0.0.1", "localhost"))
    return Guard(app, token, hosts, frozenset(FILES))


def _add_files(app: FastAPI) -> None:
    for path, (name, media_type) in FILES.items():
        content = resources.files(__package__).joinpath(name).read_bytes()
        app.add_api_route(path, _file(content, media_type), include_in_schema=False)


def _file(content: bytes, media_type: str) -> Any:
    def answer() -> Response:
        return Response(content, media_type=media_type)

    return answer


def _add_review(app: FastAPI, session: Session) -> None:
    def check(number: int) -> None:
        if number >= len(session.work_list):
            raise HTTPException(404, f"there are {len(session.work_list):,} notes; there is no number {number}")

    @app.get("/api/notes")
    def notes(
        state: Filter = "all",
        query: Words = "",
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 50,
        around: Annotated[int | None, Query(ge=0, le=2**31)] = None,
    ) -> dict[str, Any]:
        """List notes."""
        return session.listed(state, query, offset, limit, around)

    @app.get("/api/neighbor")
    def neighbor(
        number: Annotated[int, Query(ge=-1, le=2**31)], state: Filter = "all", query: Words = "", back: bool = False
    ) -> dict[str, int | None]:
        """Return the number of the next note of a list, or of the one before."""
        return {"number": session.neighbor(number, state, query, back)}

    @app.get("/api/notes/{number}")
    def note(number: Number) -> dict[str, Any]:
        """Return a note, its codes and their evidence."""
        check(number)
        return session.note(number)

    @app.post("/api/notes/{number}/decisions")
    def decide(number: Number, decision: Decision) -> dict[str, Any]:
        """Record a decision, and return what holds of the note."""
        check(number)
        codes = [(code.system, code.code) for code in decision.codes]
        try:
            return session.decide(number, decision.action, codes)
        except Undecided as error:
            raise HTTPException(409, str(error)) from None

    @app.post("/api/undo")
    def undo() -> dict[str, Any]:
        """Take back the last decision, and return what holds of its note; its id is null if there is none."""
        return session.undo() or {"id": None}

    @app.get("/api/codes")
    def codes(query: Words = "") -> list[dict[str, Any]]:
        """Search for codes by words of their descriptions."""
        return session.search.find(query)


def _add_predict(app: FastAPI, coder: Coder) -> None:
    @app.post("/predict", response_model_exclude_none=True)
    def predict(request: PredictRequest) -> PredictResponse:
        """Predict the codes of notes."""
        results = coder.try_predict(request.texts, request.evidence, request.top)
        return PredictResponse(
            predictions=[
                PredictedNote(error=str(result))
                if isinstance(result, UnreadableNote)
                else PredictedNote.model_validate(result.as_dict())
                for result in results
            ]
        )


async def _invalid(request: Request, error: Exception) -> Response:
    """Say what is wrong with a request without repeating what it holds."""
    assert isinstance(error, RequestValidationError)
    lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    return JSONResponse({"detail": "; ".join(lines[:10])}, 422)


async def _mistake(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 422)
