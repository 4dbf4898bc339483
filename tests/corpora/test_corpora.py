"""Corpora find their readers and options by name."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from medcode import corpora
from medcode.config import Section
from medcode.config import corpora as options
from medcode.errors import UserError


@pytest.mark.parametrize("corpus", options.names())
def test_every_corpus_has_a_reader_and_options(corpus):
    reader = importlib.import_module(f"medcode.corpora.{options.module_of(corpus)}")
    assert callable(reader.read)
    assert issubclass(options.find(corpus), Section)


def test_a_synthetic_corpus_is_read_by_the_reader_of_its_format():
    assert options.names()[:2] == list(options.SYNTHETIC_CORPORA)
    for corpus in options.SYNTHETIC_CORPORA:
        assert options.find(corpus) is options.find(corpus.removeprefix("synthetic-"))


def test_an_unknown_corpus_names_the_nearest(tmp_path):
    for ask in (options.find, lambda name: corpora.read(name, tmp_path, None)):
        with pytest.raises(UserError, match="corpus: there is no 'mimic-3'; did you mean 'mimic3'"):
            ask("mimic-3")


def test_a_missing_folder_is_reported_in_one_line(tmp_path):
    with pytest.raises(UserError, match="codiesp: no such folder"):
        corpora.read("codiesp", tmp_path / "codiesp", None)


def test_readers_are_imported_on_use():
    code = "import sys, medcode.corpora; print([m for m in sys.modules if m.startswith('medcode.corpora.')])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
