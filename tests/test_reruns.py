"""The exact set of stages that rerun, for each of about forty edits.

The stages are stubs that always write new content, so each set is the largest possible. tests/test_dag.py tests on real
stages that no dependency is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from stub_workflow import StubProject
from workflow import (
    CCS,
    FROM_CALIBRATE,
    FROM_EVALUATE,
    FROM_EXTRACT,
    FROM_MODEL,
    FROM_OPEN,
    FROM_RECIPE,
    FROM_TRAIN,
    STAGES,
    model_file,
)

pytestmark = pytest.mark.workflow

Edit = Callable[[StubProject], None]
CHECK = {"check"}
SPLITS = {stage for stage in STAGES if stage.startswith("label_set@")}
FROM_INPUTS = {"inputs", "baseline", "knowledge", *FROM_MODEL}
FROM_ENCODER = {"encoder", "subword", "sentences", "pretrain", *FROM_TRAIN}
FROM_TOKENS = {"tokenize", "corpus_stats", "word2vec", *FROM_ENCODER, *FROM_INPUTS}
FROM_SPLIT = {*SPLITS, *CCS, "gem", "corpus_stats", "word2vec", *FROM_ENCODER, *FROM_INPUTS}
FROM_BASELINE = {"baseline", "report", "publish"}
MEASURED = {"baseline", *FROM_EVALUATE}
FROM_REFERENCE = {"reference", "coverage", *FROM_SPLIT}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> StubProject:
    """A workflow that is up to date."""
    project = StubProject(tmp_path_factory.mktemp("stubs") / "medcode")
    assert project.repro() == STAGES
    return project


def params(**changes) -> Edit:
    return lambda project: project.set(changes)


def model(name: str, **changes) -> Edit:
    return lambda project: project.set(changes, model_file(name))


def source(path: str, old: str, new: str) -> Edit:
    """Return an edit that replaces a text in a file; the text must be present."""

    def edit(project: StubProject) -> None:
        file = project.folder / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new, 1))

    return edit


def comment(path: str) -> Edit:
    return lambda project: _write(project.folder / path, lambda text: f"{text}\n# A remark.\n")


def docstring(path: str) -> Edit:
    """Write another first line into every docstring."""
    return lambda project: _write(
        project.folder / path, lambda text: re.sub(r'^( *)"""(?=\w)', r'\1"""Another line. ', text, flags=re.M)
    )


def reordered(path: str) -> Edit:
    """Move the last function before the first one."""

    def move(text: str) -> str:
        pieces = re.split(r"(?m)^(?=def )", text)
        assert len(pieces) > 3
        return "".join([pieces[0], pieces[-1].rstrip() + "\n\n\n", *pieces[1:-1]])

    return lambda project: _write(project.folder / path, move)


def new_file(*files: tuple[str, str], then: Edit | None = None) -> Edit:
    def edit(project: StubProject) -> None:
        for path, text in files:
            (project.folder / path).write_text(text)
        if then:
            then(project)

    return edit


def _write(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))


ANOTHER_MODEL = new_file(
    (
        "src/medcode/config/models/another.py",
        "from medcode.config.models.base import ModelConfig\n\n\nclass AnotherConfig(ModelConfig):\n    size: int\n",
    ),
    (
        "src/medcode/models/another.py",
        "from medcode.config.models.another import AnotherConfig\nfrom medcode.models.base import WordModel\n\n\n"
        "class Another(WordModel):\n    Config = AnotherConfig\n",
    ),
    (
        "configs/models/another.yaml",
        "options: {size: 3}\nrecipes:\n  quick: {learning_rate: 0.1, batch_size: 4, epochs: 1, patience: 1}\n",
    ),
)
ANOTHER_CORPUS = new_file(
    (
        "src/medcode/config/corpora/another.py",
        "from medcode.config.section import Section, System\n\n\nclass Options(Section):\n    systems: list[System]\n",
    ),
    ("src/medcode/corpora/another.py", "def read(folder, options, spool=None):\n    raise NotImplementedError\n"),
    then=params(corpora={"another": {"systems": ["icd10cm"]}}),
)
METRICS, METRIC_TABLE = "src/medcode/evaluation/metrics.py", "src/medcode/evaluation/metric_table.py"
LOOP = "src/medcode/training/trainer.py"
NEW_METRIC = source(METRICS, "def exact_match(", "def all_right(documents):\n    return 1.0\n\n\ndef exact_match(")


def used_metric(project: StubProject) -> None:
    """Add a metric on test."""
    NEW_METRIC(project)
    entry = 'Metric("all_right", lambda scored: metrics.all_right(scored.documents), "decisions", "All right"),'
    source(METRIC_TABLE, "TABLE = (", f"TABLE = (\n    {entry}")(project)


FACTS = "src/medcode/corpora/synthetic/facts/drugs.yaml"
EDITS: dict[str, tuple[Edit, set[str]]] = {
    # Edits without effect on the code.
    "a comment in io": (comment("src/medcode/io.py"), CHECK),
    "a comment in errors": (comment("src/medcode/errors.py"), CHECK),
    "a comment in stages/common": (comment("stages/common.py"), CHECK),
    "a comment in the model in use": (comment("src/medcode/models/caml.py"), CHECK),
    "docstrings in config": (docstring("src/medcode/config/section.py"), CHECK),
    "docstrings in the loop": (docstring("src/medcode/training/trainer.py"), CHECK),
    "docstrings in stages/train": (docstring("stages/train.py"), CHECK),
    "functions in another order": (reordered("src/medcode/evaluation/metrics.py"), CHECK),
    "an annotation": (
        source("src/medcode/text/tokenization.py", "def tokenize(text: str", "def tokenize(text: object"), CHECK
    ),
    "a comment in params.yaml": (comment("params.yaml"), set()),
    "a comment in the model's file": (comment(model_file("caml")), CHECK),
    # Edits of unused code and parameters.
    "another model": (ANOTHER_MODEL, CHECK),
    "another corpus": (ANOTHER_CORPUS, CHECK),
    "a metric that nothing uses": (NEW_METRIC, CHECK),
    "code of another model": (source("src/medcode/models/cnn.py", "-torch.inf", "-1e9"), CHECK),
    "options of another model": (model("cnn", options={"filters": 9}), CHECK),
    "another recipe": (model("caml", recipes={"published": {"epochs": 3}}), {*CHECK, "recipe"}),
    "a layer of Fusion": (source("src/medcode/models/fusion.py", "softmax", "relu"), CHECK),
    "a layer of LAAT": (source("src/medcode/layers/projected_attention.py", "torch.tanh", "torch.sin"), CHECK),
    "RAM, which the model goes without": (
        source("src/medcode/layers/recalibrated_aggregation.py", "torch.tanh", "torch.sin"), CHECK
    ),
    "Triton kernels of recurrent networks": (comment("src/medcode/layers/fused_recurrent_triton.py"), CHECK),
    "the reader of another corpus": (source("src/medcode/corpora/jsonl.py", "'text' must", "'text' has to"), CHECK),
    "options of another corpus": (params(corpora={"codiesp": {"language": "es"}}), CHECK),
    "another encoder": (params(encoders={"scratch-small": {"scratch": {"layers": 1}}}), CHECK),
    "a command of the command line": (source("src/medcode/cli/models.py", "import json", "import json as json"), CHECK),
    "the studies": (source("src/medcode/studies/pipeline/progress.py", '"wrong"', '"not right"'), CHECK),
    "the README": (new_file(("README.md", "Nothing.\n")), set()),
    # Edits of used code and parameters.
    "the seed": (params(seed=2), {*CHECK, *FROM_TRAIN}),
    "the model": (params(model="cnn"), {*CHECK, *FROM_MODEL}),
    "a curriculum in another recipe": (
        model("caml", recipes={"published": {"curriculum": {"epochs": [1, 1, 1, 1]}}}), {*CHECK, "recipe"}
    ),
    "the recipe in use": (model("caml", recipes={"quick": {"epochs": 3}}), {*CHECK, *FROM_RECIPE}),
    "options of the model in use": (model("caml", options={"filters": 9}), {*CHECK, *FROM_RECIPE}),
    "code of the model in use": (
        source("src/medcode/models/caml.py", "config.filters)", "config.filters + 0)"), {*CHECK, *FROM_TRAIN}
    ),
    "a layer of the model in use": (
        source("src/medcode/layers/label_attention.py", "xavier_uniform_", "xavier_normal_"), {*CHECK, *FROM_TRAIN}
    ),
    "the loop": (source(LOOP, '"last epoch"', '"the last epoch"'), {*CHECK, *FROM_TRAIN}),
    "a metric that the test reports": (used_metric, {*CHECK, *MEASURED}),
    "a function of a metric that training does not compute": (
        source(METRICS, "labels.predicted + labels.gold - labels", "labels.gold + labels.predicted - labels"),
        {*CHECK, *MEASURED},
    ),
    "the end of sentences": (
        source("src/medcode/text/sentences.py", '"vol", ', ""), {*CHECK, "sentences", *FROM_TRAIN}
    ),
    "the grid of thresholds": (params(evaluation={"threshold_grid": 50}), {*CHECK, *FROM_OPEN, *MEASURED}),
    "a threshold": (params(evaluation={"fixed_threshold": 0.4}), {*CHECK, *MEASURED}),
    "synonyms of unseen codes": (params(open={"inclusion_terms": False}), {*CHECK, *FROM_OPEN}),
    "a list of codes": (
        new_file(("ours.csv", "system,code\n"), then=params(open={"codes": "ours.csv"})), {*CHECK, *FROM_OPEN}
    ),
    "a line of the list of codes": (comment("reference/codes/all.csv"), FROM_OPEN),
    "the words of terms": (
        source("src/medcode/open_codes/words.py", "_BEGINNING = 6", "_BEGINNING = 5"), {*CHECK, *FROM_OPEN}
    ),
    "a stop word": (source("src/medcode/text/stop_words.py", '"within",', ""), {*CHECK, *FROM_OPEN}),
    "how unseen codes are fitted": (
        source("src/medcode/open_codes/fitting.py", "FITTED_ON = 500", "FITTED_ON = 400"), {*CHECK, *FROM_OPEN}
    ),
    "a calibration": (params(calibration="temperature"), {*CHECK, *FROM_CALIBRATE}),
    "thresholds of codes": (params(thresholds="per_code"), {*CHECK, *FROM_CALIBRATE}),
    "how temperatures are fitted": (
        source("src/medcode/calibration/maps.py", "_SLOPES = 1e-3", "_SLOPES = 1e-2"), {*CHECK, *FROM_CALIBRATE}
    ),
    "how thresholds are drawn together": (
        source("src/medcode/calibration/thresholds.py", "FOLDS = 5", "FOLDS = 4"), {*CHECK, *FROM_CALIBRATE}
    ),
    "what a reliability diagram shows": (
        source("src/medcode/evaluation/reliability.py", "BINS = 15", "BINS = 10"), {*CHECK, *FROM_EVALUATE}
    ),
    "documents to explain": (params(explain={"documents": 5}), {*CHECK, "explain", "report"}),
    "a measure of evidence": (
        source("src/medcode/evidence/plausibility.py", "both / (2 * n - both)", "both / n"),
        {*CHECK, "explain", "report"},
    ),
    "no baseline": (params(evaluation={"baseline": False}), {*CHECK, *MEASURED}),
    "options of the baseline": (model("linear", options={"cost": 2.0}), {*CHECK, *FROM_BASELINE}),
    "code of the baseline": (
        source("src/medcode/models/linear.py", "C=cost", "C=2 * cost"), {*CHECK, *FROM_BASELINE}
    ),
    "what a published model is read for": (
        source("src/medcode/inference/published.py", 'heads = {}', 'heads = dict()'), {*CHECK, "publish"}
    ),
    "the page": (source("src/medcode/report/page.html", "<", " <"), {*CHECK, "report"}),
    "a default of recipes": (
        source("src/medcode/config/recipes.py", "max_tokens: Tokens = 2500", "max_tokens: Tokens = 2400"),
        {*CHECK, "baseline", *FROM_RECIPE},
    ),
    "the label set": (params(label_set="full"), {*CHECK, "corpus_stats", *FROM_INPUTS}),
    "word vectors": (params(word2vec={"window": 3}), {*CHECK, "word2vec", *FROM_INPUTS}),
    "their code": (
        source("src/medcode/text/word_vectors.py", "options.epochs + 1", "options.epochs + 2"),
        {*CHECK, "word2vec", *FROM_INPUTS},
    ),
    "how CCS is written": (params(ccs={"bare_numbers": True}), {*CHECK, *CCS, *FROM_INPUTS}),
    "GEM without procedures": (params(gem={"procedures": False}), {*CHECK, "gem", *FROM_INPUTS}),
    "the tokenizer": (params(tokenize={"rule": "laat"}), {*CHECK, *FROM_TOKENS}),
    "the split": (params(split={"seed": 3}), {*CHECK, "split", *FROM_SPLIT}),
    "the reader of the corpus": (
        source("src/medcode/corpora/mimic3.py", "size=200_000", "size=100_000"), {*CHECK, *FROM_EXTRACT}
    ),
    "a list of titles": (
        new_file(("ours.csv", "system,code,title\n"), then=params(reference={"titles": "ours.csv"})),
        {*CHECK, *FROM_REFERENCE},
    ),
    "a line of the list of titles": (comment("reference/titles/none.csv"), FROM_REFERENCE),
    "a list of synonyms": (
        new_file(("ours.tsv", "system\tcode\tsynonym\n"), then=params(reference={"synonyms": "ours.tsv"})),
        {*CHECK, *FROM_REFERENCE},
    ),
    "a line of the list of synonyms": (comment("reference/synonyms/none.tsv"), FROM_REFERENCE),
    # Its output stays empty for a model that needs no synonyms, so that nothing is trained again.
    "how synonyms of labels are looked up": (
        source("src/medcode/dataset/knowledge.py", "found.pop", "found.copy().pop"), {*CHECK, "knowledge"}
    ),
    "a table of codes": (new_file(("src/medcode/codes/hierarchy.csv", "")), {*CHECK, *FROM_REFERENCE}),
    "facts of the synthetic corpus": (
        comment(FACTS), {*CHECK, "synthesize", *FROM_EXTRACT}
    ),
}  # fmt: skip


IDLE = [name for name, (_, expected) in EDITS.items() if expected <= CHECK]
# Slow tests: edits without effect are tested together as well, and the others resemble faster ones.
SLOW = {
    *IDLE, "word vectors", "how CCS is written", "GEM without procedures", "the label set", "the split", "the model",
    "facts of the synthetic corpus", "the page", "a curriculum in another recipe",
}  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in EDITS])
def test_an_edit_reruns_exactly_the_affected_stages(built, tmp_path, name):
    edit, expected = EDITS[name]
    project = built.copy(tmp_path / "medcode")
    edit(project)
    assert project.affected() == expected


@pytest.mark.parametrize("name", [pytest.param("the tokenizer", marks=pytest.mark.slow), "code of the model in use"])
def test_affected_stages_equal_the_stages_that_run(built, tmp_path, name):
    edit, expected = EDITS[name]
    project = built.copy(tmp_path / "medcode")
    edit(project)
    assert project.repro() == expected
    assert project.affected() == set()


@pytest.mark.parametrize(
    ("edit", "affected"),
    [
        (params(model="hypercore"), FROM_MODEL),
        pytest.param(params(model="c_memnn"), FROM_MODEL, marks=pytest.mark.slow),
        (model("caml", recipes={"quick": {"curriculum": {"epochs": [1, 1, 1, 1]}}}), FROM_RECIPE),
    ],
)
def test_a_training_that_needs_the_tree_has_it_looked_up(built, tmp_path, edit, affected):
    """The stubs have no labels to look up, so `knowledge` is one of them here."""
    project = built.copy(tmp_path / "medcode")
    edit(project)
    assert project.affected(["check"]) == {*CHECK, "knowledge", *affected}


@pytest.mark.slow
def test_a_file_of_evidence_reruns_the_extraction(built, tmp_path):
    project = built.copy(tmp_path / "medcode")
    (project.folder / "data/raw/mimic3/mdace").mkdir(parents=True)
    new_file(("data/raw/mimic3/mdace/11.json", "{}"))(project)
    project.set({"corpus": "mimic3", "corpora": {"mimic3": {"evidence": "mdace"}}})
    assert project.repro() >= {*CHECK, *FROM_EXTRACT}
    new_file(("data/raw/mimic3/mdace/11.json", '{"notes": []}'))(project)
    assert project.affected() == FROM_EXTRACT


@pytest.fixture(scope="module")
def built_on_subwords(built, tmp_path_factory) -> StubProject:
    """One with a model on subwords."""
    project = built.copy(tmp_path_factory.mktemp("subwords") / "medcode")
    project.set({"model": "plm_icd", "encoder": "scratch-tiny"})
    assert project.repro() == {*CHECK, "recipe", *FROM_ENCODER}
    return project


SUBWORD_EDITS: dict[str, tuple[Edit, set[str]]] = {
    "the model": (params(model="bert_hier"), {*CHECK, *FROM_MODEL}),
    "the encoder": (params(encoders={"scratch-tiny": {"scratch": {"layers": 3}}}), {*CHECK, *FROM_ENCODER}),
    "another encoder": (params(encoders={"scratch-small": {"scratch": {"layers": 1}}}), CHECK),
    "what is tokenized into subwords": (params(subword={"text": "raw"}), {*CHECK, *FROM_ENCODER}),
    "further pretraining": (params(pretrain={"steps": 3}), {*CHECK, "pretrain", *FROM_TRAIN}),
    "its code": (
        source("src/medcode/encoders/pretraining.py", "return ", "return 0 or ", ), {*CHECK, "pretrain", *FROM_TRAIN}
    ),
    "code of a model on words": (source("src/medcode/models/caml.py", "config.filters)", "config.filters + 0)"), CHECK),
    "the label set": (params(label_set="full"), {*CHECK, "corpus_stats", *FROM_INPUTS}),
    "a model on words": (params(model="cnn", encoder="none"), {*CHECK, "recipe", *FROM_ENCODER}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBWORD_EDITS)
def test_an_edit_with_a_subword_model_reruns_exactly_the_affected_stages(built_on_subwords, tmp_path, name):
    edit, expected = SUBWORD_EDITS[name]
    project = built_on_subwords.copy(tmp_path / "medcode")
    edit(project)
    assert project.affected() == expected


def test_edits_without_effect_rerun_only_the_check(built, tmp_path):
    assert len(IDLE) > 20
    project = built.copy(tmp_path / "medcode")
    for name in IDLE:
        EDITS[name][0](project)
    assert project.repro() == CHECK
    assert project.repro() == set()
