"""Splits by patient, balanced over all codes; label sets on top of them."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from medcode import splits
from medcode.errors import UserError

TITLES = pd.DataFrame({"system": ["icd9cm"], "code": ["100.0"], "title": ["Leptospirosis"]}, dtype="str")


def options(**changes) -> SimpleNamespace:
    return SimpleNamespace(
        **{"source": "auto", "labels": "train", "dev_share": 0.1, "test_share": 0.15, "seed": 10} | changes
    )


def corpus(admissions=2_000, patients=1_600, labels=400, mean=10, seed=0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draws a corpus with a long tail of codes."""
    random = np.random.default_rng(seed)
    owners = np.concatenate([np.arange(patients), random.integers(0, patients, admissions - patients)])
    weights = 1 / np.arange(1, labels + 1)
    rows = np.repeat(np.arange(admissions), random.poisson(mean, admissions).clip(1))
    drawn = random.choice(labels, len(rows), p=weights / weights.sum())
    notes = pd.DataFrame({"admission_id": np.arange(admissions).astype(str), "patient_id": owners.astype(str)})
    codes = pd.DataFrame(
        {
            "admission_id": rows.astype(str),
            "system": "icd9cm",
            "code": [f"{100 + i // 10}.{i % 10}" for i in drawn],
        }
    )
    return notes.assign(split=pd.Series([None] * admissions, dtype="str")), codes.drop_duplicates(ignore_index=True)


def with_split(notes: pd.DataFrame, split: list[str | None]) -> pd.DataFrame:
    return notes.assign(split=pd.Series(split, dtype="str", index=notes.index))


def small(split: list[str | None], patients: list[str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = [str(i) for i in range(len(split))]
    notes = pd.DataFrame({"admission_id": ids, "patient_id": patients or ids}, dtype="str")
    codes = pd.DataFrame({"admission_id": ids, "system": "icd9cm", "code": "401.9"}, dtype="str")
    return with_split(notes, split), codes


@settings(max_examples=40)
@given(
    st.integers(0, 60),
    st.integers(0, 12),
    st.integers(2, 5),
    st.integers(0, 1_000),
)
def test_stratification_places_every_example_once_whatever_the_labels(examples, labels, folds, seed):
    random = np.random.default_rng(seed)
    counts = sparse.csr_array(random.poisson(0.3, (examples, labels)).astype(float))
    sizes = random.integers(1, 4, examples)
    placed = splits.stratify(counts, sizes, np.full(folds, 1 / folds), seed)
    assert placed.shape == (examples,)
    assert set(placed.tolist()) <= set(range(folds))
    assert placed.tolist() == splits.stratify(counts, sizes, np.full(folds, 1 / folds), seed).tolist()


def test_stratification_divides_what_can_be_divided_exactly():
    # Four kinds of examples, 20 of each: every fold can have exactly its share of each label.
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]], dtype=float).repeat(20, axis=0)
    folds = splits.stratify(sparse.csr_array(labels), np.ones(80, dtype=int), np.array([0.5, 0.25, 0.25]), seed=3)
    for kind in range(4):
        assert np.bincount(folds[20 * kind : 20 * kind + 20], minlength=3).tolist() == [10, 5, 5]


def test_a_code_of_one_patient_goes_to_train_and_of_many_everywhere():
    notes, codes = corpus()
    split = splits.assign(notes, codes, options())
    counts = (
        codes.assign(split=codes["admission_id"].map(split.of)).groupby(["code", "split"]).size().unstack(fill_value=0)
    )
    total = counts.sum(axis=1)
    assert (counts.loc[total == 1, "train"] == 1).all()
    assert (counts[total >= 20] > 0).all(axis=None)


def test_labels_are_better_balanced_than_by_chance():
    notes, codes = corpus()
    split = splits.assign(notes, codes, options())
    random = np.random.default_rng(0).choice(splits.SPLITS, 1_600, p=[0.75, 0.1, 0.15])
    chance = splits.Split(
        pd.Series(random[notes["patient_id"].astype(int)], index=notes["admission_id"]), split.wanted, "chance"
    )
    ours, theirs = (splits.label_set("full", s, notes, codes, TITLES, options()).metrics for s in (split, chance))
    for name in splits.SPLITS:
        assert abs(ours[name]["share"] - ours[name]["wanted_share"]) < 0.03
        assert ours[name]["label_share_difference"] < 0.75 * theirs[name]["label_share_difference"]


def test_patients_are_never_divided_and_label_sets_agree():
    notes, codes = corpus()
    split = splits.assign(notes, codes, options())
    full, top = (splits.label_set(name, split, notes, codes, TITLES, options()) for name in ("full", "top50"))
    documents = full.documents.to_pandas().set_index("admission_id")
    assert documents.groupby("patient_id")["split"].nunique().max() == 1
    assert full.metrics["patients_in_two_splits"] == 0
    chosen = top.documents.to_pandas().set_index("admission_id")
    assert (documents.loc[chosen.index, "split"] == chosen["split"]).all()
    assert len(documents) == 2_000
    assert top.documents["admission_id"].to_pylist() == [i for i in notes["admission_id"] if i in chosen.index]


def test_the_same_seed_gives_the_same_split_in_any_order_of_codes():
    notes, codes = corpus()
    first = splits.assign(notes, codes, options()).of
    shuffled = codes.sample(frac=1, random_state=1)
    assert splits.assign(notes, shuffled, options()).of.equals(first)
    assert not splits.assign(notes, codes, options(seed=11)).of.equals(first)


