"""The published numbers: the files are valid, and each row is in the text of its paper."""

from __future__ import annotations

import re

import pytest
import yaml

from medcode.errors import UserError
from medcode.studies.definition import published
from medcode.studies.definition.table import METRICS

PAPERS = ("bert-study", "fusion", "jams", "mt-ram", "slides")
# Known from readmes, notebooks, notes and a leaderboard, not from a text at hand.
WITHOUT_TEXT = ("anemic", "dlac", "edin-2024", "gki-icd", "hicu", "lopez-garcia", "marn", "msmn")
SOURCES = ("From the readme", "From the notebooks", "From the files", "From notes", "From a leaderboard")
GAP = r"[^0-9]{0,14}"


def tables(root):
    for name in (*PAPERS, *WITHOUT_TEXT):
        paper = published.load(root / "studies/published", name)
        for key, table in paper.tables.items():
            yield name, paper, key, table


def test_every_paper_has_a_valid_file(root):
    assert sorted(path.stem for path in (root / "studies/published").glob("*.yaml")) == sorted((*PAPERS, *WITHOUT_TEXT))
    counted = dict.fromkeys((*PAPERS, *WITHOUT_TEXT), 0)
    for name, _, _, table in tables(root):
        for row in table.rows.values():
            counted[name] += sum(cell is not None for cells in row.cells.values() for cell in cells)
    papers = {"bert-study": 343, "fusion": 106, "jams": 162, "mt-ram": 160, "slides": 29}
    assert counted == papers | {
        "anemic": 80,
        "dlac": 30,
        "edin-2024": 4,
        "gki-icd": 68,
        "hicu": 13,
        "lopez-garcia": 33,
        "marn": 62,
        "msmn": 11,
    }


def test_a_table_without_a_text_names_its_source(root):
    unproven = {(name, key): table for name, paper, key, table in tables(root) if not paper.text or is_readme(table)}
    assert {name for name, _ in unproven} == {*WITHOUT_TEXT, "mt-ram"}
    for where, table in unproven.items():
        assert is_readme(table) and table.remark.startswith(SOURCES), where


def is_readme(table: published.PublishedTable) -> bool:
    return table.number.startswith(("Readme", "Notebook", "Files", "Notes", "Leaderboard"))


@pytest.mark.parametrize(
    ("paper", "table", "sentence", "cells"),
    [
        ("bert-study", "table2", "improvements of 3.9% and 3.3% for F1 macro and micro", ["3.9", "3.8"]),
        ("mt-ram", "table3", "improved by 2.1%, 1.2% and 0.8%", ["0.8", "0.7"]),
        ("fusion", "table1", "in terms of all the metrics", ["0.083", "0.088"]),
    ],
)
def test_contradictions_between_text_and_table_are_remarked(root, shared, paper, table, sentence, cells):
    record = published.load(root / "studies/published", paper)
    assert sentence in (shared / "papers" / record.text).read_text(encoding="utf-8")
    assert all(cell in record.tables[table].remark for cell in cells)


def test_columns_of_results_are_known_metrics(root):
    for name, _, key, table in tables(root):
        for group in table.groups.values():
            if table.unit in ("percent", "fraction") and not key.startswith("figure"):
                assert set(group.columns) <= METRICS.keys(), f"{name}, {key}"


def test_rows_without_a_model_are_published_rows_only(root):
    everything = {row for _, _, _, table in tables(root) for row in table.rows}
    assert {"HyperCore", "MSATT-KG", "C-MemNN", "C-LSTM-ATT", "Attentive LSTM (Shi et al., 2017)"} <= everything


@pytest.mark.parametrize(
    ("paper", "table", "row", "slip"),
    [
        ("mt-ram", "table1", "MT-RAM (ours)", "icd.f1_macro"),
        ("mt-ram", "table3", "BiGRU + MTL + RAM (MT-RAM)", "icd.f1_micro"),
        ("bert-study", "table5", "BERT-base-hier + LAN", "top50.f1_macro"),
        ("bert-study", "table3", "PubMedBERT full text", "full.precision_at_15"),
        ("bert-study", "table6", "CAML (Mullenbach et al., 2018)", "full.precision_at_15"),
        ("fusion", "table1", "Fusion", "full.auc_micro"),
        ("slides", "parameters", "DCAN (Ji et al., 2020)", "any.trainable"),
    ],
)
def test_misprints_are_marked_as_slips(root, paper, table, row, slip):
    assert slip in published.load(root / "studies/published", paper).tables[table].rows[row].slips


@pytest.mark.parametrize("name", PAPERS)
def test_each_row_is_in_the_paper_next_to_its_name(root, shared, name):
    """In the text, the numbers of a row follow soon after its name, separated only by marks."""
    paper = published.load(root / "studies/published", name)
    text = (shared / "papers" / paper.text).read_text(encoding="utf-8")
    missing = [
        f"{key}, {title}"
        for key, table in paper.tables.items()
        for title, row in table.rows.items()
        if not is_readme(table) and not stands_in(text, title, row, table, key)
    ]
    assert not missing


def stands_in(text: str, title: str, row: published.PublishedRow, table: published.PublishedTable, key: str) -> bool:
    cells = [cell for cells in row.cells.values() for cell in cells if cell is not None]
    if (
        table.unit == "count" or key.startswith("figure") or key == "parameters"
    ):  # in sentences, or a column of their own
        return all(re.search(rf"(?<![\d.]){written(cell, table)}(?![\d.]*\d)", text) for cell in cells)
    pattern = GAP.join(written(cell, table) for cell in cells)
    heading = plain(title)
    return any(
        heading in plain(text[max(record.start() - 80, 0) : record.start()]) for record in re.finditer(pattern, text)
    )


def written(cell: float | str, table: published.PublishedTable) -> str:
    if table.unit == "count":
        return f"{cell:,}" if isinstance(cell, int) else re.escape(str(cell)) if cell % 1 else f"{cell:,.0f}"
    record = published.cell(cell)
    decimals = 0 if table.unit == "millions" and record.value == int(record.value) else table.decimals
    value = re.escape(f"{record.value:.{decimals}f}")
    return value if record.deviation != record.deviation else rf"{value}±{record.deviation:.{table.decimals}f}"


def plain(text: str) -> str:
    return re.sub(r"[^a-z0-9†+]", "", text.lower())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": {"icd": [1.0]}}, "expected 5 cells, one a column, found 1"),
        ({"cells": {"icc": [1.0] * 5}}, "there is no group icc; did you mean 'icd'?"),
        ({"cells": {"icd": [1.0, 2.0, "x", 4.0, 5.0]}}, "expected 92.1, 92.1±0.1 or null, found 'x'"),
        ({"cells": {"icd": [1.0] * 5}, "slips": {"icd.f2": "?"}}, "there is no cell icd.f2"),
        ({"cels": {}}, "unknown key; did you mean 'cells'?"),
    ],
)
def test_a_mistake_is_reported_in_one_line(root, tmp_path, change, message):
    content = yaml.safe_load((root / "studies/published/mt-ram.yaml").read_text())
    content["tables"]["table1"]["rows"]["CNN"] = change
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=re.escape(message)):
        published.load(tmp_path, "own")


def test_cells_are_parsed_as_printed():
    assert published.cell(None) is None
    assert published.cell(62.0).value == 62.0
    assert (published.cell("89.5±0.3").value, published.cell("89.5±0.3").deviation) == (89.5, 0.3)
