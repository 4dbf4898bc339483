"""The studies that train every model: none is forgotten, and each is trained as the main workflow trains it."""

from __future__ import annotations

import pytest
from study_results import ROOT, issued, raw_params

from medcode import config, models
from medcode.studies.definition import resolve

ON_DEFAULT_CORPORA = ("zoo", "zoo-mimic4", "zoo-encoders")
SETTINGS = ROOT / "studies/data/settings.yaml"
MODELS = ROOT / "configs/models"


def settings_of(name, row):
    """Return the settings of a row with those of its study."""
    definition = issued(name).definition
    return definition.settings | definition.rows[row].settings


def rows(*names):
    return [(name, row) for name in names for row in issued(name).definition.rows]


def test_every_model_is_a_row_of_exactly_one_study():
    """A model that needs a rule of words stands in the study of that rule, beside others that read the same."""
    needing = {name for name in models.names() if models.find(name).Config.tokenize_rule}
    assert needing == {"attentive_lstm"} and needing <= set(issued("diagnoses").definition.rows)
    in_zoos = [settings_of(name, row)["model"] for name, row in rows(*ON_DEFAULT_CORPORA)]
    assert sorted([*in_zoos, *needing]) == models.names()


def test_the_linear_baseline_is_the_first_row():
    for name in ("diagnoses", "zoo", "zoo-codiesp"):
        assert next(iter(issued(name).definition.rows)) == "linear"


@pytest.mark.parametrize(("name", "row"), rows(*ON_DEFAULT_CORPORA, "diagnoses", "zoo-codiesp"))
def test_a_row_is_named_as_its_model_and_sets_nothing_else(name, row):
    recipe = "small" if name == "zoo-codiesp" and row != "linear" else "quick"
    expected = {"model": row, "recipe": recipe, "training.threads": 1}
    assert settings_of(name, row) == expected | ({"encoder": "minilm"} if name == "zoo-encoders" else {})
    assert not issued(name).definition.small and not issued(name).definition.rows[row].small


@pytest.mark.parametrize("name", ON_DEFAULT_CORPORA)
def test_the_data_of_the_default_corpora_are_prepared_as_by_the_main_workflow(name):
    raw, corpus = raw_params(), issued(name).definition.corpus
    assert resolve.for_corpus(raw, SETTINGS, corpus) == raw | {"corpus": corpus}


def test_the_written_diagnoses_are_those_of_the_main_workflows_notes():
    raw = raw_params()
    found = resolve.for_corpus(raw, SETTINGS, issued("diagnoses").definition.corpus)
    assert found == raw | {"tokenize": {"rule": "diagnoses"}}


@pytest.mark.parametrize(("name", "row"), rows("zoo"))
def test_the_first_seed_of_a_row_is_the_main_workflows_experiment(name, row):
    """As `dvc exp run -S model=<row>`, where `auto` takes quick: all but the number of threads is the same."""
    raw, definition = raw_params(), issued(name).definition
    resolved = resolve.resolve_params(raw, issued(name), row, "top50", definition.seeds[0])
    file = raw["models"][row]
    chosen = {"model": row, "recipe": "quick", "training": raw["training"] | {"threads": 1}}
    expected = raw | chosen | {"options": file["options"], "recipes": {"quick": file["recipes"]["quick"]}}
    del expected["models"]
    assert (definition.corpus, list(issued(name).runs())) == (raw["corpus"], [raw["label_set"]])
    assert resolved == expected


def test_diagnoses_of_codiesp_in_english_are_predicted():
    raw = resolve.for_corpus(raw_params(), SETTINGS, issued("zoo-codiesp").definition.corpus)
    assert raw["corpora"]["codiesp"] == {"language": "en", "track": "D"}


def test_every_model_on_words_with_a_recipe_for_few_documents_is_a_row_on_codiesp():
    expected = {"linear"}
    for name in models.names():
        if "small" in config.read_yaml(MODELS / f"{name}.yaml")["recipes"]:
            options = config.load_model(MODELS / f"{name}.yaml", name, "small", "full").config
            if "icd" in options.heads and not options.uses_subwords:
                expected.add(name)
    assert set(issued("zoo-codiesp").definition.rows) == expected
