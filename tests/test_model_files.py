"""configs/models: each model has a valid file that states only non-default values."""

from __future__ import annotations

import functools
import importlib
import re
import shutil
from pathlib import Path

import pytest
import yaml
from small_models import FOLDER, every_model, file, settings

from medcode import config, models
from medcode.config import models as option_classes
from medcode.config.checking import check_all, check_run
from medcode.config.models import ModelConfig
from medcode.config.recipes import check_file, model_settings, recipe_class
from medcode.errors import UserError
from medcode.models.base import LabelAttentionHeads, Model
from medcode.models.catalog import ModelFile

ROOT = Path(__file__).resolve().parents[1]


def test_each_model_has_exactly_one_file():
    assert option_classes.names() == models.names() == sorted(path.stem for path in FOLDER.iterdir())


@every_model
def test_each_network_uses_the_options_of_its_name(name):
    model_cls = models.find(name)
    assert model_cls.Config is option_classes.find(name)
    assert model_cls.Config.fits_at_once == (model_cls.fit is not Model.fit)
    assert model_cls.Config.shares_features == issubclass(model_cls, LabelAttentionHeads)
    assert isinstance(settings(name).config, model_cls.Config)


@every_model
def test_files_begin_with_the_paper_and_a_command(name, tmp_path):
    paper, command, first = (FOLDER / f"{name}.yaml").read_text().splitlines()[:3]
    assert paper.startswith("# ") and command.startswith(f"# dvc exp run -S model={name}") and first == "options:"
    published = models.find(name).paper
    for author_and_year in published.split("; ") if published else []:
        assert author_and_year.split(" (")[0] in paper
    params = config.read_yaml(ROOT / "params.yaml")
    for key, value in re.findall(r"-S ([\w.]+)=([\w-]+)", command):
        *sections, last = key.split(".")
        section = functools.reduce(dict.__getitem__, sections, params)
        assert last in section
        section[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    run, (chosen, *_) = check_run(path, FOLDER)
    assert (run.model, chosen.model) == (name, name)
    assert (run.encoder != "none") == chosen.config.uses_subwords
    assert run.tokenize.rule == (chosen.config.tokenize_rule or "caml")
    assert (run.label_set == "joint") == ("icd" not in chosen.config.heads)


@every_model
def test_every_recipe_is_valid_for_every_label_set(name):
    check_file(FOLDER / f"{name}.yaml", name)
    for recipe in file(name)["recipes"]:
        for label_set in ("top50", "full"):
            assert settings(name, recipe, label_set).recipe_name == recipe
    assert "quick" in file(name)["recipes"]


@every_model
def test_files_state_only_values_that_differ_from_defaults(name):
    sections = [("options", file(name)["options"], option_classes.find(name))]
    recipe_cls = recipe_class(option_classes.find(name))
    sections += [(f"recipes.{recipe}", stated, recipe_cls) for recipe, stated in file(name)["recipes"].items()]
    for where, stated, cls in sections:
        for key, value in stated.items():
            field = cls.model_fields[key]
            assert field.is_required() or value != field.get_default(call_default_factory=True), f"{where}.{key}"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A modifiable copy of all files."""
    return Path(shutil.copytree(FOLDER, tmp_path / "models"))


def change(folder: Path, old: str, new: str, name: str = "caml") -> Path:
    path = folder / f"{name}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    return path


MISTAKES = [
    ("filters: 50", "filter: 50", "options.filter: unknown key; did you mean 'filters'?"),
    ("filters: 50", "filters: 50\n  faithful: true", "options.faithful: renamed; write match_released_code"),
    (
        "learning_rate: 0.005",
        "learning_rate: 0.005\n    label_vectors: titles",
        "recipes.quick.label_vectors: renamed; write label_init: descriptions",
    ),
    (
        "learning_rate: 0.005",
        "learning_rate: 0.005\n    label_init: titles",
        "recipes.quick.label_init: renamed; write descriptions",
    ),
    (
        "    patience: 3\n    label_biases: log_odds\n",
        "    patience: 3\n    label_biases: drawn\n",
        "recipes.quick.label_biases: renamed; write random",
    ),
    ("filters: 50", "filters: 0", "options.filters: Input should be greater than or equal to 1, found 0"),
    ("filters: 50", "filters: 50\n  dropout: 0.1", "options.dropout: belongs to a recipe, recipes.<recipe>.dropout"),
    ("filters: 50", "filters: 50\n  heads: []", "options.heads: "),
    ("  filters: 50\n", "", "options.filters: missing"),
    ("options:", "option:", "option: unknown key; did you mean 'options'?"),
    ("recipes:", "recipe:", "recipe: unknown key; did you mean 'recipes'?"),
    ("learning_rate: 0.005", "learning_rat: 0.003", "recipes.quick.learning_rat: unknown key"),
    ("learning_rate: 0.005", "learning_rate: -1", "recipes.quick.learning_rate: Input should be greater than 0"),
    ("learning_rate: 0.005", "learning_rate: fast", "recipes.quick.learning_rate: "),
    ("learning_rate: 0.005", "learning_rate: true", "recipes.quick.learning_rate: expected a number, not true"),
    ("    learning_rate: 0.005\n", "", "recipes.quick.learning_rate: missing"),
    ("learning_rate: 0.005", "learning_rate: 0.005\n    dropout: 1.0", "recipes.quick.dropout: Input should be less"),
    ("learning_rate: 0.005", "learning_rate: 0.005\n    monitor: maap", "recipes.quick.monitor: Input should be"),
    (
        "learning_rate: 0.005",
        "learning_rate: 0.005\n    options: {kernels: 3}",
        "recipes.quick.options.kernels: unknown key; did you mean 'kernel'?",
    ),
    (
        "learning_rate: 0.005",
        "learning_rate: 0.005\n    options: {faithful: true}",
        "recipes.quick.options.faithful: renamed; write match_released_code",
    ),
    (
        "learning_rate: 0.005",
        "learning_rate: 0.005\n    options: {embedding: static}",
        "recipes.quick.options.embedding: belongs to the recipe itself, recipes.quick.embedding",
    ),
    # A choice by label set is checked whole, whichever label set is chosen now.
    (
        "learning_rate: 0.005",
        "learning_rate: 0.005\n    monitor: {top50: map, full: maap}",
        "recipes.quick.monitor: Input should be",
    ),
    ("learning_rate: 0.005", "learning_rate: 0.005\n    monitor: {top50: map}", "recipes.quick.monitor: "),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_a_mistake_in_a_model_file_is_reported_in_one_line(folder, old, new, message):
    path = change(folder, old, new)
    for check in (lambda: check_file(path, "caml"), lambda: check_all(ROOT / "params.yaml", folder)):
        with pytest.raises(UserError) as mistake:
            check()
        (line,) = mistake.value.args
        assert line.startswith(f"{path}: {message}")


def test_only_a_model_that_is_fitted_at_once_may_leave_out_keys_about_steps(folder):
    content = config.read_yaml(folder / "cnn.yaml")
    for key in ("learning_rate", "batch_size", "epochs", "patience"):
        del content["recipes"]["quick"][key]
    (folder / "cnn.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError) as mistake:
        config.load_model(folder / "cnn.yaml", "cnn", "quick", "top50")
    assert len(mistake.value.args) == 4 and all(line.endswith(": missing") for line in mistake.value.args)
    recipe = config.load_model(folder / "linear.yaml", "linear", "quick", "top50").recipe
    assert recipe.epochs == 1 and "epochs" in recipe.idle and "max_tokens" not in recipe.idle
    change(folder, "quick: {}", "quick: {epoch: 3}", "linear")
    with pytest.raises(UserError, match=r"recipes\.quick\.epoch: unknown key; did you mean 'epochs'\?"):
        check_file(folder / "linear.yaml", "linear")


def test_mistakes_in_other_recipes_do_not_stop_a_run(folder):
    path = change(folder, "learning_rate: 0.008", "learning_rate: -1")
    assert config.load_model(path, "caml", "quick", "top50").recipe.learning_rate == 0.005
    with pytest.raises(UserError, match=r"recipes\.mtram\.learning_rate"):
        config.load_model(path, "caml", "mtram", "top50")


def test_a_run_ignores_other_keys_of_a_model_file(tmp_path):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"seed": 1, "unknown": 2} | file("caml")))
    assert config.load_model(tmp_path / "run.yaml", "caml", "quick", "top50").model == "caml"


def test_an_unknown_recipe_names_the_nearest(folder):
    with pytest.raises(UserError, match=r"caml\.yaml: recipes: there is no publishd; did you mean 'published'\?"):
        config.load_model(folder / "caml.yaml", "caml", "publishd", "top50")


def test_a_file_without_recipes_is_refused_in_one_line(folder):
    path = folder / "cnn.yaml"
    path.write_text("options: {filters: 3, kernel: 2}\n")
    for check in (lambda: check_file(path, "cnn"), lambda: config.load_model(path, "cnn", "quick", "top50")):
        with pytest.raises(UserError) as mistake:
            check()
        assert mistake.value.args == (f"{path}: recipes: missing",)


@pytest.mark.parametrize("recipe", ["quick", "auto"])
def test_a_file_with_empty_recipes_is_refused_in_one_line(folder, tmp_path, recipe):
    path = folder / "cnn.yaml"
    path.write_text("options: {filters: 3, kernel: 2}\nrecipes: {}\n")
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(config.read_yaml(ROOT / "params.yaml") | {"model": "cnn", "recipe": recipe}))
    for check in (
        lambda: check_file(path, "cnn"),
        lambda: check_all(params, folder),
        lambda: config.load_model(path, "cnn", "quick", "top50"),
        lambda: ModelFile("cnn", config.read_yaml(path), folder).settings("top50"),
    ):
        with pytest.raises(UserError) as mistake:
            check()
        assert mistake.value.args == (f"{path}: recipes: empty; every model has at least `quick`",)


def test_values_by_label_set_are_chosen(folder):
    path = change(folder, "learning_rate: 0.005", "learning_rate: {top50: 0.1, full: 0.2}")
    change(folder, "filters: 50", "filters: {top50: 3, full: 4}")
    for label_set, rate, filters in (("top50", 0.1, 3), ("top50_extra", 0.1, 3), ("full", 0.2, 4), ("joint", 0.2, 4)):
        chosen = config.load_model(path, "caml", "quick", label_set)
        assert (chosen.recipe.learning_rate, chosen.config.filters) == (rate, filters)


def test_a_recipe_sets_dropout_and_embedding_and_may_change_options(folder):
    path = change(
        folder, "learning_rate: 0.005", "learning_rate: 3e-3\n    dropout: 0.5\n    options: {filters: 7, ram: true}"
    )
    chosen = config.load_model(path, "caml", "quick", "top50")
    assert (chosen.recipe.learning_rate, chosen.config.dropout, chosen.config.filters) == (0.003, 0.5, 7)
    assert (chosen.config.ram, chosen.config.kernel) == (True, 10)
    other = config.load_model(path, "caml", "mtram", "top50").config
    assert (other.filters, other.ram, other.embedding) == (50, False, "static")


def test_options_must_be_valid_without_the_changes_of_a_recipe(folder):
    """The options alone are a setting too, so they must be valid."""
    path = change(folder, "head: label_attention", "head: fcn", "bert_hier")
    change(folder, "attention_over: chunks", "attention_over: tokens", "bert_hier")
    with pytest.raises(UserError) as mistake:
        check_file(path, "bert_hier")
    assert mistake.value.args == (f"{path}: options: attention_over: tokens needs head: label_attention",)


def test_all_mistakes_are_reported_together_and_once(folder, tmp_path):
    params = tmp_path / "params.yaml"
    content = config.read_yaml(ROOT / "params.yaml")
    params.write_text(yaml.safe_dump(content | {"sed": 1, "encoder": "minilm"}))
    change(folder, "filters: 50", "filters: 0")
    change(folder, "learning_rate: 0.005", "learning_rate: -1")
    change(folder, "epochs: 11", "epoch: 11", "cnn")
    (folder / "laat.yaml").unlink()
    (folder / "camel.yaml").write_text("options: {}\n")
    with pytest.raises(UserError) as mistakes:
        check_all(params, folder)
    lines = mistakes.value.args
    assert len(lines) == len(set(lines))
    message = "\n".join(lines)
    for part in (
        f"{params}: sed: unknown key", f"{folder}/caml.yaml: options.filters: ",
        f"{folder}/caml.yaml: recipes.quick.learning_rate: ", f"{folder}/cnn.yaml: recipes.quick.epoch: ",
        f"{folder}/laat.yaml: no such file", f"{folder}/camel.yaml: there is no such model; did you mean 'caml'?",
    ):  # fmt: skip
        assert message.count(part) == 1, part


@pytest.mark.parametrize("finder", [models, option_classes])
@pytest.mark.parametrize("two", [True, False])
def test_a_module_with_two_models_or_none_is_refused_in_one_line(monkeypatch, finder, two):
    module = importlib.import_module(f"{finder.__name__}.caml")
    first = finder.find("caml")
    if two:
        monkeypatch.setattr(module, "Second", type("Second", (first,), {"__module__": module.__name__}), raising=False)
    else:
        monkeypatch.delattr(module, first.__name__)
    base = "Model" if finder is models else "ModelConfig"
    found = f"{first.__name__}, Second" if two else "none"
    with pytest.raises(UserError) as mistake:
        finder.find("caml")
    (line,) = mistake.value.args
    assert line.startswith(f"{module.__file__}: expected one subclass of {base}, found {found};")


def test_every_option_class_has_a_docstring():
    for name in option_classes.names():
        cls = option_classes.find(name)
        assert issubclass(cls, ModelConfig) and cls.__doc__
    with pytest.raises(UserError, match=r"model: there is no 'camll'; did you mean 'caml'\?"):
        option_classes.find("camll")


def test_sentences_are_for_models_with_the_head_of_codes_alone():
    def chosen(name: str, recipe: str) -> config.ModelSettings:
        content = file(name)
        recipes = {recipe: content["recipes"][recipe] | {"unit": "sentences"}}
        return model_settings(content | {"recipes": recipes}, f"{name}.yaml", name, recipe, "top50")

    assert chosen("caml", "quick").recipe.unit == chosen("linear", "quick").recipe.unit == "sentences"
    assert chosen("caml", "quick").recipe.note_tokens is None
    with pytest.raises(
        UserError, match=r"^mt_ram\.yaml: recipes\.quick\.unit: sentences is for .* icd alone, mt_ram has"
    ):
        chosen("mt_ram", "quick")


def test_a_weight_of_spans_is_for_documents_and_models_whose_labels_attend_to_tokens():
    def chosen(name: str, **changes) -> config.ModelSettings:
        content = file(name)
        recipes = {"quick": content["recipes"]["quick"] | {"span_weight": 0.5} | changes}
        return model_settings(content | {"recipes": recipes}, f"{name}.yaml", name, "quick", "top50")

    assert chosen("caml").recipe.span_weight == chosen("jams").recipe.span_weight == 0.5
    assert chosen("bert_hier", options={"attention_over": "tokens", "head": "label_attention"}).config.attends_to_tokens
    for name, changes in (
        ("cnn", {}),
        ("linear", {}),
        ("gatedcnn_nci", {}),
        ("bert_trun", {"options": {"head": "fcn"}}),
        ("bert_hier", {"options": {"head": "label_attention", "attention_over": "chunks"}}),
        ("mt_ram", {"options": {"ram": True, "ram_position": "branches"}}),
        ("fusion", {"options": {"attention": "document"}}),
    ):
        with pytest.raises(UserError) as mistake:
            chosen(name, **changes)
        assert mistake.value.args == (
            f"{name}.yaml: recipes.quick.span_weight: is for models whose labels attend to the tokens of a note, which "
            f"those of {name} with these options do not; set span_weight: 0",
        )
        assert chosen(name, **changes, span_weight=0).recipe.span_weight == 0
    assert chosen("caml", unit="sentences").recipe.span_weight == 0.5
    with pytest.raises(UserError, match=r"^caml\.yaml: recipes\.quick\.span_documents: goes with unit: sentences; set"):
        chosen("caml", span_weight=0, span_documents=True)
    with pytest.raises(UserError, match=r"caml\.yaml: recipes\.quick\.span_weight: .*greater than or equal to 0"):
        chosen("caml", span_weight=-1)


def test_a_curriculum_is_for_models_whose_labels_can_start_from_others():
    def chosen(name: str, **changes) -> config.ModelSettings:
        content = file(name)
        quick = content["recipes"]["quick"] | {"curriculum": {"epochs": [1, 1, 1, 1]}, "label_init": "random"} | changes
        return model_settings(content | {"recipes": {"quick": quick}}, f"{name}.yaml", name, "quick", "top50")

    assert chosen("laat").recipe.curriculum.epochs == [1, 1, 1, 1]
    assert chosen("laat", curriculum=None).recipe.curriculum is None
    for name, changes in (
        ("linear", {}),
        ("cnn", {}),
        ("jams", {}),
        ("plm_ca", {}),
        ("joint_laat", {}),
        ("fusion", {"options": {"attention": "document"}}),
    ):
        with pytest.raises(UserError) as mistake:
            chosen(name, **changes)
        assert mistake.value.args == (
            f"{name}.yaml: recipes.quick.curriculum: is for models whose labels attend to the tokens of a note and "
            f"are a query and an output vector each, which those of {name} with these options are not; "
            "leave curriculum out",
        )
    with pytest.raises(
        UserError, match=r"^caml\.yaml: recipes\.quick\.label_init: descriptions sets what a curriculum"
    ):
        chosen("caml", label_init="descriptions")
    with pytest.raises(
        UserError, match=r"^caml\.yaml: recipes\.quick\.span_weight: spans belong to codes, and a curric"
    ):
        chosen("caml", span_weight=0.5)
    for epochs in ([1, 1, 1], [1] * 5, [1, 1, 1, 0]):
        with pytest.raises(UserError, match=r"^caml\.yaml: recipes\.quick\.curriculum\.epochs"):
            chosen("caml", curriculum={"epochs": epochs})
    with pytest.raises(
        UserError, match=r"curriculum: expected keys with values, \{key: value\}, found \[1, 1, 1, 1\]$"
    ):
        chosen("caml", curriculum=[1, 1, 1, 1])
