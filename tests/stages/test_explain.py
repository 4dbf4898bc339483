"""The stage `explain`, on documents in which three words in a row make a label and are its span."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plain_encoder
import pytest
import stage_commands
import yaml
from planted_words import HEADS, PLANTED, WORDS, records, trained_on_planted_words, wrapped, write_corpus
from small_models import ROWS, build

from medcode import config, io
from medcode.encoders.subwords import SubwordTokenizer
from medcode.evidence.attributions import METHODS, methods_of
from medcode.evidence.results import COLUMNS
from medcode.inference import saved_model
from medcode.inference.scoring import probabilities, score_split
from medcode.report import tables
from medcode.text.tokenized_notes import SUBWORD_IDS, TokenizedNotes

JOINT = {"icd9": "icd9cm", "icd10": "icd10cm"}
PARTS = ("plausibility", "plausibility_on_dev", "plausibility_of_predicted", "faithfulness")


class Workplace:
    """A folder with inputs, models and parameters of the stage."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        write_corpus(folder)

    def params(self, **explain: Any) -> None:
        whole = yaml.safe_load((self.root / "params.yaml").read_text())
        whole["explain"] |= {"documents": 0, "faithfulness_documents": 3, **explain}
        whole["training"]["threads"] = 1
        (self.folder / "params.yaml").write_text(yaml.safe_dump(whole))

    def run(self, **options: str) -> stage_commands.Done:
        arguments = {name: name for name in ("inputs", "sentences", "subword", "model")}
        arguments |= {"params": "params.yaml", "metrics": "explain.json", "table": "evidence.csv"} | options
        return stage_commands.in_this_process("explain", stage_commands.options(**arguments), self.folder)

    def measure(self, *trained: saved_model.TrainedModel, **explain: Any) -> dict[str, Any]:
        """Run the stage on the models of one or several seeds, and return the metrics."""
        for seed, of_seed in enumerate(trained):
            folder = saved_model.of_seed(self.folder / "model", seed) if seed else self.folder / "model"
            saved_model.save(folder, of_seed, {"seed": seed})
        self.params(**explain)
        assert self.run() == stage_commands.Done(0, "")
        return self.metrics()

    def metrics(self) -> dict[str, Any]:
        return io.read_json(self.folder / "explain.json")

    def rows(self) -> list[dict[str, str]]:
        with open(self.folder / "evidence.csv", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def work(tmp_path, root, torch_as_before) -> Workplace:
    return Workplace(tmp_path, root)


@pytest.fixture(scope="module")
def caml() -> saved_model.TrainedModel:
    return wrapped(trained_on_planted_words("caml"), "caml")


def test_evidence_finds_the_planted_words_and_random_weights_do_not(work, caml):
    (of_head,) = work.measure(caml).values()
    assert list(of_head) == [
        "label_attention", "gradient_x_input", "attention_x_gradient", "attention_x_signed_gradient", "random",
    ]  # fmt: skip
    for method in ("gradient_x_input", "attention_x_signed_gradient"):
        measured = of_head[method]
        plausible, faithful = measured["plausibility"], measured["faithfulness"]
        assert plausible["precision_at_1"] > 0.95 and plausible["f1"] > 0.75 and plausible["auprc"] > 0.5
        assert plausible["span_recall"] > 0.95 and 0 < measured["threshold"] < 1
        assert faithful["comprehensiveness"] > 0.7 and faithful["sufficiency"] < 0.01
    random = of_head["random"]
    assert random["plausibility"]["f1"] < 0.3 and random["plausibility"]["precision_at_1"] < 0.4
    assert random["faithfulness"]["comprehensiveness"] < 0.4 and random["faithfulness"]["sufficiency"] > 0.05
    counts = {tuple(of_method[part]["explanations"] for part in PARTS) for of_method in of_head.values()}
    assert len(counts) == 1  # all methods explain the same


def test_the_explanations_are_of_all_spans_and_the_predicted_codes_are_those_of_the_thresholds(work, caml):
    data = write_corpus(work.folder)
    (of_head,) = work.measure(caml, methods=["gradient_x_input"], faithfulness_documents=0).values()
    gold = {name: data.splits[name].targets["icd"].matrix.toarray() > 0 for name in ("dev", "test")}
    found = of_head["gradient_x_input"]
    predicted = probabilities(score_split(caml.model, data.tokens, data.splits["test"], 100, 4)["icd"]) > 0.5
    has_label = gold["test"].any(axis=1)  # documents without a gold code have no span, and are not drawn
    assert found["plausibility_on_dev"]["explanations"] == gold["dev"].sum()
    assert found["plausibility"]["explanations"] == gold["test"].sum()
    assert found["plausibility_of_predicted"]["explanations"] == (gold["test"] & predicted).sum()
    assert found["faithfulness"]["explanations"] == predicted[has_label].sum()


def test_only_so_many_documents_are_drawn_and_the_same_for_the_same_seed(work, caml):
    few = work.measure(caml, methods=["gradient_x_input"], documents=4, faithfulness_documents=2, seed=5)
    found = few["icd"]["gradient_x_input"]
    assert 4 <= found["plausibility"]["explanations"] <= 12
    assert found["faithfulness"]["explanations"] < found["plausibility"]["explanations"]
    table = work.rows()
    assert work.measure(caml, methods=["gradient_x_input"], documents=4, faithfulness_documents=2, seed=5) == few
    assert work.rows() == table
    assert work.measure(caml, methods=["gradient_x_input"], documents=4, faithfulness_documents=2, seed=6) != few


def test_faithfulness_is_of_the_first_documents_that_are_drawn(work, caml):
    counts = []
    for documents in (1, 2, 3, 4, 9, 0):
        found = work.measure(caml, methods=["gradient_x_input"], documents=4, faithfulness_documents=documents)
        counts.append(found["icd"]["random"]["faithfulness"]["explanations"])
    assert 0 < counts[0] < counts[1] < counts[2] < counts[3] == counts[4] == counts[5]


def test_the_table_has_a_row_for_each_head_and_method(work, caml):
    measured = work.measure(caml, methods=["gradient_x_input", "label_attention", "gradient_x_input"])
    rows = work.rows()
    assert list(rows[0]) == COLUMNS and set(COLUMNS) >= set(tables.EVIDENCE)
    assert [(row["head"], row["method"]) for row in rows] == [
        ("icd", "gradient_x_input"), ("icd", "label_attention"), ("icd", "random"),
    ]  # fmt: skip
    for row in rows:
        plausible, _, _, faithful = (measured["icd"][row["method"]][part] for part in PARTS)
        assert float(row["f1"]) == pytest.approx(plausible["f1"], abs=1e-5)
        assert float(row["comprehensiveness"]) == pytest.approx(faithful["comprehensiveness"], abs=1e-5)
    assert work.run(metrics="again.json") == stage_commands.Done(0, "")
    assert (work.folder / "again.json").read_bytes() == (work.folder / "explain.json").read_bytes()


def test_dvc_plots_columns_of_the_table(root):
    (plot,) = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["explain"]["plots"]
    settings = plot["plots/evidence.csv"]
    template = (root / f".dvc/plots/{settings['template']}.json").read_text()
    assert '"field": "head"' in template and {"head", settings["x"], settings["y"]} <= set(COLUMNS)


def test_the_table_may_be_left_out(work, caml):
    saved_model.save(work.folder / "model", caml, {"seed": 0})
    work.params(methods=["label_attention"], documents=2)
    options = {name: name for name in ("inputs", "sentences", "subword", "model")}
    options |= {"params": "params.yaml", "metrics": "explain.json"}
    done = stage_commands.in_this_process("explain", stage_commands.options(**options), work.folder)
    assert done == stage_commands.Done(0, "") and not (work.folder / "evidence.csv").exists()


def test_of_several_seeds_the_mean_is_shown(work, caml):
    second = wrapped(trained_on_planted_words("caml", seed=1), "caml", thresholds={"icd": 0.3})
    alone = [work.measure(trained, methods=["gradient_x_input"]) for trained in (caml, second)]
    together = work.measure(caml, second, methods=["gradient_x_input"])
    parts = [of_seed["icd"]["gradient_x_input"] for of_seed in (*alone, together)]
    for part, name in (("plausibility", "f1"), ("faithfulness", "sufficiency"), ("plausibility_of_predicted", "iou")):
        first, other, mean = (of_seed[part][name] for of_seed in parts)
        assert first != other and mean == pytest.approx((first + other) / 2, abs=2e-6)


def test_a_model_on_sentences(work, caml):
    trained = replace(caml, unit="sentences", max_tokens=4)  # of five words, so each is read in two parts
    found = work.measure(trained, faithfulness_documents=0)["icd"]
    own, random = found["attention_x_signed_gradient"], found["random"]
    assert own["plausibility"]["precision_at_1"] > 0.9 and random["plausibility"]["precision_at_1"] < 0.2
    assert own["faithfulness"]["comprehensiveness"] > 2 * random["faithfulness"]["comprehensiveness"]
    assert own["faithfulness"]["sufficiency"] < 0.01 < random["faithfulness"]["sufficiency"]
    # A model on documents that reads four words at most has fewer spans: none behind the fourth word.
    short = work.measure(replace(caml, max_tokens=4))["icd"]
    total, read = (of["random"]["plausibility"]["explanations"] for of in (found, short))
    assert 0 < read < total
    assert total == work.measure(caml)["icd"]["random"]["plausibility"]["explanations"]


def test_two_heads_of_codes_are_measured_each_with_the_spans_of_its_system(work):
    write_corpus(work.folder, JOINT)
    heads = dict.fromkeys(JOINT, len(PLANTED))
    labels = {head: records(len(PLANTED), system) for head, system in JOINT.items()}
    trained = wrapped(trained_on_planted_words("caml", heads=heads), "caml", labels=labels, label_set="joint")
    found = work.measure(trained, methods=["gradient_x_input"])
    assert list(found) == list(JOINT)
    for of_head in found.values():
        assert of_head["gradient_x_input"]["plausibility"]["precision_at_1"] > 0.9
    assert [row["head"] for row in work.rows()] == ["icd9", "icd9", "icd10", "icd10"]


def test_a_head_of_categories_is_left_out(work):
    write_corpus(work.folder, {"icd": "icd9cm", "ccs": "ccs"})
    trained = wrapped(trained_on_planted_words("caml", heads={"icd": 4, "ccs": 4}), "caml")
    assert list(work.measure(trained, methods=["gradient_x_input"])) == ["icd"]


@pytest.mark.parametrize("name", ["bert_trun", "bert_hier", "plm_icd"])
def test_a_model_on_subwords(work, name):
    data = write_corpus(work.folder)
    splits = data.splits.values()
    ends = [*splits][-1].offsets[-1, 1]
    admissions = [document for split in splits for document in split.documents]
    notes = TokenizedNotes(data.tokens, np.arange(0, ends + 1, 30), admissions)
    notes.write(work.folder / "subword", SUBWORD_IDS)
    tokenizer = SubwordTokenizer(plain_encoder.tokenizer([f"word{n}" for n in range(ROWS - 1)]), "words")
    trained = wrapped(build(name, heads=HEADS), name, vocabulary=[], tokenizer=tokenizer, thresholds={"icd": 0.2})
    found = work.measure(trained, documents=5, faithfulness_documents=1)["icd"]
    assert set(found) >= {"gradient_x_input", "random"}
    for of_method in found.values():
        assert of_method["plausibility"]["explanations"] > 4 and 0 <= of_method["plausibility"]["f1"] < 0.9
        assert of_method["faithfulness"]["explanations"] > 0


def test_every_method_that_is_named_and_works_is_measured(work, caml):
    found = work.measure(caml, methods=list(METHODS), documents=3, faithfulness_documents=1)["icd"]
    assert list(found) == [*methods_of(caml.model), "random"] and "exact" not in found
    for method in ("occlusion", "integrated_gradients"):
        assert found[method]["plausibility"]["precision_at_1"] > 0.8


def test_methods_that_do_not_work_for_the_model_are_refused(work, caml):
    saved_model.save(work.folder / "model", caml, {"seed": 0})
    work.params(methods=["exact"])
    done = work.run()
    assert done.returncode == 2 and not (work.folder / "explain.json").exists()
    (line,) = done.stderr.splitlines()
    assert "exact does not work for this model, it is not linear; these do: label_attention" in line


def without_spans(work: Workplace) -> None:
    io.write_empty(work.folder / "sentences", "no sentences")


def test_a_corpus_without_spans_has_no_measures_unless_it_is_asked_for_them(work, caml):
    without_spans(work)
    assert work.measure(caml, enabled="auto") == {} and work.rows() == []
    assert (work.folder / "evidence.csv").read_text() == ",".join(COLUMNS) + "\n"
    found = work.measure(caml, enabled=True)["icd"]
    assert list(found)[-1] == "random"
    for of_method in found.values():
        assert of_method["threshold"] is None and of_method["plausibility"]["explanations"] == 0
        assert of_method["plausibility"]["f1"] is None and of_method["plausibility_on_dev"]["f1"] is None
        assert of_method["faithfulness"]["explanations"] > 0
    own, random = (found[method]["faithfulness"] for method in ("gradient_x_input", "random"))
    assert own["comprehensiveness"] > random["comprehensiveness"] and own["sufficiency"] < random["sufficiency"]
    rows = work.rows()
    assert all(row["f1"] == "" and float(row["sufficiency"]) >= 0 for row in rows)


def test_nothing_is_measured_or_read_if_it_is_off(work):
    work.params(enabled=False)
    assert work.run(model="there-is-none") == stage_commands.Done(0, "")
    assert work.metrics() == {} and work.rows() == []


def test_without_a_span_in_dev_there_is_no_threshold_and_without_one_in_test_no_plausibility(work, caml):
    path = work.folder / "sentences/spans.parquet"
    table = io.read_table(path)
    for split in ("dev", "test"):
        of_other = [not admission.startswith(split) for admission in table["admission_id"].to_pylist()]
        io.write_table(path, table.filter(of_other))
        found = work.measure(caml, methods=["gradient_x_input"])["icd"]["gradient_x_input"]
        assert (found["threshold"] is None) == (split == "dev")
        assert found["plausibility"]["f1"] is None and found["plausibility_of_predicted"]["auprc"] is None
        assert (found["plausibility"]["explanations"] == 0) == (split == "test")
        assert found["faithfulness"]["comprehensiveness"] is not None


def test_a_model_that_predicts_nothing_has_no_faithfulness(work, caml):
    found = work.measure(replace(caml, thresholds={"icd": 1.0}), methods=["gradient_x_input"])["icd"]["random"]
    assert found["faithfulness"] == {"explanations": 0, "comprehensiveness": None, "sufficiency": None}
    assert found["plausibility_of_predicted"]["explanations"] == 0 and found["plausibility"]["f1"] > 0


def test_a_missing_model_is_one_line(work):
    work.params()
    done = work.run()
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "holds no trained model" in done.stderr


@pytest.mark.parametrize(
    ("explain", "message"),
    [
        ({"methods": ["lime"]}, "explain.methods.0: Input should be 'label_attention', 'gradient_x_input', "),
        ({"methods": "exact"}, "explain.methods: Input should be a valid list, found 'exact'"),
        ({"enabled": "maybe"}, "explain.enabled: Input should be 'auto', True or False, found 'maybe'"),
        ({"documents": -1}, "explain.documents: Input should be greater than or equal to 0, found -1"),
        ({"seeds": 3}, "explain.seeds: unknown key; "),
    ],
)
def test_parameters_that_are_not_valid_are_one_line_each(work, explain, message):
    work.params(**explain)
    done = work.run()
    assert done.returncode == 2 and not (work.folder / "explain.json").exists()
    (line,) = done.stderr.splitlines()
    assert message in line, line


def test_params_yaml_may_name_every_method():
    (names,) = config.Explain.model_fields["methods"].annotation.__args__
    assert list(names.__args__) == list(METHODS)


def test_outputs_have_no_word_of_a_document(work, caml):
    work.measure(caml)
    for name in ("explain.json", "evidence.csv"):
        text = (work.folder / name).read_text()
        assert not any(word in text for word in WORDS) and "dev0" not in text and "test0" not in text
    assert json.loads((work.folder / "explain.json").read_text())
