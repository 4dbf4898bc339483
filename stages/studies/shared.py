"""Make stages/common.py, one folder up, importable for the stages of studies."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import stage

__all__ = ["stage"]
