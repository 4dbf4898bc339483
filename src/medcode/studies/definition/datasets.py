"""Data that studies train on: a corpus, or one part of it, prepared as studies/data/settings.yaml says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medcode import config
from medcode.config import corpora
from medcode.errors import UserError, nearest

SETTINGS = Path("data/settings.yaml")  # in the folder of all studies


def names(settings_file: Path) -> list[str]:
    """Return the names of all corpora, and of the parts that the file names beside them."""
    return sorted({*corpora.names(), *config.read_yaml(settings_file)})


def read(settings_file: Path, name: str) -> tuple[str, dict[str, Any]]:
    """Return the corpus behind a name, and its settings as differences from params.yaml.

    A name that is no corpus has a key `corpus`, which says whose part it is.

    Raises:
        UserError: there is no such corpus, or the settings are none.
    """
    settings = config.read_yaml(settings_file).get(name) or {}
    if not isinstance(settings, dict):
        raise UserError(f"{settings_file}: {name}: expected keys of params.yaml with their values, found {settings!r}")
    corpus = settings.get("corpus", name)
    if corpus not in corpora.names():
        raise UserError(f"{settings_file}: {name}: there is no corpus '{corpus}'; {nearest(corpus, corpora.names())}")
    return corpus, {key: value for key, value in settings.items() if key != "corpus"}
