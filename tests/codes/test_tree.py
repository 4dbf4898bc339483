"""Paths of codes in the tree, from the chapter down."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from medcode.codes import hierarchy
from medcode.codes.tree import Node, Tree, levels
from medcode.dataset.label_sets import PAPERS_TOP50


@pytest.fixture(scope="module")
def tree(package_tables) -> Tree:
    table = package_tables.descriptions
    described = dict(zip(zip(table["system"], table["code"], strict=True), table["description"], strict=True))
    known = table[table["code"].str.contains(r"^(?:038|486|401|96|E11|0DTJ4|S72\.0|C7A)")]
    return Tree(described, hierarchy.table(pa.Table.from_pandas(known, preserve_index=False)).to_pylist())


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("icd9cm", "038.11", ["chapter 001-139", "block 030-041", "category 038", "code 038.1", "code 038.11"]),
        ("icd9cm", "486", ["chapter 460-519", "block 480-488", "category 486"]),
        ("icd9proc", "96.04", ["chapter 87-99", "category 96", "code 96.0", "code 96.04"]),
        ("icd10cm", "E11.621",
         ["chapter E00-E89", "block E08-E13", "category E11", "code E11.6", "code E11.62", "code E11.621"]),
        ("icd10cm", "S72.0X1A", ["chapter S00-T88", "block S70-S79", "category S72", "code S72.0", "code S72.0X",
                                 "code S72.0X1", "code S72.0X1A"]),
        ("icd10pcs", "0DTJ4ZZ", ["chapter 0", "block 0D", "category 0DT", "code 0DTJ", "code 0DTJ4", "code 0DTJ4Z",
                                 "code 0DTJ4ZZ"]),
        ("icdo3", "8140/3", ["category 8140", "code 8140/3"]),
        ("icdo3", "8140", ["category 8140"]),
        ("ccs", "D122", ["code D122"]),
    ],
)  # fmt: skip
def test_paths_lead_from_the_chapter_to_the_code(tree, system, code, expected):
    path = tree.path(system, code)
    assert [f"{node.level} {node.code}" for node in path] == expected
    assert {node.system for node in path} == {system}


@pytest.fixture(scope="module")
def whole_tree(package_tables) -> Tree:
    return Tree(
        {}, hierarchy.table(pa.Table.from_pandas(package_tables.descriptions, preserve_index=False)).to_pylist()
    )


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("icd9cm", "401.9", "390-459 401-405 401 401.9 401.9"),
        ("icd9proc", "96.04", "87-99 96 96 96.0 96.04"),  # its block is the category
        ("icd9cm", "486", "460-519 480-488 486 486 486"),
        ("icd9cm", "038.9", "001-139 030-041 038 038.9 038.9"),
        ("icd9cm", "V58.61", "V01-V91 V50-V59 V58 V58.6 V58.61"),
        ("icd10cm", "E11.621", "E00-E89 E08-E13 E11 E11.6 E11.621"),
        ("icd10pcs", "0DTJ4ZZ", "0 0D 0DT 0DTJ 0DTJ4ZZ"),
        ("icdo3", "8140/3", "8140 8140 8140 8140/3 8140/3"),
        ("ccs", "D122", "D122 D122 D122 D122 D122"),
    ],
)
def test_every_code_has_five_levels(whole_tree, system, code, expected):
    assert [node.code for node in levels(whole_tree.path(system, code))] == expected.split()


def test_the_papers_50_codes_have_as_many_nodes_as_in_hicus_code(whole_tree):
    nodes = [levels(whole_tree.path(system, code)) for system, code in PAPERS_TOP50]
    assert [len(set(level)) for level in zip(*nodes, strict=True)] == [14, 30, 39, 47, 50]


def test_the_levels_of_all_codes_are_nested(package_tables, whole_tree):
    parents: dict[tuple[int, Node], Node] = {}
    for system, code in zip(*(package_tables.descriptions[key] for key in ("system", "code")), strict=True):
        nodes = levels(whole_tree.path(system, code))
        for depth in range(1, 5):
            assert parents.setdefault((depth, nodes[depth]), nodes[depth - 1]) == nodes[depth - 1], (code, depth)
    assert len(parents) > 100_000


def test_nodes_have_the_titles_of_the_tables(tree):
    chapter, block, category, code = tree.path("icd10cm", "E11.9")
    assert (chapter.title, block.title) == ("Endocrine, nutritional and metabolic diseases", "Diabetes mellitus")
    assert (category.title, code.title) == (
        "Type 2 diabetes mellitus",
        "Type 2 diabetes mellitus without complications",
    )
    assert tree.path("icd9cm", "038.9")[2] == Node("category", "icd9cm", "038", "")  # a title of CMS is missing
    assert tree.path("ccs", "D122", "Pneumonia") == (Node("code", "ccs", "D122", "Pneumonia"),)
    assert tree.path("icd9cm", "486", "another")[-1].title == "Pneumonia, organism unspecified"


def test_a_node_is_the_same_in_all_paths_and_as_a_label_itself(tree):
    above = tree.path("icd9cm", "038.11")
    assert tree.path("icd9cm", "038.1") == above[:4] and tree.path("icd9cm", "038") == above[:3]


def test_a_code_that_no_table_has_is_below_its_category(tree):
    assert tree.path("icd9cm", "401.7", "new")[:3] == tree.path("icd9cm", "401.9")[:3]
    assert tree.path("icd9cm", "401.7", "new")[-1] == Node("code", "icd9cm", "401.7", "new")


def test_levels_that_are_missing_are_left_out():
    rows = pd.DataFrame([{"system": "icd9cm", "code": "630", "category": "630", "chapter": "630-679",
                          "chapter_description": "x", "block": None, "block_description": ""}])  # fmt: skip
    assert [node.code for node in Tree({}, rows.to_dict("records")).path("icd9cm", "630.1")] == [
        "630-679", "630", "630.1"
    ]  # fmt: skip
