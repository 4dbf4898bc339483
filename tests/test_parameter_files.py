"""Parameter files are formatted as DVC writes them, so that an experiment changes only the lines that it sets."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = [ROOT / "params.yaml", *sorted((ROOT / "configs/models").iterdir())]


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def copied(request, tmp_path) -> tuple[Path, list[str]]:
    """A copy of a file that DVC may write, and its lines."""
    path = Path(shutil.copy(request.param, tmp_path))
    return path, path.read_text(encoding="utf-8").splitlines()


def explanation(path: Path, before: list[str]) -> str:
    """What DVC's writer would change in a file, and what to do about it."""
    after = path.read_text(encoding="utf-8").splitlines()
    difference = "\n".join(difflib.unified_diff(before, after, "as it is", "as DVC writes it", n=0, lineterm=""))
    return f"{path.name}: write it as DVC does: lists and long mappings in block style, an item a line\n{difference}"


def test_dvcs_writer_keeps_parameter_files_unchanged(copied):
    path, before = copied
    content = path.read_bytes()
    with modify_yaml(path):
        pass
    assert path.read_bytes() == content, explanation(path, before)
    assert not any(line != line.rstrip() for line in before)


def test_an_experiment_changes_only_the_line_that_it_sets(copied):
    path, before = copied
    changes = ["seed=2"] if path.name == "params.yaml" else ["recipes.quick.epochs=77"]
    if path.name == "linear.yaml":  # fitted at once, without epochs
        changes = ["options.cost=77"]
    apply_overrides(path, changes)
    after = path.read_text(encoding="utf-8").splitlines()
    assert len(after) == len(before), explanation(path, before)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1 and changed[0][1].split("#")[0].strip() in ("seed: 2", "epochs: 77", "cost: 77")
