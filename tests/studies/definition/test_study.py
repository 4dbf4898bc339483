"""Definitions of studies: all are present, settings are resolved, mistakes are refused."""

from __future__ import annotations

import functools
import operator
import re
from pathlib import Path
from typing import Any

import pytest
from study_results import PAPERLESS, TINY, issued, raw_params, write_study, write_yaml

from medcode import models
from medcode.errors import UserError
from medcode.reruns.stages import project
from medcode.studies.definition import resolve, study

ISSUED = {
    "bert-architectures", "bert-domains", "bert-frequency", "bert-more-data", "cantemist", "cnn-retrained",
    "codiesp-d-en", "codiesp-d-es", "codiesp-p-es", "diagnoses", "evidence-cantemist", "evidence-codiesp", "fusion",
    "fusion-ablation", "fusion-extra", "jams", "jams-frequency", "jams-linkage", "label-knowledge",
    "label-knowledge-codiesp", "label-knowledge-mimic4", "mtram-ablation", "mtram-ccs", "mtram-combine", "mtram-icd",
    "slides-code-embeddings", "slides-focal-loss", "slides-models", "slides-parameters",
    "zoo", "zoo-codiesp", "zoo-encoders", "zoo-mimic4",
}  # fmt: skip
MIMIC = {"synthetic-mimic3": "mimic3", "synthetic-mimic4": "mimic4"}
ROOT = Path(__file__).resolve().parents[3]
PROJECT = project(ROOT)


def test_every_table_and_figure_and_every_comparison_of_models_has_a_study():
    assert set(study.names(ROOT / "studies")) == ISSUED


@pytest.mark.parametrize("paper", ["paper's corpus", "other corpus"])
@pytest.mark.parametrize("name", sorted(ISSUED))
def test_every_row_makes_a_valid_configuration(name, paper, tmp_path):
    one = issued(name)
    corpus = one.definition.corpus
    if paper == "paper's corpus":
        one = at(one, MIMIC.get(corpus, corpus))
    raw = resolve.for_corpus(raw_params(), ROOT / "studies/data/settings.yaml", one.definition.corpus)
    absent = sorted({model for row in one.definition.rows if (model := model_of(one, row)) not in models.names()})
    if any("ram" in key for row in one.definition.rows for _, settings in one.layers(row) for key in settings):
        absent += sorted({"mt_ram"} - set(models.names()))  # whose file brings the option to others
    if absent:
        pytest.skip(f"not written yet: {', '.join(absent)}")
    resolve.check_settings(one, raw)
    for row in one.definition.rows:
        for label_set in one.label_sets(row):
            path = tmp_path / f"{row}-{label_set}.yaml"
            write_yaml(path, resolve.resolve_params(raw, one, row, label_set, 1))
            fingerprint = resolve.run_fingerprint(path, PROJECT)
            assert fingerprint["settings"]["model"] == model_of(one, row)
            for keys, value in options_of(one, row).items():
                in_effect = functools.reduce(operator.getitem, keys, fingerprint["settings"]["options"])
                assert in_effect == value, f"{row} sets {'.'.join(keys)} to {value}, and trains with {in_effect}"
            for folder in ("models", "config/models"):
                assert f"src/medcode/{folder}/{model_of(one, row)}.py" in fingerprint["code"]


def options_of(one: study.Study, row: str) -> dict[tuple[str, ...], Any]:
    """Return the options of the model that a study sets for a row, by path of keys."""
    options = {}
    for _, settings in one.layers(row):
        for key, value in settings.items():
            section, *parts = key.split(".")
            if section == "models" and parts[0] in ("*", model_of(one, row)) and parts[1] == "options":
                options[tuple(parts[2:])] = value
    return options


def model_of(one: study.Study, row: str) -> str:
    return one.setting(row, "model", "caml")


def at(one: study.Study, corpus: str) -> study.Study:
    changed = one.definition.model_copy(update={"corpus": corpus})
    return study.Study(one.name, changed, one.paper, one.root)


# Studies whose published rows are no rows of ours: encoders that cannot be had without a network.
BESIDE = {
    name
    for name in ISSUED
    if name.startswith(("zoo", "codiesp", "cantemist", "diagnoses", "evidence", "label-knowledge"))
}


