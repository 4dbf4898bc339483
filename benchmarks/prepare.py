"""Seconds, rows/s, MB/s and peak memory of preparing a corpus of MIMIC-III's size, stage by stage.

Run as `python benchmarks/prepare.py` from the root of the repository. It writes a synthetic MIMIC-III (58,976
admissions, 2.1 million notes in 4 GB; --admissions for a smaller one), reads NOTEEVENTS with plain pandas too, and
runs the stages from raw tables to splits and a vocabulary. --folder keeps the corpus for another time.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from medcode import config, io

ROOT = Path(__file__).resolve().parents[1]
MIMIC3_SIZE = {"admissions": 58_976, "mean_words": 1_500, "other_notes": 35.0}
TABLES = ("NOTEEVENTS", "DIAGNOSES_ICD", "PROCEDURES_ICD")
PANDAS = "import sys, pandas; print(len(pandas.read_csv(sys.argv[1], low_memory=False)))"
VOCABULARY = """
import sys, numpy as np
from pathlib import Path
from medcode import io
from medcode.text import word_vectors
from medcode.text.tokens import TokenizedWords
tokens = TokenizedWords.read(sys.argv[1])
split = io.read_table(sys.argv[2]).to_pandas().set_index("admission_id")["split"]
documents = split.reindex(tokens.notes.admissions)
words = word_vectors.frequent_words(tokens, np.flatnonzero(documents == "train"), 3)
io.write_text(sys.argv[3], "".join(tokens.types[number] + chr(10) for number in words))
"""


@dataclass(frozen=True)
class Measurement:
    """Wall time and CPU time in seconds, and the peak memory of the largest process, in MiB."""

    seconds: float
    cpu: float
    peak: float


def measure(*command: str | Path) -> Measurement:
    """Run a Python command to its end."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command[:2]))} failed")
    cpu = usage.ru_utime + usage.ru_stime
    return Measurement(seconds, cpu, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 1024))


def make_corpus(folder: Path, admissions: int, compressed: bool) -> None:
    """Write the tables, unless they are there already."""
    from medcode.corpora.synthetic import write_mimic3

    if folder.is_dir():
        return
    options = config.load_all(ROOT / "params.yaml").synthesize
    write_mimic3(folder, options.model_copy(update=MIMIC3_SIZE | {"admissions": admissions}))
    if not compressed:
        for name in TABLES:
            with gzip.open(folder / f"{name}.csv.gz") as packed, open(folder / f"{name}.csv", "wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
            (folder / f"{name}.csv.gz").unlink()


def show(name: str, measurement: Measurement, rows: int, size: float) -> None:
    """Print one line; `size` is the number of bytes read."""
    speed = f"{rows / measurement.seconds:12,.0f} {size / 1e6 / measurement.seconds:8,.1f}"
    line = f"{name:<34} {measurement.seconds:8.1f} {measurement.cpu:8.1f} {speed} {measurement.peak:9,.0f}"
    print(line, flush=True)


def run(raw: Path, out: Path) -> None:
    """Run all stages and print a line for each."""
    params = out / "params.yaml"
    io.write_text(params, (ROOT / "params.yaml").read_text(encoding="utf-8"))
    notes, codes, tokens, splits = (out / name for name in ("notes.parquet", "codes.parquet", "tokens", "splits"))
    table = next(path for path in sorted(raw.iterdir()) if path.name.startswith("NOTEEVENTS"))
    print(f"{table.name}: {table.stat().st_size / 1e9:.2f} GB, {os.cpu_count()} cores")
    print(f"{'':<34} {'seconds':>8} {'CPU s':>8} {'rows/s':>12} {'MB/s':>8} {'peak MiB':>9}")

    def stage(name: str, **options: str | Path) -> Measurement:
        arguments = [text for key, value in options.items() for text in (f"--{key.replace('_', '-')}", value)]
        return measure(f"stages/{name}.py", "--params", params, *arguments)

    extract = stage("extract", raw=raw, notes=notes, codes=codes, metrics=out / "extract.json")
    rows = io.read_json(out / "extract.json")["rows"]["notes"]
    show("extract", extract, rows, table.stat().st_size)
    tokenize = stage("tokenize_words", notes=notes, out=tokens, metrics=out / "tokens.json")
    documents, texts = _size_of_texts(notes)
    show("tokenize", tokenize, documents, texts)
    tables = {name: out / f"{name}.parquet" for name in ("descriptions", "ccs", "gem", "hierarchy")}
    official = ROOT / "reference/official/files"
    stage("reference", procedures=ROOT / "reference/package/procedure_ccs.csv", official=official, **tables)
    split_table = splits / "splits.parquet"
    published = ROOT / "data/splits-published/none"
    split = stage("split", notes=notes, codes=codes, published=published, out=split_table, metrics=out / "splits.json")
    show("split (stratified by patient)", split, documents, codes.stat().st_size)
    paths = {
        "codes": codes,
        "descriptions": tables["descriptions"],
        "out": splits / "full",
        "metrics": out / "full.json",
    }
    label_set = stage("label_set", label_set="full", splits=split_table, **paths)
    show("label_set (full)", label_set, documents, codes.stat().st_size)
    vocabulary = measure("-c", VOCABULARY, tokens, splits / "full/documents.parquet", out / "vocabulary.txt")
    size = np.load(tokens / "ids.npy", mmap_mode="r").nbytes
    show("vocabulary (3 training documents)", vocabulary, documents, size)
    stages = (extract, tokenize, split, label_set, vocabulary)
    total = Measurement(
        sum(stage.seconds for stage in stages),
        sum(stage.cpu for stage in stages),
        max(stage.peak for stage in stages),
    )
    show("all of these", total, rows, table.stat().st_size)
    show("pandas.read_csv of NOTEEVENTS", measure("-c", PANDAS, table), rows, table.stat().st_size)
    words = io.read_json(out / "tokens.json")
    print(f"{documents:,} documents of {words['tokens_per_document']['mean']:,.0f} words, {words['types']:,} types")


def _size_of_texts(notes: Path) -> tuple[int, int]:
    """Return the number of documents, and bytes of their texts."""
    with open(notes, "rb") as file:
        metadata = pq.ParquetFile(file).metadata
        column = metadata.schema.names.index("text")
        groups = (metadata.row_group(number).column(column) for number in range(metadata.num_row_groups))
        return metadata.num_rows, sum(group.total_uncompressed_size for group in groups)


def main() -> None:
    """Make the corpus and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--admissions", type=int, default=MIMIC3_SIZE["admissions"])
    parser.add_argument("--compressed", action="store_true", help="leave the tables as .csv.gz")
    parser.add_argument("--folder", type=Path, help="where the corpus is, or will be kept (default: nowhere)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw = arguments.folder or Path(folder) / "raw"
        make_corpus(raw, arguments.admissions, arguments.compressed)
        run(raw, Path(folder) / "out")


if __name__ == "__main__":
    main()
