"""A calibration in use: what is shown changes, what is predicted does not; its file is checked when it is read."""

from __future__ import annotations

import json
from pathlib import Path

import note_models
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import every_model

import medcode
from medcode.calibration.maps import fit_isotonic, fit_temperature
from medcode.coder import Coder
from medcode.errors import UserError
from medcode.inference import calibration, kept, saved_model
from medcode.inference.calibration import NOTHING, Calibration, HeadCalibration, Isotonic, Temperature
from medcode.inference.predict import predict

TEXTS = [note_models.note(number) for number in range(30)]
RANDOM = np.random.default_rng(3)
SCORES = RANDOM.random((50, 8)).astype(np.float32) ** 3
GOLD = RANDOM.random(SCORES.shape) < SCORES
MAPS = {
    "temperature": HeadCalibration(map=Temperature(temperature=2.3, bias=-0.7)),
    "sharp": HeadCalibration(map=Temperature(temperature=0.2, bias=1.0)),
    "fitted temperature": HeadCalibration(map=fit_temperature(SCORES.ravel(), GOLD.ravel())),
    "fitted isotonic": HeadCalibration(map=fit_isotonic(SCORES.ravel(), GOLD.ravel())),
}
each_map = pytest.mark.parametrize("name", MAPS)


def of_model(found: HeadCalibration, heads: dict[str, int]) -> Calibration:
    return Calibration([dict.fromkeys(heads, found)], dict.fromkeys(heads, found))


def test_a_temperature_of_one_changes_nothing():
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    same = Temperature(temperature=1.0, bias=0.0)(values)
    assert same[:-1] == pytest.approx(values[:-1], rel=1e-6) and same[-1] == pytest.approx(1, abs=1e-6)


def test_the_map_by_hand():
    # The logit of 0.8 is log 4; half of it is log 2, and log 2 - log 2 is 0.
    found = Temperature(temperature=2.0, bias=-float(np.log(2)))
    assert found(np.array([0.8], np.float32)) == pytest.approx([0.5])
    assert found(np.zeros(1, np.float32)) == 0


@each_map
def test_the_order_and_the_decisions_at_the_tuned_threshold_stay(name):
    found, calibrated = MAPS[name], MAPS[name].map(SCORES)
    for threshold in np.linspace(0, 1, 100):
        decided = found.decide(SCORES, float(threshold))
        assert (decided == (np.float32(threshold) < SCORES)).all()
        # A reader who compares the numbers that are shown comes to the same, up to the last digit of a float.
        apart = np.abs(calibrated - found.shown(float(threshold))) > 1e-6
        assert (decided == (calibrated > found.shown(float(threshold))))[apart].all()
    order = np.argsort(SCORES, axis=None)
    assert (np.diff(calibrated.ravel()[order]) >= 0).all()


@given(st.floats(0, 1, width=32), st.sampled_from(sorted(MAPS)))
def test_the_ends_of_the_scale_are_probabilities(value, name):
    shown = MAPS[name].map(np.array([value, 0, 1], np.float32))
    assert ((shown >= 0) & (shown <= 1)).all() and shown[1] <= shown[0] <= shown[2]


@every_model
@pytest.mark.parametrize("kind", ["temperature", "fitted isotonic"])
def test_every_model_predicts_the_same_codes_with_other_probabilities(name, kind):
    trained, texts = note_models.any_model(name), note_models.sentences(6)
    found = of_model(MAPS[kind], trained.model.heads)
    for options in ({}, {"top": 4}):
        for plain, shown in zip(
            Coder([trained]).predict(texts, **options),
            Coder([trained], None, found).predict(texts, **options),
            strict=True,
        ):
            assert [(code["head"], code["code"]) for code in plain.codes] == [
                (code["head"], code["code"]) for code in shown.codes
            ]
            for before, after in zip(plain.codes, shown.codes, strict=True):
                expected = MAPS[kind].map(np.array([before["probability"]], np.float32))
                assert after["probability"] == pytest.approx(float(expected[0]), abs=1e-6)
    assert shown.thresholds == {head: MAPS[kind].shown(0.5) for head in trained.model.heads}


def test_a_threshold_that_the_user_names_is_one_of_calibrated_probabilities(recipe):
    trained = note_models.trained(recipe)
    found = of_model(MAPS["temperature"], trained.model.heads)
    for text in TEXTS:
        every = predict([trained], text, top=5, calibration=found).codes
        chosen = predict([trained], text, threshold=0.3, calibration=found)
        assert chosen.codes == [code for code in every if code["probability"] > 0.3]
        assert chosen.thresholds == {"icd": 0.3}


def test_codes_have_thresholds_of_their_own(recipe):
    trained = note_models.trained(recipe)
    limits = [0.2, 0.9, 0.5, 1.0, 0.0]
    for of_map in (NOTHING.map, MAPS["sharp"].map):
        head = HeadCalibration(map=of_map, code_thresholds=limits)
        coder = Coder([trained], None, of_model(head, trained.model.heads))
        for text, shown in zip(TEXTS, coder.predict(TEXTS), strict=True):
            own = {code["code"]: code["probability"] for code in predict([trained], text, top=5).codes}
            wanted = {code for code, limit in zip(note_models.CODES, limits, strict=True) if own[code] > limit}
            assert {code["code"] for code in shown.codes} == wanted
            for code in shown.codes:
                limit = limits[note_models.CODES.index(code["code"])]
                assert code["threshold"] == head.shown(limit) and code["probability"] >= code["threshold"]
        assert "threshold" not in coder.predict(TEXTS[:1], top=2, threshold=0.3)[0].codes[0]


