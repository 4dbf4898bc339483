"""params.yaml is checked strictly, and a mistake is told in one line that says what would be right."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from medcode import config
from medcode.errors import UserError

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"


@pytest.fixture
def load(tmp_path):
    """Loads params.yaml with changes, {dotted key: value}; the value `...` removes the key."""
    original = yaml.safe_load(PARAMS.read_text())

    def loaded(changes: dict) -> config.Params:
        raw = copy.deepcopy(original)
        for key, value in changes.items():
            section = raw
            *path, last = key.split("/")
            for part in path:
                section = section[part]
            if value is ...:
                del section[last]
            else:
                section[last] = value
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
        return config.load(tmp_path / "params.yaml")

    return loaded


QUICK = "models/caml/training/quick"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sed": 1}, "sed: unknown key; did you mean 'seed'?"),
        ({"synthesize/admision": 1}, "synthesize.admision: unknown key; did you mean 'admissions'?"),
        ({"synthesize/admissions": ..., "synthesize/admision": 1}, "synthesize.admision: unknown key"),
        ({"corpora/mimc3": {}}, "corpora.mimc3: unknown key; did you mean 'mimic3'?"),
        ({f"{QUICK}/learning_rat": 1}, "models.caml.training.quick.learning_rat: unknown key"),
        ({"split": ...}, "split: missing"),
        ({f"{QUICK}/optimizer": ...}, "models.caml.training.quick.optimizer: missing"),
        ({"training/threads": 2.0}, "training.threads: Input should be a valid integer, found 2.0"),
        ({"training/threads": True}, "training.threads: Input should be a valid integer, found True"),
        ({"training/threads": "2"}, "training.threads: Input should be a valid integer, found '2'"),
        ({"training/padding": 1.5}, "training.padding: Input should be less than or equal to 1, found 1.5"),
        ({"training/buckets": 8}, "training.buckets: unknown key"),
        ({f"{QUICK}/learning_rate": -1}, "models.caml.training.quick.learning_rate: Input should be greater than 0"),
        ({f"{QUICK}/learning_rate": "fast"}, "models.caml.training.quick.learning_rate: "),
        ({f"{QUICK}/dropout": 1.0}, "models.caml.training.quick.dropout: Input should be less than 1"),
        ({"corpus": "codiespp"}, "corpus: Input should be 'synthetic-mimic3',"),
        ({"corpora/codiesp/language": "fr"}, "corpora.codiesp.language: Input should be 'en' or 'es', found 'fr'"),
        ({"model": "camll"}, "model: there is no block models.camll; did you mean 'caml'?"),
        ({"recipe": "publishd"}, "recipe: there is no models.caml.training.publishd; did you mean 'published'?"),
        ({"split/dev_share": 0.5, "split/test_share": 0.5}, "split: dev_share + test_share must be below 1"),
        ({"seeds": 0}, "seeds: Input should be greater than or equal to 1, found 0"),
        ({"seeds": 3, "training/processes": 2}, "seeds: 3 seeds train side by side in one process, yet training.proc"),
        ({"split/published": "edin"}, "split.published: Input should be 'none', 'caml',"),
        ({"split/published": "caml", "split/source": "stratified"}, "split: source: stratified sets published lists"),
        # A choice by label set is checked whole, whichever label set is chosen now.
        ({f"{QUICK}/criterion": {"top50": "map", "full": "maap"}}, "models.caml.training.quick.criterion: "),
        ({f"{QUICK}/criterion": {"top50": "map"}}, "models.caml.training.quick.criterion: "),
    ],
)
def test_a_mistake_is_told_in_one_line(load, changes, message):
    with pytest.raises(UserError) as mistake:
        load(changes)
    told = str(mistake.value)
    assert f"params.yaml: {message}" in told
    assert "\n" not in told


def test_a_choice_by_label_set_is_made(load):
    criterion = {"top50": "map", "full": "precision_at_8"}
    sizes = {"top50": "top50", "top50_extra": "top50", "full": "full", "icd9": "full", "icd10": "full", "joint": "full"}
    for label_set, size in sizes.items():
        params = load({"label_set": label_set, f"{QUICK}/criterion": criterion})
        assert params.label_set == label_set
        assert params.models["caml"].training["quick"].criterion == criterion[size]


def test_a_number_may_be_written_as_yaml_1_1_does_not_know_it(tmp_path):
    text = PARAMS.read_text().replace("learning_rate: 0.003", "learning_rate: 3e-3", 1)
    (tmp_path / "params.yaml").write_text(text)
    assert config.load(tmp_path / "params.yaml").models["caml"].training["quick"].learning_rate == 0.003


@pytest.mark.parametrize(
    ("content", "message"), [("a: [1", "not valid YAML"), ("- 1", "expected a mapping"), ("\x81", "not valid YAML")]
)
def test_a_file_that_is_no_mapping_is_told_in_one_line(tmp_path, content, message):
    (tmp_path / "params.yaml").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=message) as mistake:
        config.load(tmp_path / "params.yaml")
    assert "\n" not in str(mistake.value)


def test_a_missing_file_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"params\.yaml: no such file"):
        config.load(tmp_path / "params.yaml")


def test_params_yaml_explains_its_keys():
    """Every key outside `models:` says what it is for, by a comment of its own or by its section's."""
    sections, own = PARAMS.read_text().split("\nmodels:")
    explained = {"systems", "seed", "size", "window", "epochs", "test_share", "batch_size"}
    for line in sections.splitlines():
        key = line.split(":")[0].strip()
        if line.startswith("  ") and line[2] != " " and ":" in line and not line.endswith(":") and key not in explained:
            assert "#" in line, line
    assert own
