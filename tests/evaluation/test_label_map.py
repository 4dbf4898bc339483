"""The map of codes and categories."""

from __future__ import annotations

import numpy as np

from medcode.evaluation import label_map

CATEGORIES = ["P54", "D98", "D3", "P223", "D101"]
CODES = {
    "54.1": "P54",
    "54.2": "P54",
    "401.9": "D98",
    "3.1": "D3",
    "96.6": "P223",
    "99.15": "P223",
    "412": "D101",
    "414": "D101",
    "x": "",
}


def records(codes, frequency) -> list[dict]:
    return [{"system": "icd9cm", "code": code, "train_documents": n} for code, n in zip(codes, frequency, strict=True)]


CCS, ICD = records(CATEGORIES, [90, 95, 20, 30, 60]), records(CODES, [50, 40, 95, 20, 15, 15, 40, 9, 5])
ABOVE = {("icd9cm", code): category for code, category in CODES.items() if category}


def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Sample codes near their categories, except 412, which is near another category."""
    random = np.random.default_rng(0)
    ccs = random.standard_normal((len(CATEGORIES), 16)).astype(np.float32)
    nearest = {**CODES, "412": "D98", "x": "D98"}
    icd = np.stack([ccs[CATEGORIES.index(category)] for category in nearest.values()])
    return icd + 0.05 * random.standard_normal(icd.shape).astype(np.float32), ccs


def test_choose_prefers_the_authors_categories_then_frequent_ones():
    above = list(CODES.values())
    assert label_map.choose(CCS, above) == ["D3", "P223", "P54", "D101"]
    bare = [label | {"code": label["code"].lstrip("DP")} for label in CCS]
    assert label_map.choose(bare, [category.lstrip("DP") for category in above]) == ["3", "223", "54", "101"]


def test_the_more_frequent_category_is_chosen_for_a_shared_number():
    counts = {"P3": 9, "D3": 8, "D11": 7, "P11": 6, "D195": 5, "D223": 4, "P223": 3}
    labels = [{"code": code, "train_documents": documents} for code, documents in counts.items()]
    assert label_map.choose(labels, []) == ["P3", "D11", "D195", "D223"]


def test_every_code_has_a_position_near_its_category():
    rows = label_map.label_map(*vectors(), ICD, CCS, ABOVE)
    assert len(rows) == len(CODES) + len(CATEGORIES)
    assert all(tuple(row) == label_map.COLUMNS for row in rows)
    position = {(row["head"], row["category"], row["code"]): np.array([row["x"], row["y"]]) for row in rows}
    star = {row["category"]: position[key] for key, row in zip(position, rows, strict=True) if row["head"] == "ccs"}
    for code in ("54.1", "96.6", "99.15"):
        point = position["icd", CODES[code], f"icd9cm {code}"]
        distances = {category: np.linalg.norm(point - center) for category, center in star.items()}
        assert min(distances, key=distances.get) == CODES[code], code
    assert {row["code"]: row["nearest"] for row in rows if row["head"] == "icd"} == {
        "icd9cm 54.1": 1, "icd9cm 54.2": 1, "icd9cm 401.9": 1, "icd9cm 3.1": 1, "icd9cm 96.6": 1, "icd9cm 99.15": 1,
        "icd9cm 412": 0, "": -1,  # 414 has a category and x has none, and both are too rare to be named
    }  # fmt: skip


def test_the_label_map_is_reproducible():
    first, second = (label_map.label_map(*vectors(), ICD, CCS, ABOVE) for _ in range(2))
    assert first == second


def test_large_maps_keep_the_chosen_and_the_most_frequent_labels(monkeypatch):
    monkeypatch.setattr(label_map, "POINTS", 8)
    rows = label_map.label_map(*vectors(), ICD, CCS, ABOVE)
    assert [row["category"] for row in rows if row["head"] == "ccs"] == ["P54", "D101", "P223", "D3"]
    assert [row["code"] for row in rows if row["head"] == "icd"] == [
        f"icd9cm {code}" for code in ("54.1", "54.2", "412", "3.1")
    ]


def test_three_points_give_an_empty_map():
    icd, ccs = vectors()
    assert label_map.label_map(icd[:1], ccs[:2], ICD[:1], CCS[:2], ABOVE) == []
