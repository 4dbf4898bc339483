"""`check`: valid files are accepted, and all mistakes are reported together."""

from __future__ import annotations

import shutil

import pytest
import yaml

from medcode import config


def test_check_accepts_valid_params(command):
    assert command("check") == (0, "params.yaml, configs/models: all right\n", "")


def test_check_finds_all_mistakes_in_the_files_of_any_model(command, root, tmp_path):
    folder = shutil.copytree(root / "configs/models", tmp_path / "models")
    (folder / "cnn.yaml").rename(folder / "cnm.yaml")
    text = (folder / "caml.yaml").read_text()
    (folder / "caml.yaml").write_text(text.replace("filters: 50", "filter: 50", 1))
    code, out, err = command("check", "--models", folder)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"error: {folder}/caml.yaml: options.filter: unknown key; did you mean 'filters'?",
        f"error: {folder}/cnn.yaml: no such file; every model has one",
        f"error: {folder}/cnm.yaml: there is no such model; did you mean 'cnn'?",
    ]


@pytest.mark.parametrize("key", ["model", "recipe"])
def test_a_wrong_model_is_reported_with_mistakes_in_other_keys(command, root, tmp_path, key):
    raw = yaml.safe_load((root / "params.yaml").read_text()) | {"seed": -3, key: "fusoin"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    code, _, err = command("check", "--params", tmp_path / "params.yaml")
    assert code == 2
    assert ["seed: Input should be" in err, "there is no" in err and "fusoin" in err] == [True, True]


def test_check_shows_every_setting_of_a_run_in_full(command, root):
    code, out, err = command("check", "--resolved")
    shown, params = yaml.safe_load(out), config.load_all(root / "params.yaml")
    settings = config.load_model(root / "configs/models/caml.yaml", "caml", "quick", "top50")
    assert (code, err) == (0, "")
    assert {key: value for key, value in shown.items() if key != "recipes"} == params.model_dump()
    assert list(shown["recipes"]) == ["quick", "small", "published"]  # the data choose between them
    options = settings.config.model_dump(exclude={"dropout", "embedding"})
    assert shown["recipes"]["quick"] == {"options": options, **settings.recipe.model_dump(exclude={"options"})}
    assert shown["evaluation"]["frequency_bins"] == [150, 200, 300, 500]


@pytest.mark.parametrize(
    ("model", "rule"), [("attentive_lstm", "caml"), ("attentive_lstm", "diagnoses"), ("caml", "edin")]
)
def test_check_requires_the_rule_of_words_that_a_model_needs(command, root, tmp_path, model, rule):
    path = tmp_path / "params.yaml"
    text = (root / "params.yaml").read_text()
    path.write_text(text.replace("\nmodel: caml", f"\nmodel: {model}").replace("\n  rule: caml", f"\n  rule: {rule}"))
    code, out, err = command("check", "--params", path)
    if (model, rule) == ("attentive_lstm", "caml"):
        message = "attentive_lstm reads what the rule diagnoses makes of notes; set "
        message += "-S model=attentive_lstm -S tokenize.rule=diagnoses"
        assert (code, out, err) == (2, "", f"error: {path}: tokenize.rule: {message}\n")
    else:
        assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("model", "encoder", "message"),
    [
        ("bert_hier", "scratch-tiny", None),
        ("caml", "minilm", "encoder: caml reads words and has no encoder; set encoder: none"),
        (
            "plm_icd",
            "none",
            "encoder: plm_icd reads subwords and needs an encoder; choose one of encoders, for instance "
            "-S model=plm_icd -S encoder=scratch-tiny",
        ),
        ("bert_trun", "biobart", "encoder: there is no block encoders.biobart; did you mean 'biobert'?"),
    ],
)
def test_check_requires_an_encoder_exactly_for_subword_models(command, root, tmp_path, model, encoder, message):
    path = tmp_path / "params.yaml"
    text = (root / "params.yaml").read_text()
    path.write_text(
        text.replace("\nmodel: caml", f"\nmodel: {model}").replace("\nencoder: none", f"\nencoder: {encoder}")
    )
    code, out, err = command("check", "--params", path)
    if message is None:
        assert (code, err) == (0, "")
    else:
        assert (code, out, err) == (2, "", f"error: {path}: {message}\n")
