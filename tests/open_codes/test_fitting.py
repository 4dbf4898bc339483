"""Fitting on dev: unseen codes are found, and without a gain nothing changes."""

from __future__ import annotations

import numpy as np
import open_corpus
import pandas as pd
import pytest
from open_corpus import DESCRIPTIONS, LABELS, TITLES, TRAIN, UNSEEN

from medcode.errors import UserError
from medcode.evaluation import official, prediction_files
from medcode.evaluation.summary import official_metrics
from medcode.open_codes import fitting, folder
from medcode.open_codes.fitting import FOLDS
from medcode.open_codes.measurement import OpenMeasurement, score_documents
from medcode.open_codes.predict import predict


@pytest.fixture(scope="module")
def fitted():
    return open_corpus.fit()


def model(value: float = 0.1) -> np.ndarray:
    return np.full(len(LABELS), value, np.float32)


def test_a_code_that_no_training_note_has_is_first_where_a_sentence_describes_it(fitted):
    assert fitted.changed == "labels_and_unseen_codes"
    for code in UNSEEN[:5]:
        found = predict(fitted.scorer, f"He was well. There was {TITLES[code].lower()}.", model())
        assert found.unseen[0]["code"] == code
        assert found.unseen_probabilities[0] > max(found.unseen_probabilities[1:].max(), found.probabilities.max())
        assert found.unseen_probabilities[0] > fitted.scorer.threshold


def test_the_probability_rises_with_the_retrieval_score_and_with_the_models(fitted):
    scorer = fitted.scorer
    features = scorer.retriever.retrieve([frozenset({"burn", "liver"})]).unseen["icd10cm"]
    calibration = scorer.calibrations.unseen["icd10cm"]
    higher = features + np.array([0.5] + [0] * 8, np.float32)
    assert (calibration.probabilities(higher) >= calibration.probabilities(features)).all()
    assert (calibration.weights[:5] >= 0).all() and calibration.weights[:5].any()
    low, high = (predict(scorer, "Burn of liver.", model(value)).probabilities for value in (0.1, 0.5))
    assert (high > low).all()


def test_each_document_of_dev_is_scored_by_calibrations_that_were_not_fitted_on_it(fitted):
    texts, probabilities, gold = open_corpus.dev()
    # Codes of the documents of the first fold are shuffled: their own scores on dev must not change.
    in_fold = gold["admission_id"].isin(list(texts)[::FOLDS])
    other = gold.copy()
    other.loc[in_fold, "code"] = other.loc[in_fold, "code"].sample(frac=1, random_state=0).to_numpy()
    targets = open_corpus.label_space(LABELS, other).targets(list(texts))
    again = open_corpus.fitting.fit(open_corpus.retriever(), texts, probabilities, targets, other, 100, ["digest"])
    of_dev = [one.scorer.score(texts.values(), probabilities, of_dev=True).labels for one in (fitted, again)]
    whole = [one.scorer.score(texts.values(), probabilities).labels for one in (fitted, again)]
    assert fitted.scorer.rescores and again.scorer.rescores
    assert np.array_equal(of_dev[0][::FOLDS], of_dev[1][::FOLDS])
    assert not np.array_equal(whole[0][::FOLDS], whole[1][::FOLDS])


def test_without_a_gain_on_dev_nothing_changes():
    fitted = open_corpus.fit(described=False)
    assert fitted.changed == "nothing"
    assert fitted.lines()[0].startswith("open: dev shows no clear gain, so nothing changes: official MAP ")
    found = predict(fitted.scorer, "There was burn of liver.", model())
    assert np.array_equal(found.probabilities, model()) and found.unseen == []
    measured, before = measure(fitted.scorer)
    assert measured["official_open"] == before


def measure(scorer):
    texts, probabilities, gold = open_corpus.dev()
    documents = list(texts)
    measurement = OpenMeasurement(
        scorer,
        gold,
        LABELS,
        dict.fromkeys(("dev", "test"), documents),
        dict.fromkeys(("dev", "test"), texts.values()),
        100,
    )
    scored = official.ScoredDocuments(documents, probabilities)
    before = official_metrics(official.tasks(LABELS, gold, scored, scored, 100))
    metrics = {"icd": {"official": before}}
    measurement.add_to(metrics, {name: {"icd": probabilities} for name in ("dev", "test")})
    return metrics["icd"], before


def test_measures_with_unseen_codes_come_after_the_official_ones(fitted):
    measured, before = measure(fitted.scorer)
    assert list(measured) == ["official", "official_open", "open"]
    assert measured["official"] == before and before["gold_outside_label_set"] == 60
    assert measured["official_open"]["map"] == pytest.approx(fitted.maps["labels_and_unseen_codes"])
    assert measured["official_open"]["map"] > before["map"] and measured["official_open"]["recall"] > 0.9
    assert measured["open"] == {"recall_at_10": 1, "recall_at_100": 1, "n_unseen_gold": 60}


