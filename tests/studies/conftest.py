"""A small study in a folder of its own, trained as it were."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_results import small_root, trained_as_it_were

from medcode.studies.definition.study import Study


@pytest.fixture
def studies(tmp_path) -> Path:
    """A root of studies with the published numbers, the settings of the data, and the study `tiny`."""
    return small_root(tmp_path)


@pytest.fixture
def tiny(studies) -> Study:
    """The study `tiny`, trained as it were."""
    return trained_as_it_were(studies.parent)