def test_the_mean_of_several_seeds_is_calibrated(recipe):
    models = [note_models.trained(recipe, seed) for seed in (0, 1)]
    found = Calibration([{"icd": MAPS["sharp"]}] * 2, {"icd": MAPS["temperature"]})
    for text in TEXTS[:5]:
        before, after = (predict(models, text, top=5, calibration=one).codes for one in (None, found))
        assert [code["probability"] for code in after] == pytest.approx(
            MAPS["temperature"].map(np.array([code["probability"] for code in before], np.float32)).tolist(), abs=1e-6
        )


# The folder


@pytest.fixture
def model(recipe, tmp_path) -> Path:
    return note_models.saved(tmp_path / "current", recipe)


FOUND = HeadCalibration(map=Temperature(temperature=2.0, bias=0.5), code_thresholds=[0.1, 0.2, 0.3, 0.4, 0.5])


def write(model: Path, folder: Path, found: HeadCalibration = FOUND) -> Path:
    calibration.write(folder, of_model(found, {"icd": 5}), saved_model.digests(model))
    return folder / calibration.FILE


def test_what_is_written_is_read(model, tmp_path):
    for found in (FOUND, *MAPS.values(), NOTHING):
        write(model, tmp_path / "calibration", found)
        read = calibration.read(tmp_path / "calibration", saved_model.digests(model), {"icd": 5})
        assert read == of_model(found, {"icd": 5})


def test_a_model_is_loaded_with_the_calibration_beside_it(model, tmp_path):
    plain = medcode.load(model).predict(TEXTS[:3], top=5)
    write(model, tmp_path / "calibration")
    shown = medcode.load(model).predict(TEXTS[:3], top=5)
    assert shown != plain
    (tmp_path / "calibration" / calibration.FILE).unlink()
    assert medcode.load(model).predict(TEXTS[:3], top=5) == plain


def test_a_kept_model_has_its_calibration(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note_models.published(kept.CURRENT, recipe)
    inside = kept.CURRENT / "calibration"
    path = write(kept.CURRENT, inside)
    folder = kept.keep("first")
    write(kept.CURRENT, inside, NOTHING)
    assert (folder / "calibration" / calibration.FILE).exists()
    assert medcode.load("first").predict(TEXTS[:3], top=5) != medcode.load(kept.CURRENT).predict(TEXTS[:3], top=5)
    path.write_text(path.read_text().replace("identity", "curve"))
    with pytest.raises(UserError, match="damaged"):  # predict would refuse the kept model
        kept.keep("second")
    assert kept.names() == ["first"]


BROKEN = {
    "not JSON": ("{", "not valid JSON"),
    "another format": ({"format": 0}, "written in format 0, this version reads 1"),
    "no object": ([], "damaged, the whole"),
    "no temperature": ({"mean": {"icd": {"map": {"kind": "temperature", "bias": 0.0}}}}, "temperature: missing"),
    "a temperature of 0": (
        {"mean": {"icd": {"map": {"kind": "temperature", "temperature": 0.0, "bias": 0.0}}}}, "greater than 0",
    ),
    "an unknown map": ({"mean": {"icd": {"map": {"kind": "magic"}}}}, "damaged, mean.icd.map"),
    "a curve that falls": (
        {"mean": {"icd": {"map": {"kind": "isotonic", "x": [0, 0.5, 1], "y": [0, 1.0, 1]}}}}, "ascending from 0 to 1",
    ),
    "a curve of other lengths": (
        {"mean": {"icd": {"map": {"kind": "isotonic", "x": [0, 0.5, 1], "y": [0, 1]}}}}, "ascending from 0 to 1",
    ),
    "another head": ({"mean": {"ccs": {"map": {"kind": "identity"}}}}, "damaged, heads: expected icd, found ccs"),
    "another number of labels": (
        {"mean": {"icd": {"map": {"kind": "identity"}, "code_thresholds": [0.5]}}}, "expected 5, found 1",
    ),
    "a threshold of 2": (
        {"mean": {"icd": {"map": {"kind": "identity"}, "code_thresholds": [2.0] * 5}}}, "less than or equal to 1",
    ),
    "another number of seeds": ({"seeds": []}, "damaged, seeds: expected 1, found 0"),
    "another model": ({"models": ["0" * 64]}, "made for another model than this one"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_file_is_one_line(model, tmp_path, name):
    path, (change, message) = write(model, tmp_path / "calibration"), BROKEN[name]
    values = json.loads(path.read_text())
    path.write_text(change if isinstance(change, str) else json.dumps(values | change if change else change))
    with pytest.raises(UserError) as error:
        medcode.load(model)
    (line,) = str(error.value).splitlines()
    assert message in line and str(tmp_path / "calibration") in line
    assert name == "not JSON" or line.endswith("make it again (dvc repro)")


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_curve_must_ascend_strictly(values):
    good = [0.0, *sorted({value for value in values if 0 < value < 1}), 1.0]
    assert Isotonic(x=good, y=good).x == good
    with pytest.raises(ValueError, match="ascending"):
        Isotonic(x=[*good[:-1], good[-2], 1.0], y=[*good, 1.0])