def test_the_top_50_are_the_most_frequent_of_train_and_ties_go_by_name():
    notes, codes = corpus()
    split = splits.assign(notes, codes, options())
    top = splits.label_set("top50", split, notes, codes, TITLES, options())
    train = codes[codes["admission_id"].map(split.of) == "train"]
    counts = train.groupby("code").size()
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:50]
    assert list(zip(top.labels["code"].to_pylist(), top.labels["train_documents"].to_pylist(), strict=True)) == expected
    held = set(codes.loc[codes["code"].isin(top.labels["code"].to_pylist()), "admission_id"])
    assert set(top.documents["admission_id"].to_pylist()) == held
    assert top.metrics["labels"] == 50


def test_labels_of_train_or_of_all():
    notes, codes = small(["train", "train", "dev", "test"])
    codes.loc[len(codes)] = ["3", "icd9proc", "03.31"]
    split = splits.assign(notes, codes, options())
    train = splits.label_set("full", split, notes, codes, TITLES, options())
    assert train.labels["code"].to_pylist() == ["401.9"]
    everything = splits.label_set("full", split, notes, codes, TITLES, options(labels="all"))
    assert everything.labels.select(["code", "train_documents"]).to_pylist() == [
        {"code": "401.9", "train_documents": 2},
        {"code": "03.31", "train_documents": 0},
    ]


def test_titles_and_what_has_none():
    notes, codes = corpus()
    found = splits.label_set("full", splits.assign(notes, codes, options()), notes, codes, TITLES, options())
    titles = dict(zip(found.labels["code"].to_pylist(), found.labels["title"].to_pylist(), strict=True))
    assert titles["100.0"] == "Leptospirosis"
    assert titles["100.1"] == ""
    assert found.metrics["codes_without_title"] == len(titles) - 1
    assert len(found.metrics["codes_without_title_first"]) == 10
    assert found.metrics["codes_without_title_first"][0] == "icd9cm 100.1"


def test_what_looks_like_no_code_is_not_listed():
    notes, codes = small(["train", "dev", "test"])
    split = splits.assign(notes, codes, options())
    words = codes.assign(code="A NOTE'S TEXT")
    metrics = splits.label_set("full", split, notes, words, TITLES, options()).metrics
    assert metrics["codes_without_title"] == 1
    assert metrics["codes_without_title_first"] == []


def test_the_split_of_the_corpus_is_kept_with_its_background():
    notes, codes = small(["test", "train", "dev", "background", "train"])
    codes = codes[codes["admission_id"] != "3"]
    split = splits.assign(notes, codes, options())
    assert split.source == "corpus"
    assert split.of.to_dict() == {"0": "test", "1": "train", "2": "dev", "3": "background", "4": "train"}
    for name in ("full", "top50"):
        found = splits.label_set(name, split, notes, codes, TITLES, options())
        assert found.documents["split"].to_pylist() == ["test", "train", "dev", "background", "train"]
        assert found.metrics["background_documents"] == 1
    assert found.metrics["train"]["wanted_share"] == 0.5


def test_the_split_of_the_corpus_can_be_set_aside():
    notes, codes = corpus()
    given = with_split(notes, ["train"] * 1_999 + ["background"])
    codes = codes[codes["admission_id"] != "1999"]
    split = splits.assign(given, codes, options(source="stratified"))
    assert split.source == "stratified"
    assert split.of["1999"] == "background"
    assert split.of.value_counts().index[0] == "train"
    assert (split.of == "dev").sum() > 100


def test_admissions_without_codes_are_left_out():
    notes, codes = small(["train", "dev", "test", None])
    split = splits.assign(notes, codes[codes["admission_id"] != "3"], options())
    assert list(split.of.index) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("split", "patients", "message"),
    [
        (["train", "dev", "test", None], None, "gives 3 admissions a split and 1 none"),
        (["train", "test", "test"], None, "split dev: no admission with a code"),
        (["train", "dev", "test", "test"], ["p1", "p2", "p3", "p1"], "1 patients are in more than one split .* p1"),
        ([None, None, None], ["p", "p", "q"], "2 patients with codes cannot make train, dev and test"),
        ([None, None, None], None, "split .*: no admission with a code"),
    ],
)
def test_splits_that_cannot_be(split, patients, message):
    notes, codes = small(split, patients)
    with pytest.raises(UserError, match=message):
        splits.assign(notes, codes, options())


@pytest.mark.parametrize("name", ["full", "top50"])
def test_a_label_set_without_a_document_in_dev(name):
    notes, codes = small(["train", "dev", "test"])
    codes.loc[codes["admission_id"] == "1", "code"] = "250.00"
    split = splits.assign(notes, codes, options())
    with pytest.raises(UserError, match=f"split dev: no document with one of the 1 labels of {name}"):
        splits.label_set(name, split, notes, codes, TITLES, options())


def test_a_corpus_as_large_as_mimic_iii_takes_seconds():
    notes, codes = corpus(admissions=58_976, patients=46_520, labels=8_921, mean=12)
    start = time.perf_counter()
    split = splits.assign(notes, codes, options())
    splits.label_set("full", split, notes, codes, TITLES, options())
    assert time.perf_counter() - start < 60
