"""`predict`: the codes of a note, their evidence, and one line for a mistake."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace

import plain_encoder
import pytest
import torch

from medcode import models
from medcode.config import configure
from medcode.encoders.subwords import SubwordTokenizer
from medcode.inference import saved_model
from medcode.models.inputs import ModelInputs

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
    saved_model.save(tmp_path / "model", trained, {"seed": 1})
    return tmp_path / "model"


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text(TEXT)
    return path


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
    saved_model.save(saved_model.of_seed(model, 2), trained, {"seed": 1})
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
        saved_model.save(saved_model.of_seed(model, seed), saved_model.load(model), {"seed": 1})
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
        ("fever and chills".encode("utf-16"), "not UTF-8 text (byte 1)"),
        ("fever and chills".encode("utf-16-le"), "holds NUL characters, as UTF-16 does that is read as UTF-8; convert"),
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
    assert err == f"error: {tmp_path / 'none'}: holds no trained model (no model.json); train it again (dvc repro)\n"


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
    saved_model.save(tmp_path / "subwords", trained, {"seed": 1})
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
    assert explained.pop("evidence_method") == (method[1] if method else "gradient_x_input")
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


def test_predict_says_that_most_words_are_unknown_if_there_are_enough(command, model, tmp_path):
    note = tmp_path / "note.txt"
    for unknown, message in (
        (9, ""),
        (21, "note: most of it is unknown to the model, whose vocabulary has 10 of 31 words\n"),
        (10, ""),
    ):
        note.write_text("fever " * 10 + "fiebre " * unknown)
        assert command("predict", note, "--model", model, "--top", 1)[2] == message


def test_predict_says_that_a_note_is_unusually_short_or_long(command, model, tmp_path):
    trained = replace(saved_model.load(model), dev_lengths=(2, 4))
    saved_model.save(tmp_path / "lengths", trained, {"seed": 1})
    note = tmp_path / "note.txt"
    for words, message in ((1, "short: it has 1 words"), (2, ""), (4, ""), (5, "long: it has 5 words")):
        note.write_text("fever " * words)
        err = command("predict", note, "--model", tmp_path / "lengths", "--top", 1)[2]
        expected = f"note: unusually {message}; those that the model was tuned on have 2 to 4\n" if message else ""
        assert err == expected


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(model, note, before, after):
    """The policy is read when torch is loaded, so it must be set before, and in a process of its own."""
    program = (
        "import os, sys; from medcode.__main__ import main; from medcode.cli import predict, predicting\n"
        "assert 'torch' not in sys.modules; assert main(sys.argv[1:]) == 0; print(os.environ['OMP_WAIT_POLICY'])"
    )
    variables = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    variables |= {} if before is None else {"OMP_WAIT_POLICY": before}
    command = [sys.executable, "-c", program, "predict", str(note), "--model", str(model)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == after