def test_files_of_predictions_have_the_measures_with_unseen_codes(fitted, tmp_path):
    texts, probabilities, gold = open_corpus.dev()
    notes = pd.DataFrame({"admission_id": list(texts), "subject_id": list(texts), "text": list(texts.values())})
    notes.to_parquet(tmp_path / "notes.parquet", index=False)
    given = fitted.scorer, tmp_path / "notes.parquet", list(texts), probabilities, gold
    scored, names = score_documents(*given, of_dev=True)
    thresholds = official.thresholds(LABELS, official.tasks(LABELS, gold, scored, scored, 100))
    prediction_files.write(tmp_path, LABELS, scored, thresholds, names)
    lines = (tmp_path / "icd10cm.predicted.tsv").read_text().splitlines()
    right = set(gold["admission_id"] + "\t" + gold["code"])
    measured, _ = measure(fitted.scorer)
    hits = len(right & {*lines})
    assert hits / len(lines) == pytest.approx(measured["official_open"]["precision"])
    assert hits / len(right) == pytest.approx(measured["official_open"]["recall"])
    assert any(line.split("\t")[1] in UNSEEN for line in lines)


def test_a_scorer_is_read_as_it_was_written(fitted, tmp_path):
    with_mentions = open_corpus.fit(spans=open_corpus.spans(LABELS[0]["code"], "fever")).scorer
    assert with_mentions.retriever.mentions is not None
    for scorer in (fitted.scorer, with_mentions):
        folder.write(tmp_path / "open", scorer, {})
        again = folder.read(tmp_path / "open", ["digest"])
        text = f"There was {TITLES[UNSEEN[0]].lower()}."
        one, other = predict(scorer, text, model()), predict(again, text, model())
        assert one.unseen == other.unseen and one.threshold == other.threshold
        assert np.array_equal(one.probabilities, other.probabilities)
        assert np.array_equal(one.unseen_probabilities, other.unseen_probabilities)


def undescribed() -> dict[str, pd.DataFrame]:
    """Return tables in which only mentions are known: no code has a description, and every training note a span."""
    rows = []
    for number, label in enumerate(LABELS):
        words = TITLES[label["code"]].lower()
        start = TRAIN[f"train{number}"].index(words)
        rows.append((f"train{number}", "icd10cm", label["code"], start, start + len(words)))
    return {
        "descriptions": DESCRIPTIONS.iloc[:0],
        "spans": pd.DataFrame(rows, columns=["admission_id", "system", "code", "start", "end"]),
    }


def test_mentions_alone_score_labels_of_a_system_without_descriptions(monkeypatch, tmp_path):
    monkeypatch.setattr(open_corpus, "LABELS", [label | {"description": ""} for label in LABELS])
    fitted = open_corpus.fit(**undescribed())
    assert fitted.scorer.retriever.codes.unseen == {} and fitted.changed == "labels"
    assert fitted.maps["labels"] > fitted.maps["nothing"] + 0.1
    folder.write(tmp_path / "open", fitted.scorer, {})
    found = predict(folder.read(tmp_path / "open", ["digest"]), f"There was {TITLES[LABELS[3]['code']]}.", model())
    assert found.unseen == [] and found.probabilities.argmax() == 3
    measured, before = measure(fitted.scorer)
    assert measured["official_open"]["map"] > before["map"]
    assert measured["open"] == {"recall_at_10": None, "recall_at_100": None, "n_unseen_gold": 60}


def test_without_descriptions_and_mentions_there_is_nothing_to_learn_from():
    for tables in ({"descriptions": DESCRIPTIONS.iloc[:0]}, undescribed()):
        options = open_corpus.OPTIONS.model_copy(update={"mentions": False})
        with pytest.raises(UserError, match="no code of icd10cm that is no label has a description, and no training"):
            open_corpus.retriever(options, **tables)


def test_a_gain_within_its_standard_error_changes_nothing():
    # Gains 0.1, 0.1, 0.1 and -0.2 have mean 0.025, and a standard error of 0.13 / 2.
    before = np.array([0.5, 0.4, 0.3, 0.6])
    unsure = {"nothing": before, "labels": before + np.array([0.1, 0.1, 0.1, -0.2]), "unseen_codes": before - 0.1}
    assert fitting._best(unsure) == "nothing"
    assert fitting._best(unsure | {"unseen_codes": before + np.array([0.1, 0.1, 0.1, 0])}) == "unseen_codes"
