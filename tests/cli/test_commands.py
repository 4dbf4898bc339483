"""The command line: its output, and one line with exit code 2 for a mistake."""

from __future__ import annotations

import io
import itertools
import json
import sys

import plain_encoder
import pytest
import torch
from coded_corpus import DESCRIBED

from medcode import models
from medcode.config import configure
from medcode.encoders.subwords import SubwordTokenizer
from medcode.inference import saved_model
from medcode.models.base import ModelInputs

TEXT = "Fever and chills. Chest film: pneumonia."


@pytest.fixture
def model(recipe, tmp_path):
    """Folder of an untrained model with four words and three codes."""
    configured = configure("caml", {"filters": 4, "kernel": 2}, recipe)
    torch.manual_seed(0)
    network = models.find("caml")(configured, ModelInputs(heads={"icd": 3}, vocab_size=6, vectors=torch.randn(6, 5)))
    with torch.no_grad():
        network.attention["icd"].output.bias.copy_(torch.tensor([-9.0, 9.0, 5.0]))
    labels = [
        {"system": "icd9cm", "code": code, "description": f"Description of {code}", "train_documents": 3}
        for code in ("486", "038.9", "V45.81")
    ]
    vocabulary = ["chest", "chills", "fever", "pneumonia"]
    trained = saved_model.TrainedModel("caml", network, vocabulary, {"icd": labels}, {"icd": 0.4}, 50, "caml", "top50")
    saved_model.save(tmp_path / "model", trained, {})
    return tmp_path / "model"


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text(TEXT)
    return path


def test_models_on_an_encoder_are_counted_with_any_published_size(command):
    sizes = {}
    for size in ("bert-base-cased", "bert-base-uncased"):
        code, out, _ = command("models", "--format", "json", "--name", "bert_hier", "--encoder", size)
        assert code == 0
        sizes[size] = json.loads(out)[0]["parameters"]
    assert sizes == {"bert-base-cased": 113_901_156, "bert-base-uncased": 115_073_124}


def test_models_are_listed_with_their_parameter_counts(command):
    code, out, _ = command("models", "--format", "json", "--labels", "icd=50")
    counts = {item["name"]: item["parameters"] for item in json.loads(out)}
    assert code == 0
    assert counts["caml"] == 5_247_050 and counts["cnn"] == 5_417_450
    assert set(counts) == set(models.names())
    table = command("models")[1]
    assert "5,247,050" in table and "Mullenbach et al. 2018" in table


def test_model_counts_follow_the_given_sizes_settings_and_recipe(command):
    arguments = ("models", "--format", "json", "--name")
    (caml,) = json.loads(command(*arguments, "caml", "--labels", "icd=50,ccs=38", "--set", "caml.filters=100")[1])
    assert caml["parameters"] == 51_919 * 100 + 100 * 100 * 10 + 100 + 2 * 88 * 101
    (cnn,) = json.loads(command(*arguments, "cnn", "--recipe", "retrained", "--vocabulary", 102)[1])
    assert (cnn["parameters"], cnn["trainable"]) == (225_550 + 10_200, 225_550)


def test_heads_that_are_not_named_get_the_label_counts_of_mimic(command):
    arguments = ("models", "--format", "json", "--name", "joint_laat")
    for labels, parameters in (
        ("icd=50", 6_267_958),
        ("icd=50,category=40", 6_267_958),
        ("icd=8921", 25_521_970),
        ("icd=50,category=39", 6_267_958 - 256 - 513 - 128),
    ):
        (row,) = json.loads(command(*arguments, "--labels", labels)[1])
        assert row["parameters"] == parameters, labels


def test_only_models_with_the_recipe_are_listed(command):
    listed = json.loads(command("models", "--format", "json", "--recipe", "mtram")[1])
    assert [item["name"] for item in listed] == ["caml", "dr_caml", "multirescnn"]


