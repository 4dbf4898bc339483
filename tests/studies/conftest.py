"""A small study in a folder of its own, trained as it were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from study_results import TINY, pretend, write_study

from medcode.studies.study import Study, load


@pytest.fixture
def studies(tmp_path) -> Path:
    """A root of studies with the published numbers, the settings of the data, and the study `tiny`."""
    root, own = tmp_path / "studies", Path(__file__).resolve().parents[2]
    shutil.copytree(own / "studies/published", root / "published")
    shutil.copytree(own / "studies/data", root / "data")
    write_study(root, "tiny", TINY)
    return root


@pytest.fixture
def tiny(studies) -> Study:
    """The study `tiny`, trained as it were."""
    study = load(studies, "tiny")
    pretend(study, {"caml": 0.45, "caml_wide": 0.47, "cnn": 0.3})
    return study
