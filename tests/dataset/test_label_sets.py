"""Labels and documents of each label set."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from coded_corpus import DESCRIPTIONS, corpus, options, small, split_documents

from medcode.dataset import label_sets
from medcode.dataset.split_names import SPLITS
from medcode.errors import UserError


def choose(name, notes, codes, corpus_name="jsonl", fifty=None, **changes):
    documents = split_documents(notes, codes, **changes)
    if fifty is not None:
        documents["top50"] = documents["admission_id"].isin(fifty)
    return label_sets.choose(name, documents, codes, DESCRIPTIONS, options(**changes), corpus_name)


def split_of(label_set) -> dict[str, str]:
    return dict(
        zip(label_set.documents["admission_id"].to_pylist(), label_set.documents["split"].to_pylist(), strict=True)
    )


def coded(split: list[str], codes: list[list[str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Admissions 0, 1, ... with codes written system:code."""
    notes, _ = small(split)
    rows = [(str(i), *code.split(":")) for i, of_note in enumerate(codes) for code in of_note]
    return notes, pd.DataFrame(rows, columns=["admission_id", "system", "code"], dtype="str")


def test_top50_are_the_most_frequent_codes_of_train_with_ties_by_name():
    notes, codes = corpus()
    top = choose("top50", notes, codes)
    split_of = split_documents(notes, codes).set_index("admission_id")["split"]
    train = codes[codes["admission_id"].map(split_of) == "train"]
    counts = train.groupby("code").size()
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:50]
    assert list(zip(top.labels["code"].to_pylist(), top.labels["train_documents"].to_pylist(), strict=True)) == expected
    held = set(codes.loc[codes["code"].isin(top.labels["code"].to_pylist()), "admission_id"])
    assert set(top.documents["admission_id"].to_pylist()) == held
    assert top.metrics["labels"] == 50


def test_labels_are_chosen_from_train_or_from_all_documents():
    notes, codes = small(["train", "train", "dev", "test"])
    codes.loc[len(codes)] = ["3", "icd9proc", "03.31"]
    train = choose("full", notes, codes)
    assert train.labels["code"].to_pylist() == ["401.9"]
    everything = choose("full", notes, codes, labels="all")
    assert everything.labels.select(["code", "train_documents"]).to_pylist() == [
        {"code": "401.9", "train_documents": 2},
        {"code": "03.31", "train_documents": 0},
    ]


def test_labels_are_all_codes_of_a_new_train():
    both = ["icd9cm:401.9", "icd9cm:486"]
    notes, codes = coded(["train", "dev", "dev", "test"], [both[:1], both, both, both])
    assert choose("full", notes, codes).labels["code"].to_pylist() == ["401.9"]
    for fold in range(3):
        label_set = choose("full", notes, codes, train_on="train_dev", folds=3, fold=fold)
        splits = split_of(label_set)
        expected = codes.loc[codes["admission_id"].map(splits) == "train", "code"].value_counts()
        of_label = zip(*(label_set.labels[name].to_pylist() for name in ("code", "train_documents")), strict=True)
        assert dict(of_label) == expected.to_dict() and "486" in expected
        assert splits["3"] == "test"


def test_labels_without_a_description_are_counted():
    notes, codes = corpus()
    label_set = choose("full", notes, codes)
    descriptions = dict(
        zip(label_set.labels["code"].to_pylist(), label_set.labels["description"].to_pylist(), strict=True)
    )
    assert descriptions["100.0"] == "Leptospirosis"
    assert descriptions["100.1"] == ""
    assert label_set.metrics["codes_without_description"] == len(descriptions) - 1
    assert len(label_set.metrics["codes_without_description_first"]) == 10
    assert label_set.metrics["codes_without_description_first"][0] == "icd9cm 100.1"


def test_malformed_codes_are_not_listed_in_metrics():
    notes, codes = small(["train", "dev", "test"])
    words = codes.assign(code="A NOTE'S TEXT")
    metrics = choose("full", notes, words).metrics
    assert metrics["codes_without_description"] == 1
    assert metrics["codes_without_description_first"] == []


@pytest.mark.parametrize("name", ["full", "top50"])
def test_a_label_set_without_a_dev_document_is_refused(name):
    notes, codes = small(["train", "dev", "test"])
    codes.loc[codes["admission_id"] == "1", "code"] = "250.00"
    with pytest.raises(UserError, match=f"split dev: no document with one of the 1 labels of {name}"):
        choose(name, notes, codes)


def test_labels_are_better_balanced_than_by_chance():
    notes, codes = corpus()
    random = np.random.default_rng(0).choice(SPLITS, 1_600, p=[0.75, 0.1, 0.15])
    chance = split_documents(notes, codes).assign(split=random[notes["patient_id"].astype(int)])
    by_chance = label_sets.choose("full", chance, codes, DESCRIPTIONS, options(), "jsonl").metrics
    stratified = choose("full", notes, codes).metrics
    for name in SPLITS:
        assert stratified[name]["label_share_difference"] < 0.75 * by_chance[name]["label_share_difference"]


def test_label_sets_agree_on_the_split_of_each_document():
    notes, codes = corpus()
    full = choose("full", notes, codes)
    assert full.documents.num_rows == 2_000
    assert full.metrics["patients_in_two_splits"] == 0
    everyone = split_of(full)
    for name in ("top50", "top50_extra", "icd9"):
        chosen = split_of(choose(name, notes, codes))
        assert chosen.items() <= everyone.items()
        assert list(chosen) == [admission for admission in everyone if admission in chosen]


def test_background_documents_are_in_every_label_set():
    notes, codes = small(["test", "train", "dev", "background", "train"])
    codes = codes[codes["admission_id"] != "3"]
    for name in ("full", "top50", "top50_extra", "icd9"):
        label_set = choose(name, notes, codes)
        assert label_set.documents["split"].to_pylist() == ["test", "train", "dev", "background", "train"]
        assert label_set.metrics["background_documents"] == 1


