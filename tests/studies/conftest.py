"""A small study with simulated results."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_results import simulated_study, small_root

from medcode.studies.definition.study import Study


@pytest.fixture
def studies(tmp_path) -> Path:
    """A root of studies with the published numbers, the settings of the data, and the study `tiny`."""
    return small_root(tmp_path)


@pytest.fixture
def tiny(studies) -> Study:
    """The study `tiny` with simulated results."""
    return simulated_study(studies.parent)
