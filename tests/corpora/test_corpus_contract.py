"""What every corpus fulfills: options that params.yaml sets, the common signature of readers, one line for no files."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import get_args

import pytest

from medcode import config, corpora
from medcode.config import corpora as option_classes
from medcode.config.section import Section, System
from medcode.errors import UserError

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
every_corpus = pytest.mark.parametrize("corpus", option_classes.names())


def options(corpus: str) -> Section:
    """Options of a corpus, from its block of params.yaml."""
    block = config.read_yaml(PARAMS)["corpora"][corpus]
    return config.build(option_classes.find(corpus), block, PARAMS, f"corpora.{corpus}")


@every_corpus
def test_its_block_of_params_builds_documented_options(corpus):
    assert isinstance(options(corpus), Section)
    assert option_classes.find(corpus).__doc__
    systems = options(corpus).code_systems
    assert systems and set(systems) <= set(get_args(System))


@every_corpus
def test_its_reader_has_the_common_signature(corpus):
    reader = importlib.import_module(f"medcode.corpora.{option_classes.module_of(corpus)}")
    parameters = inspect.signature(reader.read).parameters
    assert list(parameters) == ["folder", "options", "spool"]
    assert [name for name, one in parameters.items() if one.default is inspect.Parameter.empty] == ["folder", "options"]
    assert parameters["spool"].default is None
    assert reader.__doc__ and reader.read.__doc__


@every_corpus
def test_an_empty_folder_is_reported_in_one_line(corpus, tmp_path):
    with pytest.raises(UserError) as mistake:
        corpora.read(corpus, tmp_path, options(corpus))
    (line,) = mistake.value.args
    assert line.startswith(str(tmp_path)) and "\n" not in line


@every_corpus
def test_a_missing_folder_is_reported_in_one_line(corpus, tmp_path):
    with pytest.raises(UserError) as mistake:
        corpora.read(corpus, tmp_path / "none", options(corpus))
    assert mistake.value.args == (f"{tmp_path / 'none'}: no such folder; the files of corpus '{corpus}' belong there",)
