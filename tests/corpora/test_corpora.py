"""Choosing a reader."""

from __future__ import annotations

import subprocess
import sys

import pytest

from medcode import corpora
from medcode.config import Corpora
from medcode.errors import UserError


def test_every_corpus_of_the_parameters_has_a_reader():
    assert list(corpora.READERS) == Corpora.names()


def test_an_unknown_corpus_names_the_nearest(tmp_path):
    with pytest.raises(UserError, match="unknown corpus 'mimic-3'; did you mean 'mimic3'"):
        corpora.read("mimic-3", tmp_path, None)


def test_a_missing_folder(tmp_path):
    with pytest.raises(UserError, match="codiesp: no such folder"):
        corpora.read("codiesp", tmp_path / "codiesp", None)


def test_the_package_imports_no_reader_before_one_is_asked_for():
    code = "import sys, medcode.corpora; print([m for m in sys.modules if m.startswith('medcode.corpora.')])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
