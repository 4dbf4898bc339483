"""The table of models in README.md, from the finished studies that train every model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from study_results import PAPERLESS, ROOT, simulated_paperless_study, write_study

from medcode import models
from medcode.__main__ import main
from medcode.errors import UserError
from medcode.io import write_metrics
from medcode.studies.definition.study import load
from medcode.studies.report import readme_table
from medcode.studies.results import run_results

README = f"# Before\n\n{readme_table.BEGIN}\nold\nlines\n{readme_table.END}\n\nAfter.\n"


def record(study):
    write_metrics(
        study.root / study.name / "results.json",
        run_results.record(study, run_results.read(study), run_results.settings(study)),
    )
    return study


def rows_of(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]


def test_the_readme_has_the_table_of_the_committed_results():
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    assert readme_table.with_table(text, readme_table.finished(ROOT / "studies"), path) == text
    table = text.split(readme_table.BEGIN)[1].split(readme_table.END)[0]
    assert set(re.findall(r"\(src/medcode/models/(\w+)\.py\)", table)) <= set(models.names())


def test_a_table_has_a_row_for_each_model_and_the_best_comes_first(tmp_path):
    study = record(simulated_paperless_study(tmp_path, "zoo"))
    about, caption, table = readme_table.block(readme_table.finished(study.root)).split("\n\n")
    assert about == readme_table.ABOUT
    assert caption == "**synthetic-mimic3, top50** ([zoo](studies/zoo/table.md)):"
    head, *rows = rows_of(table)
    assert head == ["model", "parameters", "micro F1", "macro F1", "MAP", "CPU minutes"]
    assert [row[0] for row in rows] == [
        "[CNN](src/medcode/models/cnn.py)",
        "[CAML, wider](src/medcode/models/caml_wide.py)",
        "[CAML](src/medcode/models/caml.py)",
    ]
    assert all(row[1] == "1,234" and row[5] == "2.7" for row in rows)
    runs = run_results.read(study)["cnn", "top50"]
    micro = run_results.summarize(runs, "icd", "f1_micro", study.tables()["table"])
    assert rows[0][2] == f"{micro.mean:.3f} ± {micro.deviation:.3f}"


def test_studies_on_the_same_data_share_a_table(tmp_path):
    study = record(simulated_paperless_study(tmp_path, "zoo"))
    record(simulated_paperless_study(tmp_path, "zoo-more", seeds=[1], rows={"dcan": {"title": "DCAN"}}, comparisons=[]))
    record(simulated_paperless_study(tmp_path, "zoo-other", corpus="codiesp"))
    record(simulated_paperless_study(tmp_path, "menagerie"))
    text = readme_table.block(readme_table.finished(study.root))
    assert re.findall(r"^\*\*.*", text, re.MULTILINE) == [
        "**synthetic-mimic3, top50** ([zoo](studies/zoo/table.md), [zoo-more](studies/zoo-more/table.md)):",
        "**codiesp, top50** ([zoo-other](studies/zoo-other/table.md)):",
    ]
    first, second = text.split("**codiesp")
    assert len(rows_of(first)) == 1 + 4 and len(rows_of(second)) == 1 + 3
    (dcan,) = [row for row in rows_of(first) if "DCAN" in row[0]]
    assert re.fullmatch(r"0\.\d{3}", dcan[2]), "one seed has no deviation"


def test_heads_of_codes_have_rows_of_their_own_and_categories_have_none(tmp_path):
    study = simulated_paperless_study(tmp_path, "zoo")
    results = run_results.record(study, run_results.read(study), run_results.settings(study))
    (row, *_) = results["rows"]
    measured = row["test"]["icd"]
    for heads, shown in ((["icd", "ccs"], [""]), (["icd9", "icd10"], [", icd9", ", icd10"])):
        row["test"] = dict.fromkeys(heads, measured)
        (_, *rows) = rows_of(readme_table.block([results | {"rows": [row]}]))
        assert sorted(line[0] for line in rows) == sorted(f"[CAML](src/medcode/models/caml.py){one}" for one in shown)


def test_a_gpu_and_results_of_earlier_versions_have_no_cpu_minutes(tmp_path):
    study = simulated_paperless_study(tmp_path, "zoo")
    results = run_results.record(study, run_results.read(study), run_results.settings(study))
    del results["rows"][0]["cpu_seconds"]
    results["rows"][1]["device"] = "NVIDIA H100"
    minutes = {row[0].split("]")[0]: row[5] for row in rows_of(readme_table.block([results]))}
    dash = "\N{EN DASH}"
    assert minutes == {"model": "CPU minutes", "[CAML": dash, "[CAML, wider": dash, "[CNN": "2.7"}


def test_without_a_finished_study_one_line_says_what_to_run(tmp_path):
    study = simulated_paperless_study(tmp_path, "zoo")
    assert readme_table.block(readme_table.finished(study.root)) == readme_table.NOTHING
    write_study(study.root, "zoo", PAPERLESS, seeds=[1, 2, 3])
    record(load(study.root, "zoo"))
    assert readme_table.finished(study.root) == []
    path = tmp_path / "README.md"
    path.write_text(README)
    readme_table.write(study.root, path)
    assert path.read_text() == README.replace("old\nlines", readme_table.NOTHING)


@pytest.mark.parametrize(
    "text",
    [
        "Nothing.\n",
        README.replace(readme_table.END, ""),
        README + README,
        f"{readme_table.END}\n{readme_table.BEGIN}\n",
    ],
)
def test_a_readme_without_its_two_markers_is_refused_in_one_line(tmp_path, text):
    study = simulated_paperless_study(tmp_path, "zoo")
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(UserError, match=r"README\.md: expected the lines '<!-- zoo: begin") as mistake:
        readme_table.write(study.root, path)
    assert len(mistake.value.args) == 1 and path.read_text() == text


def test_the_command_writes_leaderboard_and_readme(tmp_path, monkeypatch, capsys):
    record(simulated_paperless_study(tmp_path, "zoo"))
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text(README)
    command = ["study", "--leaderboard", "LEADERBOARD.md", "--readme"]
    assert main([*command, "README.md"]) == 0
    assert "[CNN](src/medcode/models/cnn.py)" in Path("README.md").read_text()
    assert "CNN (`cnn`, quick)" in Path("LEADERBOARD.md").read_text()
    assert main([*command, "READ.md"]) == 2
    assert capsys.readouterr().err == "error: READ.md: no such file\n"
