"""params.yaml is checked strictly: each mistake is reported in one line that says what would be valid."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from medcode import config
from medcode.config import corpora
from medcode.errors import UserError

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"


def changed(raw: dict, changes: dict) -> dict:
    """Return a copy with changes, {key/key: value}; the value `...` removes the key."""
    raw = copy.deepcopy(raw)
    for key, value in changes.items():
        section = raw
        *path, last = key.split("/")
        for part in path:
            section = section[part]
        if value is ...:
            del section[last]
        else:
            section[last] = value
    return raw


@pytest.fixture
def write(tmp_path):
    """Write params.yaml with changes."""

    def written(changes: dict) -> Path:
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(changed(yaml.safe_load(PARAMS.read_text()), changes)))
        return path

    return written


MISTAKES = [
    ({"sed": 1}, "sed: unknown key; did you mean 'seed'?"),
    ({"models": {}}, "models: unknown key; "),
    ({"synthesize/admision": 1}, "synthesize.admision: unknown key; did you mean 'admissions'?"),
    ({"synthesize/admissions": ..., "synthesize/admision": 1}, "synthesize.admision: unknown key"),
    ({"corpora/mimc3": {}}, "corpora.mimc3: there is no corpus 'mimc3'; did you mean 'mimic3'?"),
    ({"corpora/synthetic-mimic3": ...}, "corpora.synthetic-mimic3: missing"),
    ({"split": ...}, "split: missing"),
    ({"training/threads": 2.0}, "training.threads: Input should be a valid integer, found 2.0"),
    ({"training/threads": True}, "training.threads: Input should be a valid integer, found True"),
    ({"training/threads": "2"}, "training.threads: Input should be a valid integer, found '2'"),
    ({"training/padding": 1.5}, "training.padding: Input should be less than or equal to 1, found 1.5"),
    ({"training/padding": "wide"}, "training.padding: "),
    ({"training/threads": {"top50": 1, "full": 2}}, "training.threads: Input should be a valid integer"),
    ({"training/buckets": 8}, "training.buckets: removed; padding is a share now"),
    ({"pretrain/block_size": ..., "pretrain/pieces": 128}, "pretrain.pieces: renamed; write block_size"),
    (
        {"encoders/scratch-tiny/scratch/vocabulary_size": ..., "encoders/scratch-tiny/scratch/pieces": 2000},
        "encoders.scratch-tiny.scratch.pieces: renamed; write vocabulary_size",
    ),
    ({"training/kernels": "triton"}, "training.kernels: Input should be 'auto', 'plain' or 'fused', found 'triton'"),
    ({"training/kernels": {"top50": "auto", "full": "plain"}}, "training.kernels: Input should be 'auto', 'plain' or"),
    ({"corpus": "codiespp"}, "corpus: there is no corpus 'codiespp'; did you mean 'codiesp'?"),
    ({"corpora/codiesp/language": "fr"}, "corpora.codiesp.language: Input should be 'en' or 'es', found 'fr'"),
    ({"corpora/codiesp/langage": "en"}, "corpora.codiesp.langage: unknown key"),
    ({"corpora/codiesp/track": "X"}, "corpora.codiesp.track: Input should be 'D', 'P' or 'both', found 'X'"),
    (
        {"corpora/codiesp/track": ..., "corpora/codiesp/systems": ["icd10cm"]},
        "corpora.codiesp.systems: renamed; write track",
    ),
    (
        {"corpora/cantemist/dev": "set3"},
        "corpora.cantemist.dev: Input should be 'both', 'set1' or 'set2', found",
    ),
    ({"corpora/jsonl/systems": []}, "corpora.jsonl.systems: List should have at least 1 item after validation, not 0"),
    (
        {"label_set": "icd10"},
        "label_set: icd10 needs codes of icd10, and corpora.synthetic-mimic3 has icd9cm, icd9proc; ",
    ),
    (
        {"corpus": "codiesp", "label_set": "icd9"},
        "label_set: icd9 needs codes of icd9, and corpora.codiesp has icd10cm, ",
    ),
    (
        {"corpus": "cantemist", "label_set": "joint"},
        "label_set: joint needs codes of icd9, and corpora.cantemist has ic",
    ),
    (
        {"corpus": "jsonl", "corpora/jsonl/systems": ["icd10cm"], "label_set": "joint"},
        "label_set: joint needs codes of icd9, and corpora.jsonl has icd10cm; set another label set",
    ),
    ({"encoder": "biobrt"}, "encoder: there is no block encoders.biobrt; did you mean 'biobert'?"),
    ({"encoders/biobert/folder": "x"}, "encoders.biobert: expected one place: hub, package"),
    ({"split/dev_share": 0.5, "split/test_share": 0.5}, "split: dev_share + test_share must be below 1"),
    ({"seeds": 0}, "seeds: Input should be greater than or equal to 1, found 0"),
    ({"seeds": 3, "training/processes": 2}, "seeds: 3 seeds train side by side in one process, yet training.proc"),
    ({"seeds": 3, "training/nodes": 2}, "seeds: 3 seeds train side by side in one process, yet training.nodes is 2"),
    ({"training/nodes": 0}, "training.nodes: Input should be greater than or equal to 1, found 0"),
    ({"split/fold": 3}, "split: fold: 3 has no effect with train_on: train; set train_on: train_dev, or fold: 0"),
    (
        {"split/train_on": "train_dev", "split/folds": 5, "split/fold": 5},
        "split: fold: expected 0 to 4, one of the 5 parts of folds, found 5",
    ),
    ({"split/train_on": "train+dev"}, "split.train_on: Input should be 'train' or 'train_dev', found 'train+dev'"),
    ({"split/folds": 1}, "split.folds: Input should be greater than or equal to 2, found 1"),
    ({"split/published": "edin"}, "split.published: Input should be 'none', 'caml',"),
    ({"split/published": "caml", "split/source": "stratified"}, "split: source: stratified ignores published lists"),
    # A choice by label set is checked whole, whichever label set is chosen now.
    ({"evaluation/batch_size": {"top50": 32, "full": 0}}, "evaluation.batch_size: Input should be greater than"),
    ({"evaluation/batch_size": {"top50": 32}}, "evaluation.batch_size: Input should be a valid integer"),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_is_reported_in_one_line(write, changes, message):
    path = write(changes)
    with pytest.raises(UserError) as mistake:
        config.load_all(path)
    (line,) = mistake.value.args
    assert line.startswith(f"{path}: {message}")
    assert str(mistake.value) == line and "\n" not in line


def test_all_mistakes_are_reported_together_and_once(write):
    path = write({
        "sed": 1, "corpus": "mimic33", "encoder": "biobrt", "corpora/codiesp/language": "fr", "training/threads": 0,
        "word2vec/siz": 3, "word2vec/size": ..., "evaluation/batch_size": {"top50": 0, "full": 0},
    })  # fmt: skip
    with pytest.raises(UserError) as mistakes:
        config.load_all(path)
    keys = [line.removeprefix(f"{path}: ").split(":")[0] for line in mistakes.value.args]
    assert sorted(keys) == [
        "corpora.codiesp.language", "corpus", "encoder", "evaluation.batch_size", "sed", "training.threads",
        "word2vec.siz",
    ]  # fmt: skip
    assert str(mistakes.value).splitlines() == list(mistakes.value.args)


def test_mistakes_in_several_keys_are_reported_together(write):
    path = write({
        "split/published": "caml", "split/source": "stratified", "split/dev_share": 0.6, "split/test_share": 0.6,
        "seeds": 2, "training/processes": 2,
    })  # fmt: skip
    with pytest.raises(UserError) as mistakes:
        config.load_all(path)
    assert len(mistakes.value.args) == 3


class Wanted(config.Section):
    """Parameters of a stage: two keys and a section."""

    label_set: config.LabelSet
    seed: int
    evaluation: config.Evaluation


def test_a_stage_loads_only_its_sections(write):
    broken = {"split": {"dev_share": "much"}, "model": ..., "unknown": 1, "corpus": 3}
    loaded = config.load(Wanted, write(broken | {"seed": 5}))
    assert loaded.seed == 5 and loaded.evaluation.at == [5, 8, 15]
    assert set(loaded.model_dump()) == {"label_set", "seed", "evaluation"}
    with pytest.raises(UserError) as mistakes:
        config.load(Wanted, write({"evaluation/at": [3, 2], "seed": ...}))
    assert [line.split("params.yaml: ")[1] for line in mistakes.value.args] == [
        "seed: missing", "evaluation.at: expected ascending numbers, each once, found [3, 2]",
    ]  # fmt: skip


@pytest.mark.parametrize(("part", "more"), [("Machine", set()), ("Scoring", {"kernels"})])
def test_subsections_of_training_ignore_other_keys(write, part, more):
    class Stage(config.Section):
        training: getattr(config, part)

    loaded = config.load(Stage, write({"training/micro_batch": "much", "training/threads": 3}))
    assert loaded.training.threads == 3
    assert set(loaded.training.model_dump()) == {"device", "precision", "threads"} | more


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"precision": "bf16"}, "training: expected precision auto or fp32 with device mps, found bf16"),
        ({"processes": 2}, "training: expected processes 1 with device mps, found 2"),
        ({"nodes": 3}, "training: expected nodes 1 with device mps, found 3"),
        ({"precision": "fp32"}, None),
    ],
)
def test_apple_gpus_compute_in_fp32_and_one_process(write, changes, line):
    path = write({"training/device": "mps"} | {f"training/{key}": value for key, value in changes.items()})
    if line is None:
        assert config.load_all(path).training.device == "mps"
        return
    with pytest.raises(UserError) as mistake:
        config.load_all(path)
    assert [text.split("params.yaml: ")[1] for text in mistake.value.args] == [line]


def test_values_by_label_set_are_chosen(write):
    bins = {"top50": [3], "full": [7, 9]}
    sizes = {
        "top50": "top50",
        "top50_extra": "top50",
        "full": "full",
        "icd9": "full",
        "icd10": "full",
        "joint": "full",
        "open": "full",
    }
    for label_set, size in sizes.items():
        path = write({"corpus": "synthetic-mimic4", "label_set": label_set, "evaluation/frequency_bins": bins})
        for params in (config.load_all(path), config.load(Wanted, path)):
            assert params.label_set == label_set
            assert params.evaluation.frequency_bins == bins[size]


def test_numbers_that_yaml_1_1_reads_as_text_are_accepted(write):
    path = write({})
    path.write_text(path.read_text().replace("learning_rate: 5.0e-05", "learning_rate: 5e-5", 1))
    assert "5e-5" in path.read_text()
    assert config.load_all(path).pretrain.learning_rate == 0.00005


@pytest.mark.parametrize(
    ("content", "message"), [("a: [1", "not valid YAML"), ("- 1", "expected a mapping"), ("\x81", "not valid YAML")]
)
def test_a_file_without_a_mapping_is_reported_in_one_line(tmp_path, content, message):
    (tmp_path / "params.yaml").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=message) as mistake:
        config.load_all(tmp_path / "params.yaml")
    assert "\n" not in str(mistake.value)


def test_a_missing_file_is_reported_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"params\.yaml: no such file"):
        config.load_all(tmp_path / "params.yaml")


def test_params_has_one_block_for_each_corpus():
    assert set(config.load_all(PARAMS).corpora) == set(corpora.names())


def test_every_key_of_params_has_a_comment():
    """A key is explained by a comment of its own or of its section."""
    explained = {"systems", "seed", "size", "window", "epochs", "test_share", "batch_size"}
    for line in PARAMS.read_text().splitlines():
        key = line.split(":")[0].strip()
        if line.startswith("  ") and line[2] != " " and ":" in line and not line.endswith(":") and key not in explained:
            assert "#" in line, line
