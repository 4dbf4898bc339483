"""A model, a corpus and a metric can be added to a copy of the project with only the files that the README names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from medcode import __main__

MODEL, CORPUS = "my_model", "my-corpus"
OPTIONS = '''"""Options of a corpus of pairs."""

from __future__ import annotations

from medcode.config.section import Section, System


class Options(Section):
    """Which code systems to predict."""

    systems: list[System]
'''
READER = '''"""A file of admissions: a text and a code a line."""

from __future__ import annotations

import pandas as pd

from medcode.corpora.extraction import Codes, extraction
from medcode.corpora.notes import Notes


def read(folder, options, spool=None):
    """Reads pairs.tsv."""
    pairs = [line.split("\\t") for line in (folder / "pairs.tsv").read_text().splitlines()]
    notes = Notes(str(folder), spool)
    for number, (text, _) in enumerate(pairs):
        notes.add(str(number), str(number), text, None)
    codes = Codes(notes.admissions)
    admissions = pd.Series([str(number) for number in range(len(pairs))], dtype="str")
    codes.add(options.systems[0], admissions, pd.Series([code for _, code in pairs], dtype="str"), "pairs.tsv")
    return extraction(notes, codes, notes.added)
'''
FUNCTION = '''

def f2_micro(labels: Counts) -> float:
    """Micro F2: recall weighs twice as much as precision."""
    hits = labels.true_positives.sum()
    return float(ratio(5 * hits, 4 * labels.gold.sum() + labels.predicted.sum()))
'''
ENTRY = """TABLE = (
    Metric(
        "f2.micro", lambda scored: metrics.f2_micro(scored.labels), "decisions", "Micro F2", "Recall weighs twice.",
        column="F2 micro",
    ),"""
MEASURE = """
import json
import numpy as np
from medcode import config
from medcode.evaluation import metric_table, summary
from medcode.report import metric_rows, page
options = config.load(page.Shown, "params.yaml").evaluation
gold, scores = np.array([[1, 0, 1, 0, 1]] * 4), np.array([[0.9, 0.8, 0.2, 0.1, 0.7]] * 4, np.float32)
measured = summary.head_metrics(gold, scores, np.ones(5), 0.15, options)
titles = [row["name"] for group in metric_rows.groups(measured) for row in group["rows"]]
place = metric_table.path_in_test("f2_micro", "tuned", "caml")
print(json.dumps([measured, titles, metric_table.columns(), place]))
"""
READ = """
import json, sys
from pathlib import Path
from medcode import config, corpora
from medcode.config import corpora as corpora_options
options = config.load_all("params.yaml").corpora["my-corpus"]
built = config.build(corpora_options.find("my-corpus"), options, "params.yaml")
read = corpora.read("my-corpus", Path(sys.argv[1]), built)
print(json.dumps([read.notes.table().to_pylist(), read.codes.to_pylist()]))
"""


def run(project: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python with the code of the copy."""
    environment = os.environ | {"PYTHONPATH": str(project / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def succeed(project: Path, *arguments: object) -> str:
    done = run(project, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def project(root, tmp_path_factory) -> Path:
    """A copy of the project with an additional model, corpus and metric."""
    copy = tmp_path_factory.mktemp("copy") / "medcode"
    for folder in ("src", "configs", "stages", "tests/helpers"):
        shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    tests = ("conftest", "test_model_contract", "test_model_files", "test_parameter_counts")
    for path in ("pyproject.toml", *(f"tests/{name}.py" for name in tests)):
        shutil.copy(root / path, copy / path)
    package = copy / "src/medcode"
    succeed(copy, "-c", f"import medcode; assert medcode.__file__.startswith({str(package)!r}), medcode.__file__")
    written = succeed(copy, "-m", "medcode", "new-model", MODEL).split()
    assert len(written) == 3 and all((copy / path).is_file() for path in written)
    file = f"{CORPUS.replace('-', '_')}.py"
    (package / "config/corpora" / file).write_text(OPTIONS)
    (package / "corpora" / file).write_text(READER)
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["corpora"][CORPUS] = {"systems": ["icd10cm"]}
    (copy / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    functions = package / "evaluation/metrics.py"
    functions.write_text(functions.read_text() + FUNCTION)
    replaced(package / "evaluation/metric_table.py", "TABLE = (", ENTRY)
    return copy


def test_the_new_model_satisfies_the_contract(project):
    files = ("tests/test_model_contract.py", "tests/test_model_files.py", "tests/test_parameter_counts.py")
    printed = succeed(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", f"{MODEL} or each_model")
    assert int(re.search(r"(\d+) passed", printed).group(1)) > 25, printed
    assert "failed" not in printed and "skipped" not in printed


def test_check_accepts_the_new_model_and_models_lists_it(project):
    assert "all right" in succeed(project, "-m", "medcode", "check")
    printed = succeed(project, "-m", "medcode", "models", "--name", MODEL)
    assert MODEL in printed and "(not published)" in printed
    page = succeed(project, "-m", "medcode", "models", "--format", "markdown")
    assert f"| [{MODEL}](#{MODEL}) | not published |" in page


def test_a_run_depends_on_the_new_model_and_corpus(project):
    code = (
        "from pathlib import Path; from medcode import config; from medcode.reruns.stages import *; import json;"
        f"settings = config.load_model('configs/models/{MODEL}.yaml', '{MODEL}', 'quick', 'top50');"
        f"chosen = choice('{CORPUS}', settings);"
        "print(json.dumps([*code_of(project(Path().resolve()), ['train', 'extract'], chosen)['code']]))"
    )
    reached = set(json.loads(succeed(project, "-c", code)))
    assert {f"src/medcode/models/{MODEL}.py", f"src/medcode/config/models/{MODEL}.py"} <= reached
    assert {"src/medcode/corpora/my_corpus.py", "src/medcode/config/corpora/my_corpus.py"} <= reached
    assert "src/medcode/evaluation/metric_table.py" not in reached


def test_the_new_corpus_is_read(project, tmp_path):
    (tmp_path / "pairs.tsv").write_text("Fever.\tJ189\nCough.\tR05\n")
    notes, codes = json.loads(succeed(project, "-c", READ, tmp_path))
    assert [note["text"] for note in notes] == ["Fever.", "Cough."]
    assert [(code["system"], code["code"]) for code in codes] == [("icd10cm", "J18.9"), ("icd10cm", "R05")]
    done = run(project, "-m", "medcode", "fetch", CORPUS, "--to", tmp_path / "raw")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "put its files there" in done.stderr


def test_the_new_metric_is_in_test_json_on_the_page_and_in_tables(project):
    measured, titles, columns, place = json.loads(succeed(project, "-c", MEASURE))
    # One of three gold codes is missed, and one prediction of three is wrong; at the tuned threshold none is missed.
    assert measured["fixed"]["f2"]["micro"] == pytest.approx(5 * 2 / (4 * 3 + 3))
    assert measured["tuned"]["f2"]["micro"] == pytest.approx(5 * 3 / (4 * 3 + 4))
    assert titles.count("Micro F2") == 1 and columns["f2_micro"] == "F2 micro"
    assert place == ["tuned", "f2", "micro"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("caml", "already exists; choose another name"),
        ("base", "already exists; choose another name"),
        ("My-Model", "'My-Model' is not a valid module name"),
        ("2cnn", "'2cnn' is not a valid module name"),
        ("class", "'class' is not a valid module name"),
        ("../caml", "'../caml' is not a valid module name"),
        ("", "'' is not a valid module name"),
    ],
)
def test_a_taken_or_invalid_name_is_refused_in_one_line(root, capsys, monkeypatch, name, message):
    monkeypatch.chdir(root)
    assert __main__.main(["new-model", name]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and message in printed.err


def test_a_model_is_written_only_into_a_project_folder(tmp_path, capsys):
    assert __main__.main(["new-model", MODEL, "--root", str(tmp_path)]) == 2
    assert "run this in the folder of the project" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
