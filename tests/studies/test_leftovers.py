"""What a study leaves for git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from medcode.studies import leftovers


@pytest.fixture
def studies(tmp_path, monkeypatch) -> Path:
    """A repository, below whose folder `project` two studies are committed."""
    project = tmp_path / "project"
    for name in ("zoo", "other"):
        (project / "studies" / name).mkdir(parents=True)
        (project / "studies" / name / "study.yaml").write_text("seeds: [1]\n")
    (project / ".gitignore").write_text("/studies/*/runs/\n")
    monkeypatch.chdir(project)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    for command in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "-m", "studies"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return Path("studies")


def test_a_study_without_new_files_leaves_nothing_to_say(studies):
    (studies / "other/table.md").write_text("of another study")
    assert leftovers.remark(studies, "zoo") is None


def test_new_files_are_listed_with_what_to_do(studies):
    for name in (
        "zoo/table.md",
        "zoo/figures/a b.csv",
        "zoo/runs/1.json",
        "zoo/dvc.yaml",
        "zoo/dvc.lock",
        "data/dvc.yaml",
    ):
        (studies / name).parent.mkdir(parents=True, exist_ok=True)
        (studies / name).write_text("new")
    (studies / "zoo/study.yaml").write_text("seeds: [1, 2]\n")
    assert leftovers.remark(studies, "zoo").splitlines() == [
        "results that git does not have yet:",
        "  studies/zoo/figures/a b.csv",
        "  studies/zoo/table.md",
        "  keep them: git add 'studies/zoo/figures/a b.csv' studies/zoo/table.md && git commit",
        "studies/zoo/study.yaml has changed (SEEDS and CORPUS are written into it):",
        "  commit it with the results that it gave, or restore it: git restore studies/zoo/study.yaml",
        "not for git; make study writes them again, and its next run needs them to know what is done:",
        "  studies/data/dvc.yaml",
        "  studies/zoo/dvc.lock",
        "  studies/zoo/dvc.yaml",
    ]
    subprocess.run(["git", "restore", "studies/zoo/study.yaml"], check=True)
    assert "study.yaml" not in leftovers.remark(studies, "zoo")


def test_without_git_there_is_nothing_to_say(tmp_path):
    (tmp_path / "studies/zoo").mkdir(parents=True)
    (tmp_path / "studies/zoo/table.md").write_text("new")
    assert leftovers.remark(tmp_path / "studies", "zoo") is None
