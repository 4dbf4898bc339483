"""The stage that measures models of a study as one: with unseen codes, where an ensemble asks for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_corpus
import pandas as pd
import pytest
import stage_commands
import yaml
from input_folder import write_shared, write_split
from open_corpus import LABELS, TRAIN
from study_results import raw_params

from medcode import io
from medcode.evaluation import probability_files
from medcode.studies.definition.study import PROBABILITIES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> dict[str, object]:
    """The options of the stage: two trainings of a row on a corpus whose dev and test have unseen codes."""
    folder = tmp_path_factory.mktemp("ensemble")
    texts, probabilities, gold = open_corpus.dev()
    train = pd.DataFrame(
        [(name, "icd10cm", label["code"]) for name, label in zip(TRAIN, LABELS, strict=True)], columns=gold.columns
    )
    of_test = gold.assign(admission_id=gold["admission_id"].str.replace("dev", "test"))
    codes = pd.concat([train, gold, of_test])
    notes = TRAIN | texts | {name.replace("dev", "test"): text for name, text in texts.items()}
    for name, of_split in (("train", train), ("dev", gold), ("test", of_test)):
        documents = list(of_split["admission_id"].unique())
        targets = open_corpus.label_space(LABELS, codes).targets(documents)
        write_split(folder / "inputs" / name, np.arange(1, len(documents) + 1), {"icd": targets.matrix})
        io.write_text(folder / "inputs" / name / "documents.txt", "".join(f"{one}\n" for one in documents))
    write_shared(folder / "inputs", np.zeros(len(notes), np.int32), "word", {"icd": [3] * len(LABELS)})
    io.write_json(folder / "inputs/heads.json", {"icd": {"labels": LABELS}})
    tables = {
        "codes": codes,
        "notes": pd.DataFrame({"admission_id": list(notes), "subject_id": list(notes), "text": list(notes.values())}),
        "descriptions": open_corpus.DESCRIPTIONS,
        **open_corpus.NO_ROWS,
    }
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    for seed in (1, 2):
        of_splits = {name: {"icd": probabilities} for name in ("dev", "test")}
        probability_files.write(folder / f"runs/caml/{seed}" / PROBABILITIES, of_splits)
    params = {name: value for name, value in raw_params().items() if name != "models"} | {"label_set": "full"}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    given = {name: folder / f"{name}.parquet" for name in tables} | {"inputs": folder / "inputs"}
    return given | {"params": folder / "params.yaml", "runs": folder / "runs", "rows": "caml", "seeds": "1,2"}


def measured(options: dict[str, object], out: Path) -> tuple[dict, str]:
    done = stage_commands.in_this_process("studies/study_ensemble", stage_commands.options(**options, out=out), ROOT)
    assert done.returncode == 0, done.stderr
    return io.read_json(out)["icd"], done.stderr


def test_unseen_codes_are_scored_and_counted(options, tmp_path):
    found, said = measured(options, tmp_path / "opened.json")
    assert "open: scores labels and unseen codes by their terms" in said
    assert found["open"]["recall_at_10"] == 1 and found["open"]["n_unseen_gold"] == 60
    assert found["official_open"]["map"] > found["official"]["map"] + 0.1
    assert found["official"]["gold_outside_label_set"] == 60


def test_without_the_tables_the_models_are_measured_alone(options, tmp_path):
    tables = ("notes", "spans", "descriptions", "synonyms")
    alone = {name: value for name, value in options.items() if name not in tables}
    found, said = measured(alone, tmp_path / "closed.json")
    opened, _ = measured(options, tmp_path / "opened.json")
    assert "official_open" not in found and "open:" not in said
    assert found == {name: values for name, values in opened.items() if name not in ("official_open", "open")}
