"""Links to the workspace from the copy in which DVC runs an experiment."""

from __future__ import annotations

import pytest

from medcode import workspace


@pytest.fixture
def home(tmp_path):
    """A workspace with a corpus in nested folders, and its copy where DVC makes it."""
    folder = tmp_path / "medcode"
    (folder / "data/raw/mimic4/hosp").mkdir(parents=True)
    (folder / "data/raw/mimic4/hosp/diagnoses_icd.csv").write_text("codes")
    (folder / "data/raw/mimic4/notes.csv").write_text("notes")
    (folder / ".dvc/tmp/exps/tmp1").mkdir(parents=True)
    return folder, folder / ".dvc/tmp/exps/tmp1"


def test_only_a_copy_below_the_dvc_folder_has_a_workspace(home):
    folder, copy = home
    environment = {"DVC_ROOT": str(folder)}
    assert workspace.of_copy(copy, environment) == folder.resolve()
    assert workspace.of_copy(folder, environment) is None
    assert workspace.of_copy(copy, {}) is None


def test_another_project_is_not_a_copy(home, tmp_path):
    (tmp_path / "other").mkdir()
    assert workspace.of_copy(tmp_path / "other", {"DVC_ROOT": str(home[0])}) is None


def test_a_copy_gets_links_to_all_files_of_the_workspace(home):
    folder, copy = home
    assert workspace.link(folder, copy, ["data/raw/mimic4"]) == ["data/raw/mimic4"]
    lent = copy / "data/raw/mimic4"
    assert not (lent / "hosp").is_symlink() and (lent / "hosp/diagnoses_icd.csv").is_symlink()
    assert (lent / "notes.csv").read_text() == "notes"
    assert workspace.link(folder, copy, ["data/raw/mimic4"]) == []


def test_links_in_the_workspace_are_followed(home, tmp_path):
    folder, copy = home
    (folder / "data/raw/mimic4").rename(tmp_path / "elsewhere")
    (folder / "data/raw/mimic4").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "beside").mkdir()
    (tmp_path / "elsewhere/note").symlink_to(tmp_path / "beside")
    workspace.link(folder, copy, ["data/raw/mimic4"])
    assert (copy / "data/raw/mimic4/hosp/diagnoses_icd.csv").read_text() == "codes"
    assert (copy / "data/raw/mimic4/note").is_symlink()


def test_missing_or_existing_folders_are_skipped(home):
    folder, copy = home
    (copy / "data/raw/mimic4").mkdir(parents=True)
    assert workspace.link(folder, copy, ["data/raw/mimic4", "data/raw/jsonl"]) == []
    assert not list((copy / "data/raw/mimic4").iterdir()) and not (copy / "data/raw/jsonl").exists()


def test_a_file_is_linked_alone(home):
    folder, copy = home
    names = ["data/raw/mimic4/notes.csv", "data/raw/no.csv"]
    assert workspace.link(folder, copy, names) == names[:1]
    assert (copy / names[0]).is_symlink() and (copy / names[0]).read_text() == "notes"
    assert workspace.link(folder, copy, names) == []
