"""dvc.yaml tells the truth: each stage reads what is under its deps and writes what is under its outs, no more.

DVC does not follow imports, so a module that is missing from `deps` would let a stale result stand. Every stage is run
with an audit hook that notes each file that it opens.
"""

from __future__ import annotations

import ast
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from workflow import ROOT, Project

pytestmark = pytest.mark.workflow

AUDIT = """
    import atexit, json, os, sys

    opened = []

    def note(event, arguments):
        if event == "open" and isinstance(arguments[0], (str, bytes)) and "__pycache__" not in str(arguments[0]):
            path, mode, flags = arguments
            write = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR)) or any(c in (mode or "r") for c in "wax+")
            opened.append((os.path.abspath(os.fsdecode(path)), write))
        elif event == "os.rename":
            opened.append((os.path.abspath(os.fsdecode(arguments[1])), True))

    def report():
        with open(os.path.join(os.environ["AUDIT"], f"{os.getpid()}.json"), "w") as file:
            json.dump({"command": sys.argv, "opened": opened}, file)

    if sys.argv and os.path.basename(os.path.dirname(os.path.abspath(sys.argv[0]))) == "stages":
        sys.addaudithook(note)
        atexit.register(report)
"""

# Read by no stage of this run, and why they are dependencies all the same.
NOT_READ = {
    # data/checked.json makes them wait for the check of the parameters.
    "extract": {
        "data/checked.json",
        "src/medcode/corpora/codiesp.py",
        "src/medcode/corpora/jsonl.py",
        "src/medcode/corpora/mimic4.py",
    },
    # Read in place of data/tokens with subword.text: raw.
    "encoder": {"data/extracted/notes.parquet"},
    "subword": {"data/extracted/notes.parquet"},
    # It pins the package that codes and titles come from.
    "reference": {"data/checked.json", "requirements.txt"},
    "synthesize": {"data/checked.json", "requirements.txt"},
    "assign": {"data/splits-published/none"},  # stands for the lack of published lists
    # Some models are settings of this one, and import it.
    "train": {"src/medcode/models/bigru_label_attention.py"},
    # Read where the model has vectors of codes and categories.
    "evaluate": {"src/medcode/models/bigru_label_attention.py", "data/ccs/top50.parquet"},
}
# Read by every stage, and listed by none: params.yaml stands under params, and the other says nothing to a computer.
ALWAYS_READ = {"params.yaml", "src/medcode/__init__.py"}
# Written by a stage beside its outs, and why: neither is read by another stage, and git ignores both.
BESIDE = {"train": {"checkpoints", "logs"}}


# Some stages do their work only for a model on word pieces; so a second run is for one.
RUNS = ({}, {"model": "bert_hier", "encoder": "scratch-tiny", "pretrain": {"steps": 2}})


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> tuple[Path, list[tuple[str, dict]]]:
    """The project's folder, and each stage that a run ran, with its definition and the files that it opened, {path:
    written}."""
    folder = tmp_path_factory.mktemp("project")
    project, audit = Project(folder / "medcode"), folder / "audit"
    (audit / "hook").mkdir(parents=True)
    (audit / "hook" / "sitecustomize.py").write_text(textwrap.dedent(AUDIT))
    path = f"{audit / 'hook'}:{project.folder / 'src'}"
    ran = []
    for number, changes in enumerate(RUNS):
        project.set(changes)
        (audit / str(number)).mkdir()
        project.run("dvc", "repro", AUDIT=str(audit / str(number)), PYTHONPATH=path)
        stages = yaml.safe_load(project.read("dvc.lock"))["stages"]
        ran += [(name, {"stage": stages[name], "opened": own}) for name, own in _opened(project, audit, number, stages)]
    return project.folder, ran


def _opened(project: Project, audit: Path, number: int, stages: dict) -> Iterator[tuple[str, dict[str, bool]]]:
    for file in (audit / str(number)).glob("*.json"):
        noted = json.loads(file.read_text())
        command = " ".join(noted["command"])
        (name,) = (
            n for n, stage in stages.items() if " ".join(stage["cmd"].split()[1:]) == _relative(command, project)
        )
        files = {}
        for path, written in noted["opened"]:
            if Path(path).is_relative_to(project.folder):
                name_in = str(Path(path).relative_to(project.folder))
                files[name_in] = files.get(name_in, False) or written
        yield name, files


