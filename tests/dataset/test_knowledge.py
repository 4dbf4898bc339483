"""What the tables know of labels: synonyms and paths, written for a model that needs them and read again."""

from __future__ import annotations

import pyarrow as pa
import pytest
import stage_commands

from medcode import io
from medcode.codes import hierarchy
from medcode.codes.synonyms import SCHEMA
from medcode.dataset import knowledge
from medcode.errors import UserError

DESCRIBED = pa.table({"system": ["icd10cm"] * 2, "code": ["E11", "E11.9"], "description": ["Diabetes 2", "T2DM"]})
SYNONYMS = [
    ("icd10cm", "E11.9", "t2dm", "own"),
    ("icd10cm", "E11.9", "Sugar", "own"),
    ("icd10cm", "E11.9", "sugar", "inclusion_term"),
    ("icd10cm", "E11.9", "Diabetes NOS", "inclusion_term"),
    ("icd10cm", "I10", "High blood pressure", "inclusion_term"),
]
LABELS = {
    "icd": [
        {"system": "icd10cm", "code": "E11.9", "description": "T2DM", "train_documents": 1},
        {"system": "icd9cm", "code": "E11.9", "description": "", "train_documents": 1},
        {"system": "icd10cm", "code": "E11", "description": "Diabetes 2", "train_documents": 0},
    ],
    "ccs": [{"system": "ccs", "code": "D49", "description": "Diabetes", "train_documents": 1}],
}


@pytest.fixture
def written(tmp_path):
    """The tables and the labels, and a function that runs the stage."""
    io.write_json(tmp_path / "inputs/heads.json", {head: {"labels": records} for head, records in LABELS.items()})
    io.write_table(tmp_path / "descriptions", DESCRIBED)
    io.write_table(tmp_path / "synonyms", io.table_of(SYNONYMS, SCHEMA))
    io.write_table(tmp_path / "hierarchy", hierarchy.table(DESCRIBED))
    io.write_text(tmp_path / "params.yaml", "model: nobody reads this\n")

    def run(*, terms: bool = True, tree: bool = True) -> None:
        io.write_json(tmp_path / "needs.json", {"terms": terms, "tree": tree})
        names = ("inputs", "descriptions", "synonyms", "hierarchy")
        options = {name: name for name in names} | {"params": "params.yaml", "out": "out", "needs": "needs.json"}
        assert stage_commands.in_this_process("knowledge", stage_commands.options(**options), tmp_path).returncode == 0

    run.out = tmp_path / "out"
    return run


def test_terms_are_in_the_order_of_the_table_once_each_and_without_the_title():
    rows = io.table_of(SYNONYMS, SCHEMA).to_pylist()
    assert knowledge.terms_of(LABELS, rows) == {"icd": [["Sugar", "Diabetes NOS"], [], []], "ccs": [[]]}


def test_synonyms_and_paths_are_looked_up(written):
    written()
    assert knowledge.read_terms(written.out) == {"icd": [["Sugar", "Diabetes NOS"], [], []], "ccs": [[]]}
    paths = knowledge.read_paths(written.out)
    assert [[node.code for node in path] for path in paths["icd"]] == [
        ["E00-E89", "E08-E13", "E11", "E11.9"], ["E11.9"], ["E00-E89", "E08-E13", "E11"]
    ]  # fmt: skip
    assert paths["icd"][0][:3] == paths["icd"][2]
    assert paths["ccs"][0][0].title == "Diabetes"


@pytest.mark.parametrize(("terms", "tree"), [(True, False), (False, True), (True, True)])
def test_for_a_training_there_is_what_it_needs(written, terms, tree):
    written(terms=terms, tree=tree)
    files = {path.name for path in written.out.iterdir()}
    assert files == {name for name, needed in ((knowledge.TERMS, terms), (knowledge.TREE, tree)) if needed}


def test_for_a_training_that_needs_nothing_the_folder_is_empty(written):
    written(terms=False, tree=False)
    assert io.is_empty(written.out)
    for read in (knowledge.read_terms, knowledge.read_paths):
        with pytest.raises(UserError, match=r"holds no \w+\.json, which training needs; make it again"):
            read(written.out)
