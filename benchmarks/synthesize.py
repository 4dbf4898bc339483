"""Notes and megabytes per second, and peak memory, of writing the synthetic corpus.

Run as `python benchmarks/synthesize.py --admissions 3000` from the root of the repository; `--mimic3-size` writes one
as large as MIMIC-III (58,976 admissions, about two million notes), to see that memory does not grow.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import resource
import sys
import tempfile
import time
from pathlib import Path

from medcode import config
from medcode.corpora.synthetic import write_mimic3, write_mimic4

MIMIC3_SIZE = {"admissions": 58_976, "mean_words": 1_500, "other_notes": 35.0}


def measure(write, options: config.Synthesize, notes: str, category: str | None) -> str:
    """Write a corpus, and return a line with its speed."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write(Path(folder) / "raw", options)
        seconds = time.perf_counter() - start
        rows = summaries = size = 0
        csv.field_size_limit(sys.maxsize)
        with gzip.open(Path(folder) / "raw" / notes, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows += 1
                summaries += category is None or row["CATEGORY"] == category
                size += len(row["text" if category is None else "TEXT"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{seconds:.1f} s, {rows} notes of which {summaries} discharge summaries, {size / 1e6:.0f} MB of text; "
        f"{summaries / seconds:.0f} summaries/s, {rows / seconds:.0f} notes/s, {size / 1e6 / seconds:.1f} MB/s, "
        f"peak memory {peak:.0f} MiB"
    )


def main() -> None:
    """Measure both formats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", default="params.yaml")
    parser.add_argument("--admissions", type=int)
    parser.add_argument("--mimic3-size", action="store_true")
    arguments = parser.parse_args()
    options = config.load_all(arguments.params).synthesize
    if arguments.mimic3_size:
        options = options.model_copy(update=MIMIC3_SIZE)
    if arguments.admissions:
        options = options.model_copy(update={"admissions": arguments.admissions})
    print("MIMIC-III:", measure(write_mimic3, options, "NOTEEVENTS.csv.gz", "Discharge summary"))
    if not arguments.mimic3_size:
        print("MIMIC-IV: ", measure(write_mimic4, options, "note/discharge.csv.gz", None))


if __name__ == "__main__":
    main()
