"""The report page: the same bytes every time, every head, and everything escaped."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import stage_commands
from coded_corpus import DESCRIBED
from dvc.repo import Repo
from input_folder import write_shared, write_split
from scipy import sparse

import medcode
from medcode import config, io
from medcode.dataset import arrays as model_inputs
from medcode.dataset.split_names import SPLITS
from medcode.errors import UserError
from medcode.evaluation import seeds
from medcode.evaluation.frequency import frequency_table
from medcode.evaluation.summary import head_metrics
from medcode.report import figures, inline, page
from medcode.report.provenance import digest, provenance
from medcode.report.setting_tables import Shown

VOID = {"meta", "link", "br", "hr", "img", "path", "use"}
SECRET = "sternotomy"
MEASURES = {"map": 0.1231, "f1": 0.2342, "precision": 0.3453, "recall": 0.4564}
OFFICIAL = {
    "icd": {"official": {**MEASURES, "gold_outside_label_set": 15, "icd9proc": dict.fromkeys(MEASURES, 0.5675)}}
}
EVIDENCE = [
    {"head": "icd", "method": method, "f1": f1, "auprc": 0.4, "comprehensiveness": 0.7, "sufficiency": 0.1}
    for method, f1 in (("gradient_x_input", 0.61), ("random", ""))
]
CODES = [
    {"head": head, "system": "icd9cm", "code": f"{number}", "description": f"Disease <{number}>"}
    | {
        "train_documents": 100 - number,
        "gold": "12.5",
        "predicted": "<10",
        "correct": "",
        "precision": "",
        "recall": "",
    }
    | {"f1": "", "auc": 0.87654, "confusions": "icd9cm 7 (12); icd9cm 8 (11)" if number == 3 else ""}
    for head, codes in (("icd", 60), ("ccs", 7))
    for number in range(codes)
]
CODE_TEXTS = [{column: str(cell) for column, cell in row.items()} for row in CODES]


class Page(HTMLParser):
    """Parser that checks that tags are closed in order, and collects ids, links and text."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.ids, self.links, self.texts, self.tags = [], [], [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [value for key, value in attributes if key in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts += [data.strip()] if data.strip() else []


@pytest.fixture(scope="module")
def params(root):
    return config.load(Shown, root / "params.yaml")


@pytest.fixture(scope="module")
def settings(root, params):
    path = root / f"configs/models/{params.model}.yaml"
    return config.load_model(path, params.model, "quick", params.label_set)