@pytest.mark.parametrize("name", sorted(ISSUED - BESIDE))
def test_every_published_row_has_a_study_row(name):
    one = issued(name)
    for key, table in one.tables().items():
        shown = {row.published.split("/", 1)[1] for row in one.definition.rows.values() if row.published}
        published = {title for title, row in table.rows.items() if not row.quoted}
        if not key.startswith(("figure", "focal", "code")):
            assert published <= shown, f"{key}: no row of ours stands beside {sorted(published - shown)}"


def test_only_an_ensemble_of_the_label_set_full_takes_unseen_codes(studies):
    write_study(studies, "tiny", TINY, ensembles={"both": {"title": "Both", "rows": ["caml"], "open": True}})
    with pytest.raises(UserError, match=r"ensembles\.both\.open: expected rows of the label set full"):
        study.load(studies, "tiny")


def resolved_params(studies: Path, row: str, corpus: str = "synthetic-mimic3") -> dict:
    one = at(study.load(studies, "tiny"), corpus)
    raw = resolve.for_corpus(raw_params(), studies / "data/settings.yaml", corpus)
    return resolve.resolve_params(raw, one, row, "top50", 7)


def test_settings_are_applied_in_the_documented_order(studies):
    small, paper = resolved_params(studies, "cnn"), resolved_params(studies, "cnn", "mimic3")
    assert "models" not in small and "models" not in paper
    assert (small["recipe"], paper["recipe"]) == ("quick", "published")
    (quick,), (published,) = (one["recipes"].items() for one in (small, paper))
    assert (quick[0], quick[1]["epochs"], quick[1]["max_tokens"]) == ("quick", 2, 64)
    assert (published[0], published[1]["epochs"]) == ("published", 3) and "max_tokens" not in published[1]
    assert (small["options"]["filters"], paper["options"]["filters"]) == (8, 500)
    assert (small["seed"], small["label_set"], small["corpus"]) == (7, "top50", "synthetic-mimic3")


def test_the_corpus_is_prepared_as_the_papers_did(studies):
    assert resolved_params(studies, "caml", "mimic3")["split"]["published"] == "caml"
    assert resolved_params(studies, "caml")["split"]["published"] == "none"


def test_settings_shared_with_the_main_workflow_are_refused(studies):
    path = studies / "data/settings.yaml"
    path.write_text(path.read_text() + "jsonl:\n  reference.source: official\n")
    raw = raw_params()
    resolve.for_corpus(raw, path, "mimic4")
    with pytest.raises(UserError, match=re.escape("jsonl: reference.source: studies and main workflow share")):
        resolve.for_corpus(raw, path, "jsonl")


def test_same_as_shares_trainings_only_if_corpus_and_seeds_match(studies):
    rows = {"caml": {"title": "CAML again", "same_as": "tiny/caml"}}
    write_study(studies, "other", TINY, rows=rows, comparisons=[], seeds=[2])
    shared = study.load(studies, "other")
    assert shared.runs() == {}
    assert shared.run_folder("caml", "top50", 2) == studies / "tiny/runs/synthetic-mimic3/top50/caml/2"
    write_study(studies, "other", TINY, rows=rows, comparisons=[], seeds=[2, 3])
    other = study.load(studies, "other")
    assert other.runs() == {"top50": ["caml"]}
    assert other.run_folder("caml", "top50", 2) == studies / "other/runs/synthetic-mimic3/top50/caml/2"


def test_a_fingerprint_contains_only_the_code_of_its_model(studies, tmp_path):
    path = tmp_path / "params.yaml"
    write_yaml(path, resolved_params(studies, "caml"))
    code = resolve.run_fingerprint(path, PROJECT)["code"]
    assert {"stages/train.py", "stages/evaluate.py", "stages/common.py", "src/medcode/models/caml.py"} <= code.keys()
    assert {"src/medcode/training/trainer.py", "src/medcode/layers/label_attention.py"} <= code.keys()
    unrelated_modules = {
        "models/cnn.py",
        "config/models/cnn.py",
        "models/fusion.py",
        "studies/report/page.py",
        "corpora/mimic4.py",
    }
    assert not {f"src/medcode/{path}" for path in unrelated_modules} & code.keys()
    training = resolve.training_code(path, PROJECT)["code"]
    assert "stages/evaluate.py" not in training
    assert all(code[path].items() >= digests.items() for path, digests in training.items())


