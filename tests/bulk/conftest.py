"""A small model for notes of a few words, and files of such notes."""

from __future__ import annotations

import json

import note_models
import pytest

import medcode


@pytest.fixture(scope="session")
def model(recipe, tmp_path_factory):
    """Folder of a model."""
    return note_models.saved(tmp_path_factory.mktemp("bulk") / "model", recipe)


@pytest.fixture(scope="session")
def coder(model):
    return medcode.load(model)


@pytest.fixture
def jsonl(tmp_path):
    """Write notes as lines of JSON, with ids n0, n1, ...; return the file."""

    def write(n: int, name: str = "notes.jsonl"):
        lines = (json.dumps({"name": f"n{number}", "text": note_models.note(number)}) + "\n" for number in range(n))
        (tmp_path / name).write_text("".join(lines))
        return tmp_path / name

    return write