def test_the_committed_page_of_models_matches_the_command_output(command, root):
    code, out, _ = command("models", "--format", "markdown")
    assert code == 0
    assert (root / "docs/MODELS.md").read_text(encoding="utf-8") == out, "write it again: see its first lines"
    for name in models.names():
        assert f"\n## {name}\n" in out
    assert "| `hidden` | 256, with all codes 512 |" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--name", "camll"), "--name: there is no model 'camll'; did you mean 'caml'?"),
        (("--labels", "icd"), "--labels: expected HEAD=NUMBER"),
        (("--labels", "icd=0"), "--labels: expected HEAD=NUMBER"),
        (("--vocabulary", "1"), "--vocabulary: at least 2 rows"),
        (("--set", "filters=3"), "--set: expected MODEL.KEY=VALUE"),
        (("--set", "camll.filters=3"), "--set: there is no model 'camll'; did you mean 'caml'?"),
        (("--set", "caml.filter=3"), "configs/models/caml.yaml: options.filter: unknown key; did you mean 'filters'?"),
        (("--recipe", "retraind"), "--recipe: no model has 'retraind'; did you mean 'retrained'?"),
        (("--name", "caml", "--recipe", "retrained"), "--recipe: no model has 'retrained'; valid: edin, mtram, publ"),
        (("--models", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_a_mistake_in_models_is_reported_in_one_line(command, arguments, message):
    code, out, err = command("models", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


def test_predict_prints_codes_with_descriptions_and_probabilities(command, model, note):
    code, out, err = command("predict", note, "--model", model)
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.split(None, 3)[1:] == ["icd9cm", "038.9", "Description of 038.9"]
    assert second.split(None, 3)[1:] == ["icd9cm", "V45.81", "Description of V45.81"]
    assert 1 >= float(first.split()[0]) > float(second.split()[0]) > 0.4


def test_predict_as_json(command, model, note):
    prediction = json.loads(command("predict", note, "--model", model, "--format", "json", "--top", 1)[1])
    assert prediction["model"] == "caml" and prediction["words"] == 6 and prediction["words_known"] == 4
    assert [code["code"] for code in prediction["codes"]] == ["038.9"]


@pytest.fixture
def several(model):
    """The same folder with a second seed, whose model finds other codes probable."""
    trained = saved_model.load(model)
    with torch.no_grad():
        trained.model.attention["icd"].output.bias.copy_(torch.tensor([9.0, 9.0, -9.0]))
    saved_model.save(saved_model.of_seed(model, 2), trained, {})
    saved_model.save_ensemble(model, {"icd": 0.6})
    return model


def test_predict_takes_the_mean_of_all_seeds_and_its_threshold(command, several, note):
    def probabilities_of(folder):
        arguments = ("--model", folder, "--format", "json", "--top", 3)
        prediction = json.loads(command("predict", note, *arguments)[1])
        return {code["code"]: code["probability"] for code in prediction["codes"]}, prediction["seeds"]

    mean, seeds = probabilities_of(several)
    second, seeds_of_second = probabilities_of(saved_model.of_seed(several, 2))
    (several / "seeds").rename(several.parent / "seeds")
    first, _ = probabilities_of(several)
    (several.parent / "seeds").rename(several / "seeds")
    assert (seeds, seeds_of_second) == (2, 1)
    assert mean == {code: pytest.approx((first[code] + second[code]) / 2, abs=1e-4) for code in first}
    assert 0.4 < mean["486"] < 0.6 and 0.4 < mean["V45.81"] < 0.6
    code, out, err = command("predict", note, "--model", several)
    assert (code, err) == (0, "note: means of the probabilities of 2 models, one for each seed\n")
    assert [line.split()[2] for line in out.splitlines()] == ["038.9"]
    assert command("predict", note, "--model", several, "--threshold", 0.4)[1].count("\n") == 3


def test_equal_seeds_predict_as_one(command, model, note):
    arguments = ("predict", note, "--model", model, "--format", "json", "--top", 3)
    alone = json.loads(command(*arguments)[1])
    for seed in (2, 3):
        saved_model.save(saved_model.of_seed(model, seed), saved_model.load(model), {})
    saved_model.save_ensemble(model, {"icd": 0.4})
    assert json.loads(command(*arguments)[1]) == alone | {"seeds": 3}


def test_a_damaged_seed_is_reported_without_the_name_of_the_note(command, several, note):
    (saved_model.of_seed(several, 2) / "weights.safetensors").unlink()
    code, out, err = command("predict", note, "--model", several)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {saved_model.of_seed(several, 2) / 'weights.safetensors'}: cannot be read")


def test_predict_reads_standard_input(command, model, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert "038.9" in command("predict", "--model", model)[1]


def test_predict_says_when_no_code_is_above_the_threshold(command, model, note):
    assert command("predict", note, "--model", model, "--threshold", 1) == (0, "", "no code is above the threshold\n")


def test_predict_warns_where_a_tuned_threshold_of_zero_predicts_every_code(command, model, note):
    content = json.loads((model / "model.json").read_text())
    content["thresholds"]["icd"] = 0.0
    (model / "model.json").write_text(json.dumps(content))
    code, out, err = command("predict", note, "--model", model)
    assert code == 0 and out.count("\n") == 3
    assert err.startswith("WARNING: icd: the threshold tuned on dev is 0, so every code is predicted for every note")
    assert err.count("\n") == 1 and err.endswith("or set --threshold or --top\n")
    for option in (("--threshold", 0), ("--top", 2)):  # what the user asks for needs no warning
        assert command("predict", note, "--model", model, *option)[2] == ""
    prediction = json.loads(command("predict", note, "--model", model, "--format", "json")[1])
    assert prediction["thresholds"] == {"icd": 0.0}


def test_a_long_note_is_truncated_to_max_tokens(command, model, tmp_path):
    note = tmp_path / "long.txt"
    note.write_text("fever " * 900_000)  # 5 MB
    code, out, err = command("predict", note, "--model", model)
    assert code == 0 and "038.9" in out
    assert err == "note: read the first 50 of 900,000 words\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no words to read: it is empty, or holds numbers and signs only"),
        (b"12 34 / 5.6\n", "no words to read"),
        (b"fever \xff chills", "not UTF-8 text (byte 7)"),
    ],
)
def test_an_unreadable_note_is_reported_in_one_line(command, model, tmp_path, content, message):
    note = tmp_path / "note.txt"
    note.write_bytes(content)
    code, out, err = command("predict", note, "--model", model)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {note}: {message}") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.txt",), "nowhere.txt: cannot be read (No such file or directory)"),
        (("--threshold", "2"), "--threshold: a probability from 0 to 1, found 2.0"),
        (("--top", "0"), "--top: at least 1, found 0"),
        (("--method", "exact"), "--method: says how evidence is found; add --evidence or --html"),
        (
            ("--evidence", "--method", "exact"),
            "method: exact does not work for this model, it is not linear; these do: label_attention, "
            "gradient_x_input, attention_x_gradient, attention_x_signed_gradient, integrated_gradients, occlusion",
        ),
        (("--html", "README.md/a.html"), "--html: README.md/a.html cannot be written (Not a directory)"),
    ],
)
def test_a_mistake_in_predict_is_reported_in_one_line(command, model, note, arguments, message):
    note_arguments = arguments if arguments[0] == "nowhere.txt" else (note, *arguments)
    code, _, err = command("predict", *note_arguments, "--model", model)
    assert code == 2 and err == f"error: {message}\n"