@pytest.fixture(scope="module")
def run(tmp_path_factory, params):
    """A folder with all inputs of the report, for two heads; `icd` is the second in the file."""
    folder = tmp_path_factory.mktemp("run")
    random = np.random.default_rng(5)
    sizes, labels, measured, rows = {"ccs": 7, "icd": 20}, {}, {}, []
    for split, documents in (("train", 40), ("dev", 12), ("test", 15)):
        ends = np.cumsum(random.integers(5, 4000, documents))
        labels[split] = {
            head: sparse.csr_matrix((random.random((documents, size)) < 0.3).astype(np.uint8))
            for head, size in sizes.items()
        }
        write_split(folder / "inputs" / split, ends, labels[split])
    for head, size in sizes.items():
        gold, counts = labels["test"][head], np.asarray(labels["train"][head].sum(axis=0)).ravel()
        scores = random.random((15, size), dtype=np.float32)
        measured[head] = OFFICIAL.get(head, {}) | head_metrics(gold, scores, counts, 0.25, params.evaluation)
        rows += frequency_table(gold, scores, counts, 0.25, params.evaluation, head)
    write_shared(folder / "inputs", np.zeros(10), SECRET, {head: list(range(size)) for head, size in sizes.items()})
    io.write_metrics(folder / "test.json", measured)
    io.write_json(folder / "seeds.json", {})
    io.write_json(folder / "baseline.json", {})
    io.write_json(folder / "intervals.json", {"icd": {"fixed.f1.micro": [0.1234, 0.5678]}})
    io.write_json(folder / "train_code.json", {"code": {}})
    io.write_text(folder / "model/model.json", "{}")
    io.write_metrics(folder / "corpus.json", DESCRIBED)
    trained = {
        "model": params.model, "recipe": "quick", "label_set": "full", "best_epoch": 2, "epochs_run": 3,
        "stopped": "<b>last & epoch</b>", "parameters": {"total": 1234567, "trainable": 1234}, "dev": {},
    }  # fmt: skip
    io.write_json(folder / "train.json", trained)
    model_file = Path(__file__).parents[2] / "configs/models/caml.yaml"
    io.write_json(folder / "recipe.json", {"recipe": "quick", **config.read_yaml(model_file)})
    curve = [
        {"epoch": n, "train_loss": 1 / n, "dev_loss": 1.5 / n, "f1_micro": 0.1 * n, "f1_macro": 0.1, "map": 0.2}
        for n in (1, 2, 3)
    ]
    linked = [{"head": "icd", "group": "1+", "linked": "yes", "codes": 20, "f1_macro_tuned": 0.5}]
    losses = [{"head": head, "rank": n, "loss": 0.1, "normalized_loss": 0.5} for head in sizes for n in (1, 2, 3)]
    vectors = [
        {"head": "icd", "category": "D1", "code": "1", "chosen": 0, "nearest": 1, "x": n, "y": n} for n in (0, 1)
    ]
    tables = {
        "frequency.csv": rows,
        "curve.csv": curve,
        "losses.csv": losses,
        "vectors.csv": vectors,
        "linkage.csv": linked,
        "evidence.csv": EVIDENCE,
        "codes.csv": CODES,
        "reliability.csv": [
            {"head": "icd", "probabilities": "before", "bin": 1, "decisions": 9}
            | {"mean_probability": 0.5, "share_right": 0.4}
        ],
        "risk_coverage.csv": [
            {"head": "icd", "of": of, "coverage": share, "risk": 0.2} for of in ("codes", "notes") for share in (0.5, 1)
        ],
    }
    for name, table in tables.items():
        with open(folder / name, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
    return folder


def read(run, settings, **changes):
    test, trained = io.read_json(run / "test.json"), io.read_json(run / "train.json")
    svg = figures.length_figure(np.array([1, 2, 3]), 2)
    svgs = dict.fromkeys(("frequency", "losses", "vectors", "learning", "labels", "lengths"), svg)
    return (
        {"settings": settings, "test": test, "train": trained}
        | {"data": model_inputs.load(run / "inputs", SPLITS)}
        | {"figures": svgs, "corpus": io.read_json(run / "corpus.json")}
        | changes
    )


def options(run, root, out):
    arguments = {
        "params": root / "params.yaml", "model-settings": run / "recipe.json",
        "inputs": run / "inputs", "subword": run / "subword",
        "corpus": run / "corpus.json", "test": run / "test.json", "train": run / "train.json",
        "seeds": run / "seeds.json", "baseline": run / "baseline.json",
        "learning-curve": run / "curve.csv", "frequency": run / "frequency.csv",
        "linkage": run / "linkage.csv", "losses": run / "losses.csv",
        "per-code": run / "codes.csv", "intervals": run / "intervals.json", "code": run / "train_code.json",
        "model": run / "model",
        "vectors": run / "vectors.csv", "evidence": run / "evidence.csv", "evidence-svg": out / "evidence.svg",
        "frequency-svg": out / "frequency.svg",
        "losses-svg": out / "losses.svg", "vectors-svg": out / "vectors.svg",
        "learning-svg": out / "learning.svg", "labels-svg": out / "labels.svg", "lengths-svg": out / "lengths.svg",
        "reliability": run / "reliability.csv", "risk-coverage": run / "risk_coverage.csv",
        "reliability-svg": out / "reliability.svg", "risk-coverage-svg": out / "risk_coverage.svg",
        "page": out / "report.html",
    }  # fmt: skip
    return stage_commands.options(**arguments)


def test_stage_writes_the_same_bytes_every_time(run, root, tmp_path):
    outs = [tmp_path / "here", tmp_path / "there"]
    commands = {out.name: ("report", options(run, root, out)) for out in outs}
    elsewhere = {"PYTHONHASHSEED": "1", "TZ": "UTC-1"}
    other_process = stage_commands.in_another_process({"there": commands["there"]}, tmp_path, **elsewhere)["there"]
    for done in (stage_commands.in_this_process(*commands["here"], tmp_path), other_process):
        assert done == stage_commands.Done(0, "")
    files = [{path.name: path.read_bytes() for path in sorted(out.iterdir())} for out in outs]
    assert files[0] == files[1]
    names = (
        "evidence", "frequency", "labels", "learning", "lengths", "losses", "reliability", "risk_coverage", "vectors",
    )  # fmt: skip
    assert sorted(files[0]) == sorted([*(f"{name}.svg" for name in names), "report.html"])
    shown = Page(files[0]["report.html"].decode())
    assert len(shown.ids) == len(set(shown.ids)) and shown.tags.count("svg") == 16 and "script" not in shown.tags
    assert all(link.startswith("#") for link in shown.links)  # nothing is loaded from elsewhere
    assert not any(SECRET in text for text in shown.texts)


def test_numbers_of_every_head_with_icd_first(run, params, settings):
    inputs = read(run, settings)
    shown = Page(page.render(params, **inputs))
    headings = [text for text in shown.texts if text.startswith("Results on test")]
    names = ["Results on test: icd", "Results on test: ccs"]
    assert headings == [*names, *names]  # in the contents and above the sections
    for metrics in inputs["test"].values():
        assert f"{metrics['fixed']['f1']['micro']:.3f}" in shown.texts
        assert f"{metrics['tuned']['macro_f1']['per_label_present']:.3f}" in shown.texts
        assert f"{metrics['ranking']['precision_at_5']:.3f}" in shown.texts
        assert f"{metrics['auc']['micro']:.3f}" in shown.texts
    assert {f"{value:.3f}" for value in MEASURES.values()} <= set(shown.texts) and "MAP, icd9proc" in shown.texts
    assert shown.texts.index("Official MAP") < shown.texts.index("Micro F1")
    text = " ".join(shown.texts)
    assert "1,234,567 parameters, 1,234 of them trained" in text
    assert "15 gold codes of test are in no training document" in text
    assert "learning_rate" in shown.texts and f"{params.seed}" in shown.texts


def test_means_over_seeds_have_their_deviations(run, params, settings):
    test = io.read_json(run / "test.json")
    spread = seeds.deviation([test, seeds.mean([test, json.loads(json.dumps(test).replace("0.", "0.1"))])])
    params = params.model_copy(update={"seed": 7, "seeds": 3})
    trained = io.read_json(run / "train.json") | {"best_epoch": 2.333333, "epochs_run": 3}
    several = {"standard_deviation": spread}
    shown = Page(page.render(params, **read(run, settings, train=trained, seeds=several))).texts
    assert any("the seeds 7 to 9; the best of 3 epochs was on average epoch 2.33." in text for text in shown)
    for head, metrics in test.items():
        for value, deviation in (
            (metrics["tuned"]["f1"]["micro"], spread[head]["tuned"]["f1"]["micro"]),
            (metrics["ranking"]["map"], spread[head]["ranking"]["map"]),
        ):
            assert deviation > 0.001
            assert f"{value:.3f}\N{NO-BREAK SPACE}\N{PLUS-MINUS SIGN}\N{NO-BREAK SPACE}{deviation:.3f}" in shown


def test_evidence_is_a_section_where_it_was_measured(run, root, params, settings, tmp_path):
    heading = "Which words made the code"
    without = read(run, settings)
    shown = without["figures"] | {"evidence": without["figures"]["lengths"]}
    assert heading not in Page(page.render(params, **without)).texts
    assert heading in Page(page.render(params, **without | {"figures": shown})).texts
    (tmp_path / "empty.csv").write_text(f"{','.join(EVIDENCE[0])}\n")
    arguments = options(run, root, tmp_path)
    arguments[arguments.index("--evidence") + 1] = str(tmp_path / "empty.csv")
    assert stage_commands.in_this_process("report", arguments, tmp_path) == stage_commands.Done(0, "")
    assert heading not in Page((tmp_path / "report.html").read_text()).texts
    assert "Evidence was not measured" in (tmp_path / "evidence.svg").read_text()
    measured = stage_commands.in_this_process("report", options(run, root, tmp_path), tmp_path)
    assert measured == stage_commands.Done(0, "")
    assert heading in Page((tmp_path / "report.html").read_text()).texts


def test_several_seeds_are_shown_as_one_model_too(run, params, settings):
    params, heading = params.model_copy(update={"seeds": 3}), "The 3 models as one, by the mean of their probabilities"
    assert heading not in Page(page.render(params, **read(run, settings))).texts
    ensemble = json.loads(json.dumps(io.read_json(run / "test.json")))
    for head, value in (("icd", 0.98765), ("ccs", 0.87654)):
        ensemble[head]["fixed"]["f1"]["micro"] = value
    shown = Page(page.render(params, **read(run, settings, seeds={"ensemble": ensemble}))).texts
    assert shown.count(heading) == 2 and shown.count("0.988") == shown.count("0.877") == 1


def test_results_are_shown_beside_the_baseline(run, params, settings):
    inputs = read(run, settings)
    assert "linear baseline" not in " ".join(Page(page.render(params, **inputs)).texts)
    shown = Page(page.render(params, **inputs, baseline={"icd": inputs["test"]["icd"]})).texts
    micro = inputs["test"]["icd"]["fixed"]["f1"]["micro"]
    assert len([text for text in shown if text.startswith("linear baseline")]) == 6
    assert any(text.startswith(f"linear baseline {micro:.3f}; ") for text in shown)
    assert any(
        text.startswith("note: icd: micro F1 ") and "does not pass the linear baseline" in text for text in shown
    )
    assert any(text.startswith("The linear baseline is a linear classifier") for text in shown)


def test_a_model_that_is_fitted_at_once_has_no_epochs_or_keys_about_steps(run, root, params, settings):
    linear = config.load_model(root / "configs/models/linear.yaml", "linear", "quick", "top50")
    trained = io.read_json(run / "train.json") | {"model": "linear"}
    shown = Page(page.render(params, **read(run, linear, train=trained))).texts
    assert "1,234,567 parameters, fitted at once with the recipe quick." in shown
    assert "learning_rate" not in shown and "max_tokens" in shown and "max_features" in shown


def test_the_stage_prints_a_line_about_the_baseline(run, root, tmp_path, capsys):
    io.write_json(tmp_path / "baseline.json", io.read_json(run / "test.json"))
    arguments = options(run, root, tmp_path)
    arguments[arguments.index("--baseline") + 1] = str(tmp_path / "baseline.json")
    assert stage_commands.in_this_process("report", arguments, tmp_path) == stage_commands.Done(0, "")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 and all("does not pass the linear baseline" in line for line in printed)


def test_the_corpus_is_described(run, params, settings):
    shown = Page(page.render(params, **read(run, settings))).texts
    assert "12 (7 to 1,234)" in shown and "59.7%" in shown
    assert any("train and dev 1" in text for text in shown)
    assert "Most frequent labels: icd9cm 486 46.3%" in shown


def test_the_page_says_where_absent_codes_are_not_measured(run, params, settings):
    sentence = "Metrics but AUC are over the "
    assert not any(sentence in text for text in Page(page.render(params, **read(run, settings))).texts)
    changed = params.model_copy(update={"evaluation": params.evaluation.model_copy(update={"labels": "present"})})
    assert any(sentence in text for text in Page(page.render(changed, **read(run, settings))).texts)


def test_the_vector_figure_is_shown_only_with_a_note(run, params, settings):
    assert "Codes and their categories" not in page.render(params, **read(run, settings))
    shown = Page(page.render(params, **read(run, settings, vectors_note="Of 2 codes, 1 is near.")))
    assert "Codes and their categories" in shown.texts
    assert any("Of 2 codes, 1 is near." in text for text in shown.texts)


def test_everything_is_escaped(run, params, settings):
    html = page.render(params, **read(run, settings))
    assert "&lt;b&gt;last &amp; epoch&lt;/b&gt;" in html and "<b>last" not in html


def test_figures_use_the_colors_of_the_page(run, params, settings):
    html = page.render(params, **read(run, settings))
    body = html[html.index("<body>") :]
    assert "var(--series-1)" in body and not any(color in body for color in inline.COLORS)


def test_undefined_metrics_are_a_dash(run, params, settings):
    test = json.loads(json.dumps(io.read_json(run / "test.json")))
    test["icd"]["auc"] = {"macro": None, "micro": None}
    assert "\N{EN DASH}" in Page(page.render(params, **read(run, settings, test=test))).texts


def test_the_contents_link_to_every_section(run, params, settings):
    html = page.render(params, **read(run, settings))
    shown = Page(html)
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert shown.links[: len(titles)] == [f"#{re.sub('[^a-z]+', '-', title.lower())}" for title in titles]
    assert "#results-on-test-icd" in shown.links and {link[1:] for link in shown.links[: len(titles)]} <= set(shown.ids)
    assert "contents -->" not in html


def test_every_table_has_a_caption_and_is_reached_by_keyboard(run, params, settings):
    html = page.render(params, **read(run, settings, codes=CODE_TEXTS, origin={"trained model": "123.dir"}))
    assert html.count("<table") == html.count("<caption>") == html.count('role="region"') == html.count('tabindex="0"')
    names = re.findall(r'role="region" aria-label="(.*?)"', html)
    assert len(names) == len(set(names)) >= 13 and all(names)
    assert ":focus-visible" in html


def test_intervals_are_shown_at_their_tiles(run, params, settings):
    sentence = "Intervals of 95 %: bootstrap over the notes of test, 1,000 resamples"
    assert sentence not in page.render(params, **read(run, settings))
    ends = {"fixed.f1.micro": [0.1234, 0.5678], "ranking.map": [0.2, 0.3], "tuned.f1.micro": [0.4, 0.5]}
    html = page.render(params, **read(run, settings, intervals={"icd": ends}))
    shown = Page(html).texts
    assert [text for text in shown if text.startswith("95 %: ")] == [
        "95 %: 0.123 to 0.568", "95 %: 0.200 to 0.300"
    ]  # fmt: skip
    assert shown.index("95 %: 0.123 to 0.568") > shown.index("Micro F1") and sentence in html


def test_the_most_frequent_codes_are_shown(run, params, settings):
    assert "Results of each code" not in page.render(params, **read(run, settings))
    html = page.render(params, **read(run, settings, codes=CODE_TEXTS))
    shown = Page(html).texts
    assert "Disease <49>" in shown and "Disease <50>" not in shown and "Disease <49>".replace("<", "<b>") not in html
    assert "12.5" in shown and "<10" in shown and "0.877" in shown and "icd9cm 8 (11)" in shown
    text = " ".join(" ".join(shown).split())
    assert "the 50 codes with the most training documents of 60, at the threshold" in text
    assert "Results on test, ccs, at the threshold" in text and "plots/codes.csv has all codes" in text
    assert "Counts from 1 to 9" in text
    exact = [row | {"predicted": "10", "correct": "3"} for row in CODE_TEXTS if row["head"] == "icd"]
    text = " ".join(" ".join(Page(page.render(params, **read(run, settings, codes=exact))).texts).split())
    assert "Counts from 1 to 9" not in text and "Results on test, the 50 codes" in text


def test_figures_of_a_phone_stand_beside_those_of_a_wide_page(run, params, settings):
    inputs = read(run, settings)
    assert 'class="phone"' not in page.render(params, **inputs)
    narrow = {"learning": figures.length_figure(np.array([1, 2, 3]), 2, phone=True)}
    html = page.render(params, **inputs, phone=narrow)
    assert html.count('class="phone"') == html.count('class="wide"') == 1
    ids = Page(html).ids
    assert "lengths-phone-title" in ids


def test_provenance_is_shown(run, params, settings, tmp_path):
    assert "Provenance" not in page.render(params, **read(run, settings))
    io.write_text(tmp_path / "code.json", "{}")
    io.write_text(tmp_path / "model/weights", "1")
    origin = provenance(params, tmp_path / "code.json", run / "inputs", tmp_path / "model")
    shown = Page(page.render(params, **read(run, settings, origin=origin))).texts
    assert hashlib.md5(b"{}").hexdigest() in shown and medcode.__version__ in shown and params.corpus in shown
    assert f"git log -S {origin['trained model']} -- dvc.lock" in shown


def test_digests_are_those_of_dvc(tmp_path):
    io.write_text(tmp_path / "folder/b/weights", "1")
    io.write_text(tmp_path / "folder/a.txt", "2")
    io.write_text(tmp_path / "folder/a/x", "3")
    repository = Repo.init(tmp_path, no_scm=True)
    (stage,) = repository.add(str(tmp_path / "folder"))
    assert digest(tmp_path / "folder") == stage.outs[0].hash_info.value
    assert digest(tmp_path / "folder/a.txt") == hashlib.md5(b"2").hexdigest()


def test_a_model_that_differs_from_the_parameters_raises_a_user_error(run, params, settings):
    trained = io.read_json(run / "train.json") | {"model": "other"}
    message = "the model trained is other with the recipe quick, but the parameters name caml with quick; .*repro"
    with pytest.raises(UserError, match=message):
        page.render(params, **read(run, settings, train=trained))


def test_metrics_without_a_head_raise_a_user_error(run, params, settings):
    with pytest.raises(UserError, match="the metrics of test have no head"):
        page.render(params, **read(run, settings, test={}))


def test_only_heads_that_were_measured_are_shown(run, params, settings):
    test = io.read_json(run / "test.json")
    del test["ccs"]
    html = page.render(params, **read(run, settings, test=test))
    assert "Head icd" in html and "Head ccs" not in html
    with pytest.raises(UserError, match="the inputs have no head chapter"):
        page.render(params, **read(run, settings, test=test | {"chapter": test["icd"]}))


def test_a_curriculum_is_told_beside_the_learning_curve(run, root, params, settings):
    told = "The first epochs are on the levels of the tree above the codes."
    assert told not in " ".join(Page(page.render(params, **read(run, settings))).texts)
    laat = config.load_model(root / "configs/models/laat.yaml", "laat", "hicu", "top50")
    trained = io.read_json(run / "train.json") | {"model": "laat", "recipe": "hicu"}
    assert told in " ".join(Page(page.render(params, **read(run, laat, train=trained))).texts)
