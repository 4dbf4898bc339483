"""CPU seconds, memory and disk per million notes, of preparing an archive: the stages extract and tokenize.

Run as `python benchmarks/archive.py --notes 2000000 --folder FOLDER` from the root of the repository. The archive is
two thousand synthetic notes over and over, in lines of JSON. Each line has a word of its own, as many real notes have
one that is misspelled or a name, so that the vocabulary grows with the archive. Repeated texts need less disk than real
ones where files are compressed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from medcode import config
from medcode.corpora.synthetic import write_mimic4

DIFFERENT_NOTES = 2_000
MEAN_WORDS = 1_000  # about 6 KB
LINES_OF_A_FILE = 100_000
MILLION = 1_000_000


def different_notes(folder: Path, options: config.Synthesize) -> list[str]:
    """Return the texts of a small synthetic corpus."""
    write_mimic4(folder, options.model_copy(update={"admissions": DIFFERENT_NOTES, "mean_words": MEAN_WORDS}))
    csv.field_size_limit(sys.maxsize)
    with gzip.open(folder / "note/discharge.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def lines(texts: list[str], number: int) -> Iterator[str]:
    """Yield the lines of an archive with a number of notes."""
    for i in range(number):
        codes = [{"system": "icd10cm", "code": code} for code in ("I10", "E119", "N179")]
        note = {
            "admission_id": str(i),
            "patient_id": str(i // 3),
            "text": f"{texts[i % len(texts)]} w{i:x}",
            "codes": codes,
        }
        yield json.dumps(note) + "\n"


def write_archive(folder: Path, texts: list[str], number: int) -> int:
    """Write the archive in files of some lines, and return the bytes of its text."""
    folder.mkdir(parents=True)
    size, unwritten = 0, lines(texts, number)
    for part in itertools.count():
        some = itertools.islice(unwritten, LINES_OF_A_FILE)
        if (first := next(some, None)) is None:
            return size
        with open(folder / f"{part:05}.jsonl", "w", encoding="utf-8") as file:
            for line in itertools.chain([first], some):
                size += len(line)
                file.write(line)
    raise AssertionError


def run_stage(name: str, *arguments: str | Path) -> tuple[float, float]:
    """Run a stage, and return its CPU seconds and the peak memory of its main process in MiB.

    Pages of files that are mapped into memory do not count: the system takes them back when it needs room.
    """
    process = subprocess.Popen([sys.executable, f"stages/{name}.py", *map(str, arguments)])
    peak, ended = 0, 0
    while not ended:
        time.sleep(0.1)
        status_file = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"^RssAnon:\s+(\d+) kB", status_file, re.MULTILINE)
        peak = max(peak, int(found[1]) if found else 0)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    if status:
        sys.exit(f"{name} failed")
    return usage.ru_utime + usage.ru_stime, peak / 1024


def size_of(path: Path) -> int:
    """Return the bytes of a file or folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))


def main() -> None:
    """Measure both stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, required=True, help="a folder that does not exist yet")
    arguments = parser.parse_args()
    folder, number = arguments.folder, arguments.notes
    raw_params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    texts = different_notes(folder / "synthetic", config.load_all("params.yaml").synthesize)
    text_bytes = write_archive(folder / "raw", texts, number)
    params = folder / "params.yaml"
    params.write_text(yaml.safe_dump(raw_params | {"corpus": "jsonl"}), encoding="utf-8")
    print(f"{number:,} notes, {text_bytes / 1e9:.2f} GB in lines of JSON")
    stages = {
        "extract": (
            ("--params", params, "--raw", folder / "raw", "--notes", folder / "notes.parquet", "--codes",
             folder / "codes.parquet", "--spans", folder / "spans.parquet", "--metrics", folder / "extract.json"),
            folder / "notes.parquet",
        ),
        "tokenize_words": (
            ("--params", params, "--notes", folder / "notes.parquet", "--out", folder / "tokens",
             "--metrics", folder / "tokens.json"),
            folder / "tokens",
        ),
    }  # fmt: skip
    for name, (options, out) in stages.items():
        cpu, memory = run_stage(name, *options)
        print(
            f"{name}: {cpu:.0f} CPU s, {cpu * MILLION / number:.0f} for a million notes; {text_bytes / cpu / 1e6:.1f} "
            f"MB of text a CPU second; peak memory {memory:.0f} MiB; {size_of(out) / number:.0f} bytes of disk a note",
            flush=True,
        )


if __name__ == "__main__":
    main()