def test_a_fingerprint_excludes_settings_without_effect(studies, tmp_path):
    path = tmp_path / "params.yaml"
    raw = resolved_params(studies, "caml")
    write_yaml(path, raw)
    before = resolve.run_fingerprint(path, PROJECT)
    unread = {"word2vec": {}, "encoders": {}, "recipes": raw["recipes"] | {"other": {"epochs": -1}}}
    write_yaml(path, raw | unread | {"training": raw["training"] | {"checkpoint_steps": 7}})
    assert resolve.run_fingerprint(path, PROJECT) == before
    for changes in ({"seed": 8}, {"options": raw["options"] | {"kernel": 3}}, {"encoder": "minilm"}):
        write_yaml(path, raw | changes)
        assert resolve.run_fingerprint(path, PROJECT) != before


def test_choosing_seeds_and_corpus_changes_exactly_two_lines(studies):
    path = studies / "tiny/study.yaml"
    path.write_text("# a remark\n" + path.read_text().replace("seeds:\n- 1\n- 2\n", "seeds: [1, 2]   # few\n"))
    before = path.read_text()
    study.choose(studies, "tiny", seeds=[1, 2, 3], corpus="codiesp")
    after = path.read_text()
    changed = [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if len(set(pair)) > 1]
    assert changed == [
        ("corpus: synthetic-mimic3", "corpus: codiesp"),
        ("seeds: [1, 2]   # few", "seeds: [1, 2, 3]   # few"),
    ]


ENSEMBLE = {"title": "Both", "rows": ["caml", "cnn"]}


def of_ensemble(**changes):
    return {"ensembles": {"both": ENSEMBLE | changes}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paper": "mtram"}, "there is no such paper; did you mean 'mt-ram'?"),
        ({"tables": ["table9"]}, "tables: mt-ram has no table9; did you mean 'table4'?"),
        ({"corpus": "mimic33"}, "corpus: there is no 'mimic33'; did you mean 'mimic3'?"),
        ({"seeds": [1, 1]}, "seeds: expected each once, found [1, 1]"),
        ({"sead": 3}, "sead: unknown key; did you mean 'seeds'?"),
        ({"rows": {"Caml": {"title": "x"}}}, "rows.Caml: a name has small letters, digits and underscores only"),
        (
            {"rows": {"a": {"title": "x", "published": "table3/CAMEL"}}},
            "table3 has no row 'CAMEL'; did you mean",
        ),
        ({"rows": {"a": {"title": "x", "published": "table1/CAML"}}}, "table1 is not among the study's tables"),
        ({"comparisons": [["caml", "cnnn"]]}, "comparisons: there is no row cnnn; did you mean 'cnn'?"),
        (of_ensemble(rows=["caml", "cnnn"]), "ensembles.both.rows: there is no row cnnn; did you mean 'cnn'?"),
        (of_ensemble(rows=[]), "ensembles.both.rows: List should have at least 1 item"),
        ({"ensembles": {"Both": ENSEMBLE}}, "ensembles.Both: a name has small letters, digits and underscores only"),
        (
            of_ensemble() | {"rows": TINY["rows"] | {"cnn": {"title": "CNN", "same_as": "mtram-icd/cnn"}}},
            "ensembles.both.rows: cnn is a row of another study; name rows that this study trains",
        ),
        (
            of_ensemble() | {"rows": TINY["rows"] | {"cnn": {"title": "CNN", "label_sets": ["full"]}}},
            "ensembles.both.rows: expected rows of one and the same label set",
        ),
    ],
)
def test_a_mistake_in_a_study_is_reported_in_one_line(studies, change, message):
    write_study(studies, "tiny", TINY, **change)
    with pytest.raises(UserError, match=re.escape(message)):
        study.load(studies, "tiny")


def of_table(**changes):
    return {"tables": PAPERLESS["tables"] | changes}