def test_open_has_the_labels_and_documents_of_full():
    notes, codes = corpus()
    full, opened = choose("full", notes, codes), choose("open", notes, codes)
    assert opened.labels.equals(full.labels) and opened.documents.equals(full.documents)
    assert opened.metrics == full.metrics | {"label_set": "open"}


def test_top50_extra_keeps_all_training_documents():
    split = ["train", "train", "train", "dev", "dev", "test"]
    rare = [["icd9cm:V85.0"]]
    notes, codes = coded(split, [["icd9cm:401.9"], ["icd9cm:486"], *rare, ["icd9cm:486"], *rare, ["icd9cm:401.9"]])
    listed = {"0", "3", "5"}
    papers = {"corpus_name": "mimic3", "fifty": listed}
    assert split_of(choose("top50", notes, codes, **papers)) == {"0": "train", "3": "dev", "5": "test"}
    extra = choose("top50_extra", notes, codes, **papers)
    assert split_of(extra) == {"0": "train", "1": "train", "2": "train", "3": "dev", "5": "test"}
    assert extra.metrics["train"]["documents_without_label"] == 1
    counts = {row["code"]: row["train_documents"] for row in extra.labels.to_pylist()}
    assert counts == {"401.9": 1, "486": 1}
    # Without published lists, dev and test are those with one of the codes.
    assert split_of(choose("top50_extra", notes, codes, top50="papers")).keys() == {"0", "1", "2", "3", "5"}


def test_the_papers_top50_is_33_diagnoses_and_17_procedures():
    systems = [system for system, _ in label_sets.PAPERS_TOP50]
    assert (systems.count("icd9cm"), systems.count("icd9proc")) == (33, 17)


@pytest.mark.parametrize(
    ("corpus_name", "top50", "choice", "labels"),
    [
        ("mimic3", "auto", "papers", {"401.9"}),
        ("synthetic-mimic3", "auto", "train", {"401.9", "V85.0"}),
        ("mimic3", "train", "train", {"401.9", "V85.0"}),
        ("jsonl", "papers", "papers", {"401.9"}),
    ],
)
def test_top50_comes_from_the_papers_or_from_train(corpus_name, top50, choice, labels):
    two_codes = ["icd9cm:401.9", "icd9cm:V85.0"]
    notes, codes = coded(["train", "dev", "test"], [two_codes, two_codes, two_codes])
    label_set = choose("top50", notes, codes, corpus_name, top50=top50)
    assert label_set.metrics["label_choice"] == choice
    assert set(label_set.labels["code"].to_pylist()) == labels


def mixed():
    """Three admissions coded in ICD-9, three in ICD-10, one in both."""
    nine, ten = ["icd9cm:401.9", "icd9proc:38.93"], ["icd10cm:I10", "icd10pcs:0DTJ4ZZ"]
    return coded(
        ["train", "dev", "test", "train", "dev", "test", "train"],
        [nine, nine, nine, [*ten, "icd10cm:E11.9"], ten, ten, [*nine[:1], *ten[:1]]],
    )


def test_icd9_and_icd10_have_the_documents_of_one_edition():
    notes, codes = mixed()
    nine = choose("icd9", notes, codes)
    assert nine.labels.select(["head", "code", "train_documents"]).to_pylist() == [
        {"head": "icd", "code": "401.9", "train_documents": 2}
    ]  # 38.93 has one document in train, and two are asked for
    assert list(split_of(nine)) == ["0", "1", "2", "6"]
    ten = choose("icd10", notes, codes, labels="all")
    assert ten.labels["code"].to_pylist() == ["I10", "0DTJ4ZZ"]
    assert ten.metrics["label_choice"] == "all"
    assert list(split_of(ten)) == ["3", "4", "5", "6"]


def test_joint_has_a_head_for_each_edition():
    notes, codes = mixed()
    joint = choose("joint", notes, codes, min_occurrences=1)
    assert [(row["head"], row["code"]) for row in joint.labels.to_pylist()] == [
        ("icd9", "401.9"),
        ("icd9", "38.93"),
        ("icd10", "I10"),
        ("icd10", "E11.9"),
        ("icd10", "0DTJ4ZZ"),
    ]
    assert len(split_of(joint)) == 7


def test_joint_agrees_with_the_label_sets_of_single_editions():
    """So that a model of one edition is trained and measured on what JAMS sees of it."""
    notes, codes = mixed()
    old, new, joint = (choose(name, notes, codes, min_occurrences=1) for name in ("icd9", "icd10", "joint"))
    assert split_of(joint) == split_of(old) | split_of(new)
    for head, alone in (("icd9", old), ("icd10", new)):
        of_head = [row | {"head": "icd"} for row in joint.labels.to_pylist() if row["head"] == head]
        assert of_head == alone.labels.to_pylist()


def test_an_edition_that_the_corpus_lacks_gives_an_empty_label_set():
    notes, codes = coded(["train", "dev", "test"], [["icd9cm:401.9"]] * 3)
    for name in ("icd10", "joint"):
        with pytest.raises(UserError, match=f"label set {name}: the corpus has no code of icd10"):
            choose(name, notes, codes)
    with pytest.raises(UserError, match="label set icd9: no code has the 2 occurrences"):
        choose("icd9", notes, codes)
    nothing = label_sets.empty("icd10", "the reason")
    assert (nothing.documents.num_rows, nothing.labels.num_rows) == (0, 0)
    assert nothing.metrics == {"label_set": "icd10", "labels": 0, "empty_because": "the reason"}
    assert nothing.labels.schema == label_sets.LABELS