def _relative(command: str, project: Project) -> str:
    return command.replace(f"{project.folder}/", "")


# `check` reads the files of all models and can only refuse: what it writes is always the same. It must not run again,
# and cannot do harm, when one of them changes, since every stage checks what it uses.
STAGES = sorted(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].keys() - {"check"})


def _of(audited, name):
    return [(full, item) for full, item in audited[1] if full.split("@")[0] == name]


def _under(path: str, folders: set[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _paths(stage: dict, kind: str) -> set[str]:
    return {entry["path"] for entry in stage.get(kind, [])}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_only_its_deps(audited, name):
    for full, item in _of(audited, name):
        allowed = _paths(item["stage"], "deps") | _paths(item["stage"], "outs") | BESIDE.get(name, set())
        read = {path for path, written in item["opened"].items() if not written}
        assert read, f"{full} read nothing: the audit does not work"
        strays = {path for path in read if not _under(path, allowed | ALWAYS_READ)}
        assert not strays, f"{full} reads what is not under its deps: {sorted(strays)}"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_all_its_deps(audited, name):
    for full, item in _of(audited, name):
        read = {path for other, run in _of(audited, name) if other == full for path in run["opened"]}
        idle = {
            dep
            for dep in _paths(item["stage"], "deps") - NOT_READ.get(name, set())
            if not any(_under(path, {dep}) for path in read)
        }
        assert not idle, f"{full} depends on what it does not read: {sorted(idle)}"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_writes_only_its_outs(audited, name):
    folder = audited[0]
    for full, item in _of(audited, name):
        outs = _paths(item["stage"], "outs")
        allowed = outs | BESIDE.get(name, set())
        for path, written in item["opened"].items():
            if written and not _under(path, allowed):
                temporary = Path(path)
                # A temporary name stands beside the file or folder that it becomes, and is gone in the end.
                beside = {str(Path(out).parent) for out in outs}
                parents = {str(parent) for parent in temporary.parents}
                assert ".tmp" in path and parents & beside, f"{full} writes outside its outs: {path}"
                assert not (folder / path).exists(), f"{full} leaves {path} behind"
        assert all((folder / out).exists() for out in outs)


def test_training_never_opens_the_test_split(audited):
    trained, evaluated = _of(audited, "train"), _of(audited, "evaluate")
    assert len(trained) == len(evaluated) == len(RUNS)
    for _, item in trained:
        assert not [path for path in item["opened"] if path.startswith("data/inputs/test/")]
    for _, item in evaluated:
        assert [path for path in item["opened"] if path.startswith("data/inputs/test/")]


def test_a_model_on_words_opens_nothing_of_an_encoder(audited):
    (_, train), (_, evaluate) = _of(audited, "train")[0], _of(audited, "evaluate")[0]
    pieces = ("data/encoder/", "data/pretrained/", "data/subword/")
    assert not [path for path in [*train["opened"], *evaluate["opened"]] if path.startswith(pieces)]


def test_the_package_itself_is_a_docstring_only():
    (statement,) = ast.parse((ROOT / "src/medcode/__init__.py").read_text()).body
    assert isinstance(statement, ast.Expr)


def test_what_holds_text_or_is_derived_from_it_is_not_pushed():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        for out in stage["outs"]:
            path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            restricted = path.startswith(("data/", "models/")) and not path.startswith(("data/raw/", "data/reference/"))
            if restricted:
                assert options.get("push") is False, f"{name}: {path}"
            elif not path.startswith("data/"):
                assert options.get("cache") is False, f"{name}: {path} belongs in git"


def test_commands_are_given_only_paths_and_keys():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    keys = {"corpus", "label_set", "item.label_set", "model", "split.published"}
    for name, stage in stages.items():
        used = {part.split("}")[0] for part in stage["cmd"].split("${")[1:]}
        assert used <= keys, f"{name}: free text may not reach the shell: {used - keys}"