def of_group(**changes):
    return of_table(groups={"icd": PAPERLESS["tables"]["groups"]["icd"] | changes})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paper": "mt-ram"}, "tables: expected names of tables of the paper mt-ram, found a table"),
        ({"tables": ["table3"]}, "tables: without a paper, expected the table itself, found ['table3']"),
        ({"rows": {"a": {"title": "A", "published": "table3/CAML"}}}, "rows.a.published: the study has no paper"),
        (of_table(number="Table 3"), "tables.number: unknown key"),
        (of_table(rows={"CAML": {"cells": {}}}), "tables.rows: unknown key"),
        (of_table(unit="millions"), "tables.unit: Input should be 'percent' or 'fraction', found 'millions'"),
        (of_table(groups={}), "tables.groups: Dictionary should have at least 1 item"),
        (of_group(label_set="top5"), "tables.groups.icd.label_set: Input should be 'top50'"),
        (of_group(columns=["f1_mico"]), "groups.icd.columns: there is no metric f1_mico; did you mean 'f1_micro'?"),
        (of_group(columns=["trainable"]), "tables.groups.icd.columns: there is no metric trainable"),
        (of_group(head="icd9"), "tables.groups.icd: top50 has no head icd9; did you mean 'icd'?"),
        (of_group(label_set="joint"), "tables.groups.icd: joint has no head icd; did you mean 'icd9'?"),
        ({"figures": ["parameters"]}, "figures: parameters are drawn beside a paper's; this study has no paper"),
        ({"papr": "mt-ram", "tables": ["table3"]}, "papr: unknown key; did you mean 'paper'?"),
    ],
)
def test_a_mistake_in_a_study_without_a_paper_is_reported_in_one_line(studies, change, message):
    write_study(studies, "own", PAPERLESS, **change)
    with pytest.raises(UserError, match=re.escape(message)) as mistake:
        study.load(studies, "own")
    assert len(mistake.value.args) == 1 and str(mistake.value).startswith(str(studies / "own/study.yaml: "))


def test_a_study_without_a_paper_trains_the_label_sets_of_its_table(studies):
    write_study(studies, "own", PAPERLESS)
    own = study.load(studies, "own")
    assert own.paper is None and list(own.tables()) == ["table"]
    assert own.runs() == {"top50": ["caml", "caml_wide", "cnn"]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "camll"}, "model: there is no model camll; did you mean 'caml'?"),
        ({"model": "caml", "recipe": "publishd"}, "recipe: caml has no recipe publishd; did you mean 'published'?"),
        ({"models.*.options.filtres": 3}, "options.filtres: unknown key; did you mean 'filters'?"),
        (
            {"models.*.recipes.*.epochs": 0},
            "recipes.published.epochs: Input should be greater than or equal to 1, found 0",
        ),
        ({"models.*.recipes.quik.epochs": 3}, "params.yaml has no quik there; did you mean 'quick'?"),
        ({"models.*.recipes.*.criterion": "map"}, "models.*.recipes.*.criterion: renamed; write monitor"),
        ({"models.*.options.faithful": True}, "models.*.options.faithful: renamed; write match_released_code"),
        ({"training.overfit": 3}, "training.overfit: renamed; write overfit_documents"),
        ({"models.*.filters": 3}, "models.*.filters: it is called models.*.options.filters"),
        ({"models.caml.training.*.epochs": 3}, "it is called models.caml.recipes.*.epochs"),
        ({"models.*": 3}, "models.*: it is called models.*.options"),
        (
            {"word2vec.size": 3},
            "word2vec.size: a study sets model, recipe, encoder, training, evaluation, explain, models only",
        ),
    ],
)
def test_a_mistake_in_row_settings_is_reported_in_one_line(studies, tmp_path, settings, message):
    write_study(studies, "tiny", TINY, rows={"a": {"title": "A", "settings": settings}}, comparisons=[], small={})
    with pytest.raises(UserError, match=re.escape(message)):
        path = tmp_path / "params.yaml"
        write_yaml(path, resolved_params(studies, "a"))
        resolve.run_fingerprint(path, PROJECT)


def test_a_setting_of_an_unused_model_is_refused(studies):
    write_study(studies, "tiny", TINY, small={"models.laat.options.hidden": 3})
    with pytest.raises(UserError, match=re.escape("small: models.laat.options.hidden: no row has the model laat")):
        resolve.check_settings(study.load(studies, "tiny"), {})
