"""dvc.yaml is complete: each stage reads only its deps and writes only its outs.

DVC does not follow imports. Each stage depends on digests of the functions, classes and constants that it reaches, as
`check` finds them in the code. Here every stage is run with an audit hook that notes each file that it opens and each
function of the project that it calls. A called function without a digest could leave stale results.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from workflow import ROOT

pytestmark = pytest.mark.workflow

# Read by no stage of these runs, and why they are dependencies all the same.
NOT_READ = {
    "recipe": {"data/inputs"},  # only `recipe: auto` reads the data
    # Of these models none needs what the tables know of labels.
    "knowledge": {
        "data/inputs",
        "data/reference/descriptions.parquet",
        "data/reference/hierarchy.parquet",
        "data/reference/synonyms.parquet",
    },
    "train": {"data/knowledge"},
    # Read in place of data/tokens with subword.text: raw.
    "encoder": {"data/extracted/notes.parquet"},
    "subword": {"data/extracted/notes.parquet"},
    "reference": {"reference/package"},  # only the table of procedures in it is read, by another path
    "split": {"data/splits-published/none"},  # stands for the lack of published lists
    # CCS is read where the model has vectors of codes and categories, all gold codes for the label set full.
    "evaluate": {"data/ccs/top50.parquet", "data/ccs/open.parquet"},
    "open_codes": {"data/sentences", "data/subword"},  # for a model on sentences, and for one on subwords
    "baseline": {"data/extracted/codes.parquet"},
}
# Code that a stage of these runs could reach and does not import, and why.
NOT_IMPORTED = {
    # Only on a GPU.
    "train": {"src/medcode/layers/fused_attention_triton.py"},
    "evaluate": {"src/medcode/layers/fused_attention_triton.py"},
    "explain": {"src/medcode/layers/fused_attention_triton.py"},
    "calibrate": {"src/medcode/layers/fused_attention_triton.py"},
    # Nor the model where the label set is not open, as that on subwords.
    "open_codes": {
        "src/medcode/config/models/plm_icd.py",
        "src/medcode/layers/projected_attention.py",
        "src/medcode/models/encoder_base.py",
        "src/medcode/models/plm_icd.py",
        "src/medcode/encoders/outline.py",
        "src/medcode/encoders/subwords.py",
        "src/medcode/layers/chunks.py",
        "src/medcode/layers/fused_attention_triton.py",
    },
}
# Folders that a stage may write besides its outs, because no other stage reads them and git ignores them.
UNTRACKED_WRITES = {"train": {"checkpoints", "logs"}}


@pytest.fixture(scope="module")
def audited(audited_project, audited_subwords, audited_open) -> list[tuple[str, dict]]:
    """Return each stage that ran, with its definition, and the files and functions that it used.

    Some stages do their work only for a model on subwords or for the label set open, so further runs are of these.
    """
    ran = []
    for project in (audited_project, audited_subwords, audited_open):
        stages = yaml.safe_load(project.read("dvc.lock"))["stages"]
        names = {" ".join(stage["cmd"].split()[1:]): name for name, stage in stages.items()}
        for record in project.audit.records():
            script = Path(record["command"][0]).stem
            code = json.loads(project.read(f"data/code/{script}.json"))
            name = names[" ".join(record["command"])]
            ran.append((name, {"stage": stages[name], "folder": project.folder, "code": code, **record}))
    return ran


STAGES = sorted(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
CODE = ("src/", "stages/")


def _of(audited, name):
    return [(full, item) for full, item in audited if full.split("@")[0] == name]


def _under(path: str, folders: set[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _is_module(path: str) -> bool:
    return path.startswith(CODE) and path.endswith(".py")


def _paths(stage: dict, section: str) -> set[str]:
    return {entry["path"] for entry in stage.get(section, [])}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_only_its_deps(audited, name):
    """This is about data and parameters. Modules are tested by the functions that are called."""
    for full, item in _of(audited, name):
        allowed = _paths(item["stage"], "deps") | _paths(item["stage"], "outs") | UNTRACKED_WRITES.get(name, set())
        allowed |= item["stage"].get("params", {}).keys() | item["code"]["files"].keys() | {"params.yaml"}
        read = {path for path, written in item["opened"].items() if not written}
        assert read, f"{full} read nothing: the audit does not work"
        strays = {path for path in read if not _under(path, allowed) and not _is_module(path)}
        assert not strays, f"{full} reads what is not under its deps: {sorted(strays)}"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_calls_only_functions_whose_digests_it_depends_on(audited, name):
    for full, item in _of(audited, name):
        assert item["called"], f"{full} called nothing: the audit does not work"
        code = item["code"]["code"]
        deps = _paths(item["stage"], "deps")
        missing = {
            (path, function)
            for path, function in item["called"]
            # `check` depends on all code, and checks the options of all corpora.
            if function not in code.get(path, {}) and not _under(path, deps)
        }
        assert not missing, f"{full} runs code that a change of would not rerun it: {sorted(missing)}"
        if name != "check":
            assert any(path.startswith("data/code/") for path in deps)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_code_that_it_imports(audited, name):
    """Code that is never imported would rerun the stage for nothing."""
    runs = _of(audited, name)
    imported = {path for _, item in runs for path in item["opened"]}
    for full, item in runs:
        idle = item["code"]["code"].keys() - imported - NOT_IMPORTED.get(name, set())
        assert not idle, f"{full} depends on code that it does not import: {sorted(idle)}"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_all_its_deps(audited, name):
    for full, item in _of(audited, name):
        read = {path for other, run in _of(audited, name) if other == full for path in run["opened"]}
        idle = {
            dep
            for dep in _paths(item["stage"], "deps") - NOT_READ.get(name, set())
            if not dep.startswith("data/code/") and not any(_under(path, {dep}) for path in read)
        }
        assert not idle, f"{full} depends on what it does not read: {sorted(idle)}"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_writes_only_its_outs(audited, name):
    for full, item in _of(audited, name):
        outs = _paths(item["stage"], "outs")
        allowed = outs | UNTRACKED_WRITES.get(name, set())
        for path, written in item["opened"].items():
            if written and not _under(path, allowed):
                temporary = Path(path)
                # Temporary and replaced files are next to the output, and removed in the end.
                out_parents = {str(Path(out).parent) for out in outs}
                parents = {str(parent) for parent in temporary.parents}
                assert re.search(r"\.(tmp|old)\b", path) and parents & out_parents, (
                    f"{full} writes outside its outs: {path}"
                )
                assert not (item["folder"] / path).exists(), f"{full} leaves {path} behind"
        assert all((item["folder"] / out).exists() for out in outs)


def test_training_never_opens_the_test_split(audited):
    trained, evaluated = _of(audited, "train"), _of(audited, "evaluate")
    assert len(trained) == len(evaluated) == 3
    for _, item in [*trained, *_of(audited, "open_codes"), *_of(audited, "calibrate")]:
        assert not [path for path in item["opened"] if path.startswith("data/inputs/test/")]
    for _, item in evaluated:
        assert [path for path in item["opened"] if path.startswith("data/inputs/test/")]


def test_a_word_model_reads_no_encoder_files(audited):
    (_, train), (_, evaluate) = _of(audited, "train")[0], _of(audited, "evaluate")[0]
    from_encoder = ("data/encoder/", "data/pretrained/", "data/subword/")
    assert not [path for path in [*train["opened"], *evaluate["opened"]] if path.startswith(from_encoder)]


def test_outputs_derived_from_text_are_not_pushed():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        for out in (out for key in ("outs", "metrics", "plots") for out in stage.get(key, [])):
            path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            open_to_all = ("data/raw/", "data/reference/", "data/code")
            restricted = path.startswith(("data/", "models/")) and not path.startswith(open_to_all)
            if restricted:
                assert options.get("push") is False, f"{name}: {path}"
            elif not path.startswith("data/"):
                assert options.get("cache") is False, f"{name}: {path} belongs in git"


def test_commands_contain_only_paths_and_keys():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    keys = {"corpus", "label_set", "item.label_set", "model", "split.published"}
    for name, stage in stages.items():
        used = {part.split("}")[0] for part in stage["cmd"].split("${")[1:]}
        assert used <= keys, f"{name}: free text may not reach the shell: {used - keys}"
