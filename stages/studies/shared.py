"""What stages of studies share with those of the workflow: stages/common.py, one folder up."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import stage

__all__ = ["stage"]
