"""Models in the workflow: they are trained, evaluated on each head, and loaded for prediction."""

from __future__ import annotations

import json
import shutil
import statistics

import pytest
import yaml
from workflow import FROM_MODEL, FROM_RECIPE, FROM_TRAIN, JOINT, model_file

pytestmark = pytest.mark.workflow


def checked(project) -> dict:
    """Return all settings of the run, as `check --resolved` prints them."""
    return yaml.safe_load(project.run("python", "-m", "medcode", "check", "--resolved").stdout)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["dr_caml", "fusion", "gatedcnn_nci", "joint_laat", "linear", "marn"])
def test_a_model_trains_and_is_evaluated_on_each_head(clean, model):
    assert clean.experiment(f"model={model}") == {"check", *FROM_MODEL}
    heads = checked(clean)["recipes"]["quick"]["options"]["heads"]
    measured = json.loads(clean.read("metrics/test.json"))
    assert list(measured) == heads
    assert set(json.loads(clean.read("models/trained/labels.json"))) == set(heads)


@pytest.mark.slow
def test_a_model_reads_written_diagnoses_alone_in_training_and_in_prediction(clean):
    ran = clean.experiment("model=attentive_lstm", "tokenize.rule=diagnoses")
    assert ran >= {"check", "tokenize", "word2vec", "inputs", *FROM_MODEL}
    assert json.loads(clean.read("models/trained/model.json"))["rule"] == "diagnoses"
    assert ";" in clean.read("models/trained/vocabulary.txt").decode().splitlines()

    def predicted(*lines: str) -> dict:
        (clean.folder / "note.txt").write_text("\n".join(lines))
        command = ("python", "-m", "medcode", "predict", "--format", "json", "--top", "3", "--evidence", "note.txt")
        return json.loads(clean.run(*command).stdout)

    listed = "Discharge Diagnosis:", "Pneumonia", "Acute renal failure"
    one, other = predicted("Fever.", *listed), predicted("Cough for days.", *listed, "", "Discharge Condition:", "Good")
    assert one["words"] == other["words"] == 5  # with the mark between the two
    assert [code["probability"] for code in one["codes"]] == [code["probability"] for code in other["codes"]]
    assert {span[2] for code in one["codes"] for span in code["spans"]} <= {
        *"\n",
        "Pneumonia",
        "Acute",
        "renal",
        "failure",
        "Acute renal",
        "renal failure",
        "Acute renal failure",
    }


@pytest.mark.slow
def test_codes_and_categories_are_trained_and_evaluated_together(clean):
    assert clean.experiment("model=mt_ram") == {"check", *FROM_MODEL}
    assert clean.repro() == set()
    measured = json.loads(clean.read("metrics/test.json"))
    categories = json.loads(clean.read("metrics/ccs/top50.json"))["categories"]
    assert {head: head_metrics["counts"]["labels"] for head, head_metrics in measured.items()} == {
        "icd": 50,
        "ccs": categories,
    }
    trained = json.loads(clean.read("metrics/train.json"))
    assert trained["train_loss"] == pytest.approx(
        0.7 * trained["train_loss_icd"] + 0.3 * trained["train_loss_ccs"], rel=1e-4
    )
    assert not any(name.startswith("train") for name in trained["dev"])
    for name in ("codes", "frequency_f1", "label_losses", "label_vectors"):
        rows = clean.read(f"plots/{name}.csv").decode().splitlines()[1:]
        assert {row.split(",")[0] for row in rows} == {"icd", "ccs"}, name
    page = clean.read("plots/report.html").decode()
    assert "Loss, ccs" in page and "Codes and their categories" in page
    predicted = clean.run("python", "-m", "medcode", "predict", "--format", "json", "--top", "1", "params.yaml").stdout
    assert [code["head"] for code in json.loads(predicted)["codes"]] == ["icd", "ccs"]


@pytest.mark.slow
def test_bigru_label_attention_trains_with_ram_and_two_heads(clean):
    options = {"heads": ["icd", "ccs"], "ram": True, "ram_combine": "add"}
    clean.set({"options": options}, model_file("bigru_label_attention"))
    assert clean.experiment("model=bigru_label_attention") == {"check", *FROM_MODEL}
    assert clean.repro() == set()
    assert list(json.loads(clean.read("metrics/test.json"))) == ["icd", "ccs"]


