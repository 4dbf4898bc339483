"""Predictions as a folder of parts: how notes are divided, what is written, and going on after a stop."""

from __future__ import annotations

import gzip
import json

import note_models
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medcode import io
from medcode.bulk import parts as bulk_parts
from medcode.bulk.outputs import flat
from medcode.bulk.parts import PartsRun, one_after_another
from medcode.bulk.progress import folder_of
from medcode.bulk.rows import Columns
from medcode.bulk.run import Run
from medcode.bulk.sources import Position, Slices, Sources
from medcode.errors import UserError

COLUMNS = Columns("text", "name")


def rows(slices: Slices) -> list:
    return [row for row, _ in slices.rows(Position())]


@pytest.fixture
def notes(tmp_path):
    """Write 23 notes in one of the forms, with a blank line and one that is no JSON among those of JSON."""

    def write(ending: str) -> Sources:
        path, records = tmp_path / f"notes{ending}", []
        for number in range(23):
            records.append({"name": f"n{number}", "text": note_models.note(number)})
        if ending == ".parquet":
            pq.write_table(pa.Table.from_pylist(records), path, row_group_size=4)
        elif ending == ".txt":
            path = tmp_path / "texts"
            path.mkdir()
            for record in records:
                (path / f"{record['name']}.txt").write_text(record["text"])
        elif ending == ".csv":
            path.write_text("name,text\n" + "".join(f"{record['name']},{record['text']}\n" for record in records))
        else:
            lines = [json.dumps(record) for record in records]
            lines[5:5], lines[17] = [" "], "{"
            content = "﻿" + "\n".join(lines)
            path.write_bytes(gzip.compress(content.encode()) if ending.endswith(".gz") else content.encode())
        return Sources([str(path)], COLUMNS)

    return write


@pytest.mark.parametrize(
    ("ending", "sizes"),
    [
        (".jsonl", [5, 5, 5, 5, 3]),
        (".parquet", [8, 8, 7]),  # of row groups of four
        (".txt", [5, 5, 5, 5, 3]),
        (".csv", [23]),  # where a row begins is not known
        (".jsonl.gz", [23]),
    ],
)
def test_parts_have_every_row_once_and_in_order(notes, ending, sizes):
    sources = notes(ending)
    slices = [Slices(part, COLUMNS) for part in sources.parts(5)]
    assert [len(rows(part)) for part in slices] == sizes
    assert [row for part in slices for row in rows(part)] == rows(sources), "with the same places and reasons"
    counts = [part.count() for part in slices]
    assert counts == ([None] if len(sizes) == 1 else sizes)


@pytest.mark.parametrize("ending", [".jsonl", ".parquet", ".txt"])
def test_a_part_goes_on_behind_a_row(notes, ending):
    part = Slices(notes(ending).parts(5)[1], COLUMNS)
    found = list(part.rows(Position()))
    for count, (_, position) in enumerate(found, start=1):
        assert list(part.rows(position)) == found[count:]


def test_parts_have_fingerprints_of_their_own(notes):
    parts = notes(".jsonl").parts(5)
    assert len({Slices(part, COLUMNS).fingerprint() for part in parts}) == len(parts)


def test_an_empty_table_is_one_part(tmp_path):
    (tmp_path / "none.jsonl").touch()
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "name": pa.array([], pa.string())}), tmp_path / "none.parquet"
    )
    for path in (tmp_path / "none.jsonl", tmp_path / "none.parquet"):
        (part,) = Sources([str(path)], COLUMNS).parts(5)
        assert rows(Slices(part, COLUMNS)) == []


@pytest.fixture
def run(notes, tmp_path):
    def make(**settings) -> PartsRun:
        sources = make.sources
        return PartsRun(tmp_path / "codes", sources.parts(5), sources, {"top": 2}, {"model": "a"} | settings, 3)

    make.sources = notes(".jsonl")
    return make


def finish(run: PartsRun, coder, **options):
    return run.run(one_after_another(run, coder), **options)


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_tables_hold_what_one_file_holds(run, coder, tmp_path):
    counts = finish(run(), coder)
    assert (counts.notes, counts.rejected) == (23, 1)
    Run(coder, run.sources, {"top": 2}).to_file(tmp_path / "one.jsonl", {})
    lines = (tmp_path / "one.jsonl").read_text().splitlines()
    expected = [record for line in lines for record in flat(json.loads(line))]
    tables = [pq.read_table(path) for path in sorted((tmp_path / "codes").glob("*.parquet"))]
    found = pa.concat_tables(tables).to_pylist()
    assert len(tables) == 5 and len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one | {"probability": 0} == other | {"probability": 0}
        assert one["probability"] == pytest.approx(other["probability"], abs=1.5e-6)
    assert "not JSON" in (tmp_path / "codes/part-00003.rejects.csv").read_text()
    assert not folder_of(tmp_path / "codes").exists()


def test_a_stopped_run_goes_on_and_writes_the_same_bytes(run, coder, tmp_path, monkeypatch):
    finish(run(), coder)
    whole = files(tmp_path / "codes")
    predicted = []

    def stop_at_the_third(parts, numbers):
        for number in numbers:
            if number == 2:
                raise KeyboardInterrupt
            predicted.append(number)
            yield number, parts.predict(coder, number)

    begun = run()
    with pytest.raises(KeyboardInterrupt):
        begun.run(lambda numbers: stop_at_the_third(begun, numbers), overwrite=True)
    assert io.read_json(tmp_path / "codes" / bulk_parts.RUN)["counts"] is None, "an output that is not complete says so"
    with pytest.raises(UserError, match="other model, threshold; give the same to go on"):
        finish(run(model="b", threshold=0.1), coder)
    again = run()

    def rest(numbers):
        for number in numbers:
            predicted.append(number)
            yield number, again.predict(coder, number)

    again.run(rest)
    assert predicted == [0, 1, 2, 3, 4], "each part once"
    assert files(tmp_path / "codes") == whole


def test_a_part_without_its_counts_is_predicted_again(run, coder, tmp_path):
    finish(run(), coder)
    whole = files(tmp_path / "codes")
    state = io.read_json(tmp_path / "codes" / bulk_parts.RUN)
    io.write_json(tmp_path / "codes" / bulk_parts.RUN, state | {"counts": None})
    (tmp_path / "codes/part-00001.json").unlink()
    (tmp_path / "codes/part-00001.parquet").write_bytes(b"half")
    finish(run(), coder)
    assert files(tmp_path / "codes") == whole


def test_what_exists_is_replaced_only_when_asked_and_only_if_it_is_ours(run, coder, tmp_path):
    finish(run(), coder)
    (tmp_path / "codes/part-00009.parquet").touch()
    with pytest.raises(UserError, match="codes: exists; --overwrite replaces it"):
        finish(run(), coder)
    finish(run(), coder, overwrite=True)
    assert not (tmp_path / "codes/part-00009.parquet").exists()
    (tmp_path / "codes" / bulk_parts.RUN).unlink()
    with pytest.raises(UserError, match="codes: exists; --overwrite replaces it"):
        finish(run(), coder)
    with pytest.raises(UserError, match="codes: was not written by this command, so it is not replaced"):
        finish(run(), coder, overwrite=True)
    assert (tmp_path / "codes/part-00000.parquet").exists()
