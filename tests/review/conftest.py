"""A small model, notes, and a review of them."""

from __future__ import annotations

import json
from pathlib import Path

import note_models
import pytest
from fastapi.testclient import TestClient
from review_server import PORT, TOKEN, TOP

from medcode.bulk.rows import Columns
from medcode.bulk.sources import Sources
from medcode.coder import Coder
from medcode.review import app, security
from medcode.review.ledger import Ledger
from medcode.review.opened import OpenedNotes
from medcode.review.search import CodeSearch
from medcode.review.session import Session
from medcode.review.work_list import WorkList

COLUMNS = Columns("text", "name")


@pytest.fixture(scope="session")
def coder(recipe) -> Coder:
    return Coder([note_models.trained(recipe)])


@pytest.fixture
def write(tmp_path):
    """Write notes as lines of JSON with ids n0, n1, ...; return the file."""

    def write(texts: list[str], name: str = "notes.jsonl") -> Path:
        path = tmp_path / name
        lines = (json.dumps({"name": f"n{number}", "text": text}) + "\n" for number, text in enumerate(texts))
        path.write_text("".join(lines))
        return path

    return write


@pytest.fixture
def review(coder, write, tmp_path):
    """Begin a review of notes, or go on with it."""
    opened = []

    def begin(texts: list[str] | None = None) -> Session:
        path = write([note_models.note(number) for number in range(5)] if texts is None else texts)
        work_list = WorkList(Sources([str(path)], COLUMNS))
        ledger = Ledger(tmp_path / "ledger.jsonl", "digest")
        predictions = OpenedNotes(coder, work_list, top=TOP)
        opened.extend([ledger, predictions])
        return Session(work_list, predictions, ledger, CodeSearch(coder.models[0].labels))

    yield begin
    for one in opened:
        one.close()


@pytest.fixture
def connect(review, coder):
    """Return a session and a client of its server, which sends the token with each request."""

    def connect(texts: list[str] | None = None, coder: Coder = coder) -> tuple[Session, TestClient]:
        session = review(texts)
        guarded = app.create(session, coder, TOKEN, PORT)
        headers = {security.TOKEN_HEADER: TOKEN}
        return session, TestClient(guarded, f"http://127.0.0.1:{PORT}", headers=headers)

    return connect
