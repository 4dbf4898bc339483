"""The leaderboard: finished studies only, the best first."""

from __future__ import annotations

from study_results import TINY, pretend, write_study

from medcode.io import write_metrics
from medcode.studies import leaderboard, results, state
from medcode.studies.study import load


def record(study):
    write_metrics(
        study.root / study.name / "results.json", results.record(study, results.read(study), results.settings(study))
    )


def test_it_has_every_row_of_finished_studies_the_best_first(studies, tiny, tmp_path):
    write_study(studies, "half", TINY)
    pretend(half := load(studies, "half"), {"caml": 0.9})
    record(tiny)
    record(half)
    leaderboard.write(studies, tmp_path / "LEADERBOARD.md")
    text = (tmp_path / "LEADERBOARD.md").read_text()
    assert "## synthetic-mimic3, top50, icd" in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| CAML", "| CNN"))]
    assert [row[0] for row in rows] == [
        "| CAML, wider (`caml_wide`, quick)",
        "| CAML (`caml`, quick)",
        "| CNN (`cnn`, quick)",
    ]
    assert rows[0][7:11] == ["2", "1,234", "6 s", "CPU (test)"]
    assert all("±" in cell for cell in rows[0][1:6])
    assert "half" not in text


def test_without_a_finished_study_it_says_so(studies, tmp_path):
    leaderboard.write(studies, tmp_path / "LEADERBOARD.md")
    assert "No study is finished yet." in (tmp_path / "LEADERBOARD.md").read_text()


def test_the_list_of_studies_tells_how_far_each_is_and_what_is_wrong(studies, tiny):
    write_study(studies, "broken", TINY, corpus="mimic33")
    lines = state.listing(studies).splitlines()
    assert lines[0].split() == ["study", "trainings", "corpus", "title"]
    broken, own = lines[1:]
    assert broken.split()[:2] == ["broken", "wrong"] and "did you mean 'mimic3'?" in broken
    assert own.split()[:3] == ["tiny", "6/6", "synthetic-mimic3"]