def test_a_missing_model_is_reported_in_one_line(command, note, tmp_path):
    code, _, err = command("predict", note, "--model", tmp_path / "none")
    assert code == 2
    assert (
        err == f"error: {tmp_path / 'none'}: holds no trained model (no model.json); train it again (dvc repro train)\n"
    )


@pytest.fixture
def on_subwords(recipe, tmp_path):
    """A folder of an untrained model that reads the subwords of raw text."""
    configured = configure("bert_trun", {"head": "fcn", "chunk": 8}, recipe)
    words = ["fever", "and", "chills", "Fever"]
    inputs = ModelInputs(heads={"icd": 2}, encoder=plain_encoder.tiny(vocabulary_size=5))
    network = models.find("bert_trun")(configured, inputs)
    labels = [{"system": "icd9cm", "code": code, "description": "", "train_documents": 3} for code in ("486", "038.9")]
    tokenizer = SubwordTokenizer(plain_encoder.tokenizer(words), "raw")
    trained = saved_model.TrainedModel(
        "bert_trun", network, [], {"icd": labels}, {"icd": 0.4}, 3, "caml", "top50", tokenizer
    )
    saved_model.save(tmp_path / "subwords", trained, {})
    return tmp_path / "subwords"


def test_a_subword_model_predicts_without_data_or_network(command, on_subwords, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("Fever and rigors and chills")
    code, out, err = command("predict", "--format", "json", "--top", "2", "--model", on_subwords, note)
    result = json.loads(out)
    assert code == 0 and err == "note: read the first 3 of 5 subwords\n"
    assert (result["words"], result["words_read"], result["words_known"], result["unit"]) == (5, 3, 2, "subwords")
    assert len(result["codes"]) == 2
    note.write_text(" ")
    assert command("predict", "--model", on_subwords, note)[0] == 2


@pytest.mark.parametrize("method", [(), ("--method", "integrated_gradients")])
def test_predict_gives_the_spans_of_each_code_as_json(command, model, note, method):
    arguments = ("predict", note, "--model", model, "--format", "json", "--top", 3)
    plain, explained = json.loads(command(*arguments)[1]), json.loads(command(*arguments, "--evidence", *method)[1])
    assert explained.pop("evidence_method") == (method[1] if method else "attention_x_signed_gradient")
    spans = [code.pop("spans") for code in explained["codes"]]
    assert explained == plain and any(spans)
    for start, end, text, weight in itertools.chain(*spans):
        assert TEXT[start:end] == text and 0 < weight <= 1


def test_predict_marks_the_evidence_of_each_code_in_its_sentence(command, model, note):
    arguments = ("predict", note, "--model", model, "--top", 3, "--evidence")
    code, out, err = command(*arguments)
    assert (code, err) == (0, "") and out.count(" of ") == 3
    sentences = [line.split("%  ")[1] for line in out.splitlines() if "%  " in line]
    assert sentences and all(line.count("[[") == line.count("]]") == 1 for line in sentences)
    whole = {"Fever and chills.", "Chest film: pneumonia."}
    assert {line.replace("[[", "").replace("]]", "") for line in sentences} <= whole


def test_predict_says_when_no_words_stand_out(command, model, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("fever " * 40)
    assert "no words stand out" in command("predict", note, "--model", model, "--top", 1, "--evidence")[1]


def test_predict_writes_a_page(command, model, several, note, tmp_path):
    for folder in (model, several):
        page = tmp_path / "page.html"
        code, out, _ = command("predict", note, "--model", folder, "--html", page)
        assert code == 0 and "[[" not in out
        assert "Description of 038.9" in page.read_text(encoding="utf-8")


def test_evidence_on_subwords_refers_to_the_characters_of_the_note(command, on_subwords, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("Fever  \U0001f600 and\nrigors and chills", encoding="utf-8")
    arguments = ("predict", "--format", "json", "--top", 2, "--model", on_subwords, note, "--evidence")
    result = json.loads(command(*arguments)[1])
    assert result["evidence_method"] == "gradient_x_input"
    for code in result["codes"]:
        for start, end, text, _ in code["spans"]:
            assert note.read_text(encoding="utf-8")[start:end] == text


def test_predict_reports_a_note_without_known_words(command, model, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("fiebre y escalofrios")
    assert command("predict", note, "--model", model)[2] == "note: not one word of it is in the model's vocabulary\n"


def test_splits_are_checked_and_copied(command, tmp_path):
    for name, ids in {"train": "1 2", "dev": "3", "test": "4"}.items():
        for part in ("full", "50"):
            (tmp_path / f"{name}_{part}_hadm_ids.csv").write_text(ids.replace(" ", "\n"))
    code, out, err = command("splits", "caml", "--from", tmp_path, "--to", tmp_path / "to")
    assert (code, len(err.splitlines())) == (0, 6)
    assert "train 2, dev 1, test 1; set split.published: caml" in out
    (tmp_path / "dev_50_hadm_ids.csv").unlink()
    code, _, err = command("splits", "caml", "--from", tmp_path, "--to", tmp_path / "to")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "dev_50_hadm_ids.csv: no such file" in err


def test_corpus_prints_its_statistics(command, tmp_path):
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps(DESCRIBED))
    code, out, _ = command("corpus", "--metrics", path)
    assert code == 0
    assert ["Documents", "40", "12", "15", "67"] in [line.split() for line in out.splitlines()]
    assert json.loads(command("corpus", "--metrics", path, "--format", "json")[1]) == DESCRIBED
    path.write_text("{}")
    code, _, err = command("corpus", "--metrics", path)
    assert code == 2 and "not what the stage corpus_stats writes" in err


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--run"], "error: --run: expected the name of a study; without --run they are listed\n"),
        (["mtram-icd", "--jobs", "0"], "error: --jobs: expected a number from 1 to 64, found 0\n"),
    ],
)
def test_study_refuses_invalid_arguments(command, options, error):
    assert command("study", *options) == (2, "", error)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--folds", "1"], "error: --folds: expected a number from 2 to 1000, found 1\n"),
        (["--jobs", "0"], "error: --jobs: expected a number from 1 to 64, found 0\n"),
    ],
)
def test_crossval_refuses_invalid_arguments(command, options, error):
    assert command("crossval", *options) == (2, "", error)


def test_crossval_outside_the_project_is_refused_in_one_line(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("crossval")
    assert (code, out) == (2, "") and err.startswith("error: dvc.yaml: no such file; run this in the project's folder")
    assert not list(tmp_path.iterdir())


def test_a_missing_model_file_is_reported_in_one_line(command, tmp_path):
    code, out, err = command("models", "--models", str(tmp_path), "--name", "cnn")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "cnn.yaml: no such file; every model has one; name another folder with --models" in err
