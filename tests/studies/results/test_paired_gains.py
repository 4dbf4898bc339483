"""Our gains next to published gains, which a text gives for a figure."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from study_results import pretend, write_study

from medcode.studies.definition.study import Study, load
from medcode.studies.report import comparison_tables, tables
from medcode.studies.results import run_results

JAMS = {
    "title": "Gains",
    "paper": "jams",
    "corpus": "synthetic-mimic4",
    "seeds": [1, 2],
    "rows": {
        "laat": {"title": "LAAT", "label_sets": ["icd9", "icd10"], "settings": {"model": "laat"}},
        "jams_laat": {"title": "LAAT†", "label_sets": ["joint"], "settings": {"model": "jams"}},
    },
    "comparisons": [["laat", "jams_laat"]],
}
# Macro F1 of the rarest codes by seed, at the tuned threshold; that at the fixed one is another number.
ALONE, JOINT = {1: 0.20, 2: 0.30}, {1: 0.25, 2: 0.38}


def trained(studies: Path, figure: str, **changes) -> Study:
    write_study(studies, "gains", JAMS, tables=[figure], figures=[], **changes)
    study = load(studies, "gains")
    pretend(study, {"laat": 0.4, "jams_laat": 0.5})
    for row, label_set, heads, values in (
        ("laat", "icd9", ["icd"], ALONE),
        ("laat", "icd10", ["icd"], ALONE),
        ("jams_laat", "joint", ["icd9", "icd10"], JOINT),
    ):
        for seed, value in values.items():
            write_groups(study.run_folder(row, label_set, seed), heads, value)
    return study


def write_groups(folder: Path, heads: list[str], value: float) -> None:
    frequency, linkage = (
        ["head,group,codes,f1_macro,f1_macro_tuned"],
        ["head,group,linked,codes,f1_macro,f1_macro_tuned"],
    )
    for head in heads:
        frequency += [f"{head},0,3,0,0", f"{head},1-100,9,0.9,{value}", f"{head},101-1000,4,0.9,0.9"]
        linkage += [f"{head},1-100,yes,5,0.9,{2 * value}", f"{head},1-100,no,4,0.9,{value / 2}"]
    (folder / "frequency_f1.csv").write_text("\n".join(frequency) + "\n")
    (folder / "linkage_f1.csv").write_text("\n".join(linkage) + "\n")


def measured_gains(study: Study) -> dict[tuple[str, str], tuple[float, ...]]:
    (comparison,) = comparison_tables.build(study, run_results.read(study))
    return {
        (line.title, group): summary.values
        for line in comparison.lines
        for (group, _), summary in line.measured.items()
    }


def test_joint_and_single_rows_are_compared_seed_by_seed_in_the_rarest_group(studies):
    gains = measured_gains(trained(studies, "figure2"))
    assert gains.keys() == {("codes of 1-100 training documents", group) for group in ("icd9", "icd10")}
    for values in gains.values():
        assert values == pytest.approx((5, 8))


def test_gains_of_linked_and_unlinked_codes_are_separate(studies):
    gains = measured_gains(trained(studies, "figure3"))
    assert gains["with connection", "icd9"] == pytest.approx((10, 16))
    assert gains["without connection", "icd10"] == pytest.approx((2.5, 4))


def test_the_table_has_both_gains_under_a_title(studies):
    study = trained(studies, "figure2")
    runs = run_results.read(study)
    built = comparison_tables.build(study, runs)
    text = tables.markdown(study, built, [], runs)
    assert "| | | Gain in F1 macro |" in text and "f1_macro_gain" not in text
    assert "| codes of 1-100 training documents | MIMIC-IV, published | *3.2* |" in text
    assert "|  | **ours**, synthetic-mimic4 | 6.5 ± 2.1 |" in text
    assert "Ours: macro F1 of LAAT† minus that of LAAT on the same group of codes, seed by seed" in text
    lines = list(csv.DictReader(io.StringIO(tables.as_csv(study, built))))
    assert [(line["published"], line["ours"], line["seeds"]) for line in lines] == [
        ("3.2", "6.5000", "2"),
        ("3.7", "6.5000", "2"),
    ]


def test_there_is_no_gain_without_matching_seeds_or_codes(studies):
    study = trained(studies, "figure2")
    (study.run_folder("laat", "icd9", 2) / "environment.json").unlink()
    assert measured_gains(study).keys() == {("codes of 1-100 training documents", "icd10")}
    path = study.run_folder("laat", "icd10", 1) / "frequency_f1.csv"
    path.write_text(path.read_text().replace("1-100,", "1-50,"))
    assert measured_gains(study) == {}
