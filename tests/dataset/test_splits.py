"""Splits are by patient and balanced over all codes, or as published."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from coded_corpus import corpus, options, small, split_documents, with_split
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from medcode.dataset import splits
from medcode.dataset.published_splits import Lists
from medcode.dataset.split_names import SPLITS
from medcode.errors import UserError


def split_by_admission(notes: pd.DataFrame, codes: pd.DataFrame, **changes) -> pd.Series:
    """Return the split of each admission."""
    return split_documents(notes, codes, **changes).set_index("admission_id")["split"]


@settings(max_examples=40)
@given(
    st.integers(0, 60),
    st.integers(0, 12),
    st.integers(2, 5),
    st.integers(0, 1_000),
)
def test_stratification_assigns_every_example_once(examples, labels, folds, seed):
    random = np.random.default_rng(seed)
    counts = sparse.csr_array(random.poisson(0.3, (examples, labels)).astype(float))
    sizes = random.integers(1, 4, examples)
    placed = splits.stratify(counts, sizes, np.full(folds, 1 / folds), seed)
    assert placed.shape == (examples,)
    assert set(placed.tolist()) <= set(range(folds))
    assert placed.tolist() == splits.stratify(counts, sizes, np.full(folds, 1 / folds), seed).tolist()


def test_stratification_is_exact_where_possible():
    # Four groups of equal examples, 20 of each: every fold can have exactly its share of each label.
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]], dtype=float).repeat(20, axis=0)
    folds = splits.stratify(sparse.csr_array(labels), np.ones(80, dtype=int), np.array([0.5, 0.25, 0.25]), seed=3)
    for group in range(4):
        assert np.bincount(folds[20 * group : 20 * group + 20], minlength=3).tolist() == [10, 5, 5]


def test_rare_codes_go_to_train_and_frequent_codes_to_every_split():
    notes, codes = corpus()
    counts = codes.assign(split=codes["admission_id"].map(split_by_admission(notes, codes)))
    counts = counts.groupby(["code", "split"]).size().unstack(fill_value=0)
    total = counts.sum(axis=1)
    assert (counts.loc[total == 1, "train"] == 1).all()
    assert (counts[total >= 20] > 0).all(axis=None)


def test_the_same_seed_gives_the_same_split_in_any_order_of_codes():
    notes, codes = corpus()
    first = split_by_admission(notes, codes)
    shuffled = codes.sample(frac=1, random_state=1)
    assert split_by_admission(notes, shuffled).equals(first)
    assert not split_by_admission(notes, codes, seed=11).equals(first)


def test_the_split_of_the_corpus_can_be_ignored():
    notes, codes = corpus()
    notes_with_split = with_split(notes, ["train"] * 1_999 + ["background"])
    codes = codes[codes["admission_id"] != "1999"]
    result = splits.split_admissions(notes_with_split, codes, options(source="stratified"))
    assert result.metrics["source"] == "stratified"
    split = split_by_admission(notes_with_split, codes, source="stratified")
    assert split["1999"] == "background"
    assert split.value_counts().index[0] == "train"
    assert (split == "dev").sum() > 100


def test_admissions_without_codes_are_left_out():
    notes, codes = small(["train", "dev", "test", None])
    assert list(split_by_admission(notes, codes[codes["admission_id"] != "3"]).index) == ["0", "1", "2"]


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
def test_impossible_splits_are_refused(split, patients, message):
    notes, codes = small(split, patients)
    with pytest.raises(UserError, match=message):
        splits.split_admissions(notes, codes, options())


def test_patients_are_never_divided():
    notes, codes = corpus()
    documents = split_documents(notes, codes)
    assert documents.groupby("patient_id")["split"].nunique().max() == 1
    assert documents["admission_id"].tolist() == notes["admission_id"].tolist()
    metrics = splits.split_admissions(notes, codes, options()).metrics
    assert metrics["patients_in_two_splits"] == 0
    assert sum(metrics[name]["documents"] for name in SPLITS) == 2_000
    for name in SPLITS:
        assert abs(metrics[name]["share"] - metrics["wanted_share"][name]) < 0.03


def test_the_split_of_the_corpus_is_kept_with_its_background():
    notes, codes = small(["test", "train", "dev", "background", "train"])
    codes = codes[codes["admission_id"] != "3"]
    result = splits.split_admissions(notes, codes, options())
    assert result.metrics["source"] == "corpus"
    assert result.metrics["background_documents"] == 1
    assert result.documents["split"].tolist() == ["test", "train", "dev", "background", "train"]


def test_uncoded_admissions_of_the_corpus_are_kept_in_dev_and_test_only():
    notes, codes = small(["test", "train", "dev", "train", "test", "dev"])
    codes = codes[codes["admission_id"].isin(notes["admission_id"][:3])]
    documents = splits.split_admissions(notes, codes, options()).documents
    assert documents["split"].tolist() == ["test", "train", "dev", "test", "dev"]
    assert notes["admission_id"][3] not in set(documents["admission_id"])
    with pytest.raises(UserError, match="split dev: no admission with a code"):
        splits.split_admissions(notes, codes[:2], options())


def test_train_and_dev_are_divided_anew_and_test_stays():
    notes, codes = corpus()
    usual = split_documents(notes, codes)
    parts = [split_documents(notes, codes, train_on="train_dev", folds=5, fold=fold) for fold in range(5)]
    is_test = usual["split"] == "test"
    for documents in parts:
        assert documents[is_test].equals(usual[is_test])
        assert documents["admission_id"].equals(usual["admission_id"])
        assert set(documents["split"][~is_test]) == {"train", "dev"}
        assert documents.groupby("patient_id")["split"].nunique().max() == 1
    times_dev = sum((documents["split"] == "dev").astype(int) for documents in parts)
    assert times_dev[~is_test].tolist() == [1] * (~is_test).sum(), "each admission is in dev once"
    sizes = [(documents["split"] == "dev").sum() / (~is_test).sum() for documents in parts]
    assert min(sizes) > 0.17 and max(sizes) < 0.23


def test_the_new_division_is_stratified():
    notes, codes = small(["train"] * 80 + ["dev"] * 20 + ["test"])
    codes["code"] = [f"{100 + number % 4}" for number in range(101)]
    divided = split_by_admission(notes, codes, train_on="train_dev", folds=5)
    counts = codes["code"][(divided == "dev").to_numpy()].value_counts()
    assert counts.to_dict() == {"100": 5, "101": 5, "102": 5, "103": 5}


def test_the_division_is_by_the_seed_and_says_what_it_is():
    notes, codes = corpus()
    anew = {"train_on": "train_dev", "folds": 10}
    first = split_by_admission(notes, codes, **anew)
    assert first.equals(split_by_admission(notes, codes.sample(frac=1, random_state=1), **anew))
    metrics = splits.split_admissions(notes, codes, options(fold=3, **anew)).metrics
    assert (metrics["train_on"], metrics["folds"], metrics["fold"]) == ("train_dev", 10, 3)
    for name in SPLITS:
        assert abs(metrics[name]["share"] - metrics["wanted_share"][name]) < 0.02
    assert not {"train_on", "folds", "fold"} & splits.split_admissions(notes, codes, options()).metrics.keys()
    split = with_split(notes, ["test"] * 500 + ["dev"] * 500 + ["train"] * 1_000)
    split["patient_id"] = split["admission_id"]
    ours, other = (split_by_admission(split, codes, seed=seed, **anew) for seed in (10, 11))
    assert (ours == "test").equals(other == "test") and not ours.equals(other)


def test_the_split_of_the_corpus_and_published_lists_can_be_divided_anew():
    notes, codes = small(["test", "train", "dev", "background", "train"])
    codes = codes[codes["admission_id"] != "3"]
    result = splits.split_admissions(notes, codes, options(train_on="train_dev", folds=3))
    assert result.metrics["source"] == "corpus" and result.metrics["dev"]["documents"] == 1
    assert result.documents["split"].tolist()[0] == "test" and result.documents["split"].tolist()[3] == "background"
    notes, codes = small([None] * 5)
    lists = published({"train": ["0", "1"], "dev": ["2"], "test": ["3"]}, top50=frozenset(["0", "2", "3"]))
    documents = splits.split_admissions(notes, codes, options(train_on="train_dev", folds=3), lists).documents
    assert documents["admission_id"].tolist() == ["0", "1", "2", "3"]
    assert sorted(documents["split"]) == ["dev", "test", "train", "train"] and documents["split"][3] == "test"
    assert documents["top50"].tolist() == [True, False, True, True]


def test_uncoded_admissions_of_the_corpus_are_in_no_new_train():
    notes, codes = small(["test"] * 4 + ["train"] * 20 + ["dev"] * 10)
    codes = codes[codes["admission_id"].astype(int) % 2 == 0]
    usual = split_by_admission(notes, codes)
    parts = [split_by_admission(notes, codes, train_on="train_dev", folds=5, fold=fold) for fold in range(5)]
    coded = set(codes["admission_id"])
    for split in parts:
        assert set(split.index[split == "train"]) <= coded
        assert split[split == "test"].equals(usual[usual == "test"]) and (split == "test").sum() == 4
    in_dev = [admission for split in parts for admission in split.index[split == "dev"]]
    assert sorted(in_dev, key=int) == [str(number) for number in range(4, 34)], "each is in dev once, coded or not"


def test_too_few_patients_of_train_and_dev_are_refused():
    notes, codes = small(["train", "dev", "test", "train"], patients=["p", "q", "r", "p"])
    with pytest.raises(UserError, match=r"split.folds: 2 patients of train and dev cannot make 3 parts; .* at most 2"):
        splits.split_admissions(notes, codes, options(train_on="train_dev", folds=3))


def published(ids: dict[str, list[str]], **changes) -> Lists:
    return Lists(**{"name": "caml", "ids": ids, "top50": frozenset(), "crossing": False} | changes)


def test_published_lists_are_followed_and_missing_admissions_counted():
    notes, codes = small([None] * 6)
    codes = codes[codes["admission_id"] != "4"]
    lists = published({"train": ["3", "0", "4", "90"], "dev": ["1"], "test": ["2", "91", "92"]})
    result = splits.split_admissions(notes, codes, options(), lists)
    documents = result.documents.set_index("admission_id")
    assert documents["split"].to_dict() == {"0": "train", "1": "dev", "2": "test", "3": "train"}
    assert documents["top50"].isna().all()
    assert result.metrics["source"] == "caml"
    assert result.metrics["published"] == {
        "name": "caml",
        "listed": {"train": 4, "dev": 1, "test": 3, "all": 8},
        "not_in_corpus": {"train": 1, "dev": 0, "test": 2, "all": 3},
        "without_code": 1,
        "coded_admissions_not_listed": 1,
        "top50_listed": None,
        "top50_not_in_corpus": None,
    }


def test_the_list_for_the_50_codes_is_kept():
    notes, codes = small([None] * 4)
    lists = published({"train": ["0", "1"], "dev": ["2"], "test": ["3"]}, top50=frozenset(["0", "2", "3", "99"]))
    result = splits.split_admissions(notes, codes, options(), lists)
    assert result.documents["top50"].tolist() == [True, False, True, True]
    assert result.metrics["published"]["top50_not_in_corpus"] == 1
    assert splits.table(result)["top50"].to_pylist() == [True, False, True, True]


def test_published_lists_of_another_corpus_are_refused():
    notes, codes = small([None] * 4)
    with pytest.raises(UserError, match="none of the 2 admissions of caml has a code in this corpus"):
        splits.split_admissions(notes, codes, options(), published({"train": ["90"], "dev": ["91"], "test": []}))


def test_a_patient_may_be_in_two_splits_only_with_merged_lists():
    notes, codes = small([None] * 4, patients=["p", "q", "r", "p"])
    ids = {"train": ["0"], "dev": ["1"], "test": ["2", "3"]}
    with pytest.raises(UserError, match=r"1 patients are in more than one split .* p;"):
        splits.split_admissions(notes, codes, options(), published(ids))
    joint = splits.split_admissions(notes, codes, options(), published(ids, crossing=True))
    assert joint.metrics["patients_in_two_splits"] == 1


def test_stratification_visits_each_patient_and_each_code_once(monkeypatch):
    # With MIMIC-III's 46,520 patients and 8,921 codes it would take hours if either were gone through again and again.
    notes, codes = corpus(admissions=5_898, patients=4_652, labels=892, mean=12)
    calls: list[str] = []
    for name in ("lexsort", "isfinite"):
        function = getattr(np, name)

        def counting(*arguments, function=function, name=name):
            calls.append(name)
            return function(*arguments)

        monkeypatch.setattr(np, name, counting)
    splits.split_admissions(notes, codes, options())
    assert calls.count("lexsort") == notes["patient_id"].nunique()
    assert 100 < calls.count("isfinite") <= codes["code"].nunique() + 1