@pytest.mark.slow
def test_seeds_trained_together_equal_seeds_trained_alone(clean):
    assert clean.experiment("seeds=3", "seed=5") == {"check", *FROM_TRAIN}
    assert clean.repro() == set()
    several = json.loads(clean.read("metrics/seeds.json"))
    assert list(several) == ["ensemble", "standard_deviation", "seeds"] and list(several["seeds"]) == ["5", "6", "7"]
    assert several["ensemble"].keys() == several["seeds"]["5"].keys()
    assert several["ensemble"]["icd"]["ranking"] not in [one["icd"]["ranking"] for one in several["seeds"].values()]
    thresholds = json.loads(clean.read("models/trained/ensemble.json"))["thresholds"]
    assert several["ensemble"]["icd"]["tuned"]["threshold"] == pytest.approx(thresholds["icd"], abs=1e-6)
    predicted = clean.run("python", "-m", "medcode", "predict", "--format", "json", "params.yaml").stdout
    assert json.loads(predicted)["seeds"] == 3
    micro = [seed_metrics["icd"]["fixed"]["f1"]["micro"] for seed_metrics in several["seeds"].values()]
    measured, trained = (json.loads(clean.read(f"metrics/{name}.json")) for name in ("test", "train"))
    assert measured["icd"]["fixed"]["f1"]["micro"] == pytest.approx(statistics.fmean(micro), abs=1e-6)
    assert several["standard_deviation"]["icd"]["fixed"]["f1"]["micro"] == pytest.approx(
        statistics.stdev(micro), abs=1e-6
    )
    assert list(trained["seeds"]) == ["5", "6", "7"]
    page = clean.read("plots/report.html").decode()
    assert "the seeds 5 to 7" in page and "\N{PLUS-MINUS SIGN}" in page
    shutil.rmtree(clean.folder / "checkpoints")  # else it would end at once in the weights of before
    assert clean.experiment("seeds=1", "seed=6") == {"check", *FROM_TRAIN}
    assert json.loads(clean.read("metrics/test.json")) == several["seeds"]["6"]
    assert json.loads(clean.read("metrics/seeds.json")) == {}
    assert not (clean.folder / "models/trained/ensemble.json").exists()


def test_predict_reads_the_trained_model(clean):
    command = ("python", "-m", "medcode", "predict", "--format", "json", "--top", "3")
    prediction = clean.run(*command, "params.yaml").stdout  # any text will do
    codes = json.loads(prediction)["codes"]
    assert len(codes) == 3 and all(code["description"] for code in codes)


@pytest.mark.slow
def test_a_recipe_may_use_descriptions_as_initial_vectors_and_documents(clean):
    one_epoch = "configs/models/caml.yaml:recipes.small.epochs=1"
    assert clean.experiment("recipe=small", one_epoch) == {"check", *FROM_RECIPE}
    trained = json.loads(clean.read("metrics/train.json"))
    assert trained["recipe"] == "small" and trained["train_loss"] > 0


@pytest.mark.slow
def test_jams_trains_and_evaluates_both_systems(clean):
    joint = (*JOINT, "model=jams", "evaluation.at=[5,8,15]")
    assert clean.experiment(*joint) >= FROM_TRAIN
    measured = json.loads(clean.read("metrics/test.json"))
    assert list(measured) == ["icd9", "icd10"]
    for head_metrics in measured.values():
        assert {"micro", "macro"} <= set(head_metrics["auc"])
        assert {"exact_match", "macro_f1", "f1"} <= set(head_metrics["tuned"])
        assert {"precision_at_8", "precision_at_15", "r_precision", "map"} <= set(head_metrics["ranking"])
    trained = json.loads(clean.read("metrics/train.json"))
    assert "mean_of_seven" in trained["dev"] and set(trained["thresholds"]) == {"icd9", "icd10"}
    linked = [line.split(",")[:3] for line in clean.read("plots/linkage_f1.csv").decode().splitlines()[1:]]
    assert {(head, linked_label) for head, _, linked_label in linked} == {
        (h, k) for h in ("icd9", "icd10") for k in ("yes", "no")
    }
    assert "F1 of codes with and without a link" in clean.read("plots/report.html").decode()
    prediction = json.loads(
        clean.run("python", "-m", "medcode", "predict", "--format", "json", "--top", "1", "params.yaml").stdout
    )
    assert [code["head"] for code in prediction["codes"]] == ["icd9", "icd10"]
    assert "train" in clean.experiment(*joint, "configs/models/jams.yaml:options.backbone=laat")


@pytest.mark.slow
def test_each_of_two_heads_is_evaluated_on_its_documents(clean):
    clean.set({"options": {"heads": ["icd9", "icd10"]}}, model_file("caml"))
    assert "train" in clean.experiment(*JOINT)
    measured = json.loads(clean.read("metrics/test.json"))
    documents = {head: measured[head]["counts"]["documents"] for head in ("icd9", "icd10")}
    split = json.loads(clean.read("metrics/splits/joint.json"))
    assert sum(documents.values()) == split["test"]["documents"]  # no admission of this corpus is coded in both
    assert list(json.loads(clean.read("data/inputs/heads.json"))) == ["icd9", "icd10"]
