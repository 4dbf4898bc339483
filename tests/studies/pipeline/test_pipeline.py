"""Pipelines of studies: the commands of the main workflow with other files."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path

import pytest
import stage_commands
import yaml
from study_results import PAPERLESS, TINY, issued, raw_params, write_study, write_yaml

from medcode.errors import UserError
from medcode.reruns.stages import project as project_of
from medcode.studies.definition import resolve, study
from medcode.studies.pipeline import pipeline
from medcode.studies.pipeline.workflow import StageCommand

ROOT = Path(__file__).resolve().parents[3]
CODE = re.compile(r"(src|stages)/")
CLOSURE = project_of(ROOT)


@pytest.fixture
def project(studies):
    """A folder with the files from which pipelines are written."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, studies.parent / name)
    return studies.parent


def written(project, name):
    pipeline.write(study.load(project / "studies", name), project)
    return yaml.safe_load((project / "studies" / name / "dvc.yaml").read_text())["stages"]


def options(command: str) -> list[str]:
    """Return the script of a command and the names of its options."""
    parsed = StageCommand.parse(command)
    return [parsed.script, *parsed.options]


def test_the_data_pipeline_repeats_the_stages_of_the_main_workflow(project):
    written(project, "tiny")
    main = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    stages = yaml.safe_load((project / "studies/data/dvc.yaml").read_text())["stages"]
    (extract,) = (name for name in stages if name.startswith("extract-"))  # reads a folder of its own corpus
    stages["extract"] = stages.pop(extract)
    corpus = extract.removeprefix("extract-")
    assert {"extract", "tokenize", "split", "label_set", "ccs", "gem", "word2vec", "inputs"} <= stages.keys()
    assert not {"train", "evaluate", "report", "corpus_stats", "check", "synthesize"} & stages.keys()
    assert {"configs/models", "params.yaml", "studies/data/settings.yaml"} <= set(stages["settings"]["deps"])
    for name, stage in stages.items():
        if name == "settings":
            continue
        assert options(stage["cmd"]) == options(main[name]["cmd"])
        assert [d for d in stage["deps"] if CODE.match(d)] == [d for d in main[name]["deps"] if CODE.match(d)]
        outs = [next(iter(out)) for out in stage["outs"]]
        assert len(outs) == sum(len(main[name].get(key, [])) for key in ("outs", "metrics", "plots"))
        folder = corpus if name == "extract" else "${item.corpus}"
        assert all(out.startswith(f"data/studies/{folder}/") for out in outs), outs
        assert all(options["push"] is False for out in stage["outs"] for options in out.values())
        assert "${corpus}" not in str(stage) and "${label_set}" not in str(stage)


def test_inputs_of_trainings_are_outputs_of_data_stages(project):
    stages = written(project, "tiny")
    data = yaml.safe_load((project / "studies/data/dvc.yaml").read_text())["stages"]
    outs = [next(iter(out)) for stage in data.values() for out in stage["outs"]]
    patterns = [re.compile("[^/]+".join(map(re.escape, re.split(r"\$\{item\.\w+\}", out)))) for out in outs]
    read = [dep for dep in stages["top50"]["deps"] if dep.startswith("data/")]
    assert read
    for dep in read:
        assert any(pattern.match(dep) for pattern in patterns), dep


def test_two_parts_of_a_corpus_have_folders_of_their_own_and_one_raw_folder(project):
    (project / "studies/data").mkdir(exist_ok=True)
    parts = {f"codiesp-{part}": {"corpus": "codiesp", "corpora.codiesp.track": part.upper()} for part in "dp"}
    (project / "studies/data/settings.yaml").write_text(yaml.safe_dump(parts))
    for part in parts:
        write_study(project / "studies", f"tiny-{part}", TINY | {"corpus": part})
        written(project, f"tiny-{part}")
    stages = yaml.safe_load((project / "studies/data/dvc.yaml").read_text())["stages"]
    for part, settings in parts.items():
        assert "data/raw/codiesp" in stages[f"extract-{part}"]["deps"]
        assert f"--raw data/raw/codiesp --notes data/studies/{part}/" in stages[f"extract-{part}"]["cmd"]
        raw = raw_params()
        resolved = resolve.for_corpus(raw, project / "studies/data/settings.yaml", part)
        assert (resolved["corpus"], resolved["corpora"]["codiesp"]["track"]) == (
            "codiesp",
            settings["corpora.codiesp.track"],
        )
    assert stages["tokenize"]["matrix"]["corpus"] == list(parts)
    (project / "studies/data/settings.yaml").write_text(yaml.safe_dump({"codiesp-d": {"corpus": "codispe"}}))
    with pytest.raises(UserError, match="codiesp-d: there is no corpus 'codispe'; did you mean 'codiesp'"):
        study.load(project / "studies", "tiny-codiesp-d")
    (project / "studies/data/settings.yaml").write_text(yaml.safe_dump({"codiesp-d": "D"}))
    with pytest.raises(UserError, match=r"codiesp-d: expected keys of params\.yaml with their values, found 'D'"):
        study.load(project / "studies", "tiny-codiesp-d")


@pytest.mark.parametrize(("corpus", "small"), [("mimic3", False), ("part", False), ("codiesp", True)])
def test_a_part_of_mimic_takes_the_papers_sizes(project, corpus, small):
    (project / "studies/data").mkdir(exist_ok=True)
    (project / "studies/data/settings.yaml").write_text(yaml.safe_dump({"part": {"corpus": "mimic3"}}))
    write_study(project / "studies", "sized", TINY | {"corpus": corpus})
    assert study.load(project / "studies", "sized").small is small


def test_settings_of_a_part_are_those_of_its_corpus(tmp_path):
    (tmp_path / "lists/none").mkdir(parents=True)
    params, changes = ROOT / "params.yaml", ROOT / "studies/data/settings.yaml"
    options = stage_commands.options(
        params=params, models=ROOT / "configs/models", changes=changes, corpus="codiesp-d-es",
        lists=tmp_path / "lists", out=tmp_path / "out",
    )  # fmt: skip
    done = stage_commands.in_this_process("studies/study_data", options, ROOT)
    assert done.returncode == 0, done.stderr
    sections = {path.stem: yaml.safe_load(path.read_text()) for path in (tmp_path / "out/sections").glob("*.yaml")}
    assert sections["corpus"] == {"corpus": "codiesp"}
    assert sections["corpora"] == {"corpora": {"codiesp": {"track": "D", "language": "es"}}}
    assert "src/medcode/corpora/codiesp.py" in (tmp_path / "out/code/extract.json").read_text()
    # What the main workflow looks up for its training, studies look up for all of theirs.
    assert json.loads((tmp_path / "out/code/needs.json").read_text()) == {"terms": True, "tree": True}


def test_each_row_and_seed_is_a_stage_with_separate_settings(project):
    stages = written(project, "tiny")
    assert stages["top50"]["matrix"] == {"row": ["caml", "caml_wide", "cnn"], "seed": [1, 2]}
    assert "studies/tiny/settings/top50/${item.row}/${item.seed}.json" in stages["top50"]["deps"]
    train, evaluate, finish = stages["top50"]["cmd"]
    main = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert sorted(options(train)) == sorted(options(main["train"]["cmd"]))
    left_out = {
        "--notes", "--open", "--per-code", "--intervals", "--calibration", "--reliability", "--risk-coverage",
    }  # fmt: skip
    kept = set(options(main["evaluate"]["cmd"])) - left_out
    assert sorted(options(evaluate)) == sorted([*kept, "--predictions"])
    assert not [dep for dep in stages["top50"]["deps"] if "notes.parquet" in dep or dep.startswith("models/")]
    assert options(finish)[0] == "stages/studies/study_finish.py"
    settings = "studies/tiny/settings/top50/${item.row}/${item.seed}"
    assert f"--params {settings}.yaml --model-settings {settings}.yaml --code {settings}.train.json" in train
    folders = ("studies/tiny/runs/synthetic-mimic3/", "studies/tiny/settings/top50/${item.row}/", "data/studies/")
    for command in (train, evaluate):
        files = StageCommand.parse(command).options
        outside = {name for name, path in files.items() if not path.startswith(folders)}
        assert outside <= {"--checkpoints", "--model"}
        assert files["--model"] == "models/studies/tiny/synthetic-mimic3-top50-${item.row}-${item.seed}"
    (out,) = stages["top50"]["outs"]
    assert out == {"studies/tiny/runs/synthetic-mimic3/top50/${item.row}/${item.seed}": {"push": False}}
    assert "studies/tiny/runs/synthetic-mimic3" in stages["report"]["deps"]


def test_an_ensemble_is_a_stage_on_the_probabilities_of_its_rows(project):
    write_study(project / "studies", "tiny", TINY, ensembles={"both": {"title": "Both", "rows": ["caml", "cnn"]}})
    stages = written(project, "tiny")
    evaluate = StageCommand.parse(stages["top50"]["cmd"][1]).options
    runs = "studies/tiny/runs/synthetic-mimic3/top50"
    assert evaluate["--probabilities"] == f"{runs}/${{item.row}}/${{item.seed}}/probabilities.npz"
    ensemble = StageCommand.parse(stages["ensemble-both"]["cmd"]).options
    assert (ensemble["--runs"], ensemble["--rows"], ensemble["--seeds"]) == (runs, "caml,cnn", "1,2")
    assert {f"{runs}/caml", f"{runs}/cnn", ensemble["--params"]} <= {*stages["ensemble-both"]["deps"]}
    assert f"{runs}/caml_wide" not in stages["ensemble-both"]["deps"]
    assert stages["ensemble-both"]["outs"] == [{"studies/tiny/ensembles/both.json": {"cache": False}}]
    assert "studies/tiny/ensembles/both.json" in stages["report"]["deps"]


def test_an_ensemble_with_unseen_codes_reads_what_is_known_of_them(project, tmp_path):
    table = PAPERLESS["tables"] | {"groups": {"icd": {"label_set": "full", "columns": ["official_map"]}}}
    ensembles = {name: {"title": name, "rows": ["caml"], "open": name == "opened"} for name in ("opened", "closed")}
    write_study(project / "studies", "tiny", PAPERLESS, tables=table, comparisons=[], ensembles=ensembles)
    stages = written(project, "tiny")
    opened, closed = stages["ensemble-opened"], stages["ensemble-closed"]
    files = StageCommand.parse(opened["cmd"]).options
    assert {name for name in files if name not in StageCommand.parse(closed["cmd"]).options} == {*pipeline.OPEN_TABLES}
    assert {files[name] for name in pipeline.OPEN_TABLES} <= {*opened["deps"]}
    assert files["--descriptions"] == "data/reference/descriptions.parquet"
    assert files["--notes"].startswith("data/studies/synthetic-mimic3/")
    assert (
        "studies/tiny/settings/open.json" in opened["deps"] and "studies/tiny/settings/open.json" not in closed["deps"]
    )


def test_what_is_known_of_unseen_codes_has_a_fingerprint(project, monkeypatch):
    monkeypatch.chdir(ROOT)
    raw = resolve.for_corpus(raw_params(), project / "studies/data/settings.yaml", "synthetic-mimic3")
    found = resolve.open_fingerprint(raw)
    ours = project / "ours.csv"
    ours.write_text("system,code\nicd10cm,A00.0\n")
    other = resolve.open_fingerprint(raw | {"open": raw["open"] | {"codes": str(ours)}})
    assert found["open"]["mentions"] is True and found["codes"] != other["codes"]
    with pytest.raises(UserError, match=r"params\.yaml: open\.codes: none\.csv: No such file"):
        resolve.open_fingerprint(raw | {"open": raw["open"] | {"codes": "none.csv"}})


def test_evidence_is_measured_behind_the_training_of_a_model_that_is_kept(project):
    rows = {"cnn": TINY["rows"]["cnn"], "plm": {"title": "P", "settings": {"model": "plm_icd", "encoder": "minilm"}}}
    write_study(project / "studies", "tiny", TINY, rows=rows, comparisons=[], evidence=True)
    stages = written(project, "tiny")
    for name, encoder in (("top50", "none"), ("top50-minilm", "minilm")):
        stage, train = stages[f"evidence-{name}"], stages[name]
        assert stage["matrix"] == train["matrix"]
        model = "models/studies/tiny/synthetic-mimic3-top50-${item.row}-${item.seed}"
        assert {model: {"push": False}} in train["outs"] and model in stage["deps"]
        assert "--model" not in StageCommand.parse(train["cmd"][2]).options, "study_finish would remove it"
        files = StageCommand.parse(stage["cmd"]).options
        assert files["--subword"].endswith(f"/{encoder}") and files["--sentences"].endswith(f"/{encoder}")
        assert {files["--inputs"], files["--sentences"], files["--subword"]} <= {*stage["deps"]}
        settings = "studies/tiny/settings/top50/${item.row}/${item.seed}"
        assert files["--params"] == f"{settings}.yaml" and f"{settings}.explain.json" in stage["deps"]
        assert stage["outs"] == [{files["--metrics"]: {"push": False}}]
    assert "studies/tiny/evidence/synthetic-mimic3" in stages["report"]["deps"]
    assert {"studies/tiny/evidence.csv": {"cache": False}} in stages["report"]["outs"]
    tiny = study.load(project / "studies", "tiny")
    targets = [training.target for training in pipeline.trainings(tiny, project, pipeline.PREFIX)]
    assert "studies/tiny/dvc.yaml:evidence-top50-minilm@plm-2" in targets and len(targets) == 4


def test_the_fingerprint_of_evidence_holds_its_settings_and_its_code(studies, tmp_path):
    rows = {"cnn": TINY["rows"]["cnn"] | {"settings": {"model": "cnn", "explain.documents": 3}}}
    write_study(studies, "tiny", TINY, rows=rows, comparisons=[], evidence=True)
    raw = resolve.for_corpus(raw_params(), studies / "data/settings.yaml", "synthetic-mimic3")
    path = tmp_path / "row.yaml"
    write_yaml(path, resolve.resolve_params(raw, study.load(studies, "tiny"), "cnn", "top50", 1))
    found, training = resolve.evidence_fingerprint(path, CLOSURE), resolve.run_fingerprint(path, CLOSURE)
    assert found["settings"]["explain"]["documents"] == 3 and "explain" not in training["settings"]
    assert "src/medcode/evidence/faithfulness.py" in found["code"] and "src/medcode/models/cnn.py" in found["code"]
    assert not [name for name in training["code"] if name.startswith("src/medcode/evidence/")]


def test_rows_with_an_encoder_have_a_separate_stage(project):
    workflow = yaml.safe_load((project / "dvc.yaml").read_text())
    workflow["stages"]["subword"] = {
        "desc": "tokenize documents into subwords",
        "cmd": "python stages/subword.py --params params.yaml --notes data/extracted/notes.parquet --out data/subword",
        "deps": ["data/extracted/notes.parquet", "stages/subword.py"],
        "params": ["encoder", "encoders.${encoder}"],
        "outs": [{"data/subword": {"push": False}}],
    }
    (project / "dvc.yaml").write_text(yaml.safe_dump(workflow))
    rows = {
        "words": {"title": "on words", "settings": {"model": "caml"}},
        "subwords": {"title": "on subwords", "settings": {"model": "caml", "encoder": "bert-base"}},
    }
    write_study(project / "studies", "tiny", TINY, rows=rows, comparisons=[])
    stages = written(project, "tiny")
    assert stages["top50"]["matrix"]["row"] == ["words"] and stages["top50-bert-base"]["matrix"]["row"] == ["subwords"]
    assert "data/studies/synthetic-mimic3/subword/bert-base" in stages["top50-bert-base"]["deps"]
    assert "--subword data/studies/synthetic-mimic3/subword/none" in stages["top50"]["cmd"][0]
    data = yaml.safe_load((project / "studies/data/dvc.yaml").read_text())["stages"]
    assert "encoder" in data["subword"]["matrix"] and "encoder" not in data["inputs"]["matrix"]
    targets = pipeline.data_targets(study.load(project / "studies", "tiny"), project)
    assert "studies/data/dvc.yaml:subword@synthetic-mimic3-bert-base" in targets
    assert "studies/data/dvc.yaml:inputs@synthetic-mimic3-top50" in targets


def test_rows_of_another_study_are_read_from_there(project):
    write_study(project / "studies", "other", TINY, rows={"a": {"title": "A", "same_as": "tiny/caml"}}, comparisons=[])
    stages = written(project, "other")
    assert stages.keys() == {"report"}
    assert "studies/tiny/runs/synthetic-mimic3/top50/caml" in stages["report"]["deps"]
    assert (project / "studies/tiny/dvc.yaml").exists()


@pytest.mark.parametrize("name", study.names(ROOT / "studies"))
def test_data_targets_of_a_study_are_stages(name):
    one = issued(name)
    data = pipeline.read_data(ROOT, [one])
    stages = {
        f"studies/data/dvc.yaml:{stage}" + (f"@{'-'.join(chosen)}" if chosen else "")
        for stage, content in data.pipeline()["stages"].items()
        for chosen in itertools.product(*content.get("matrix", {}).values())
    }
    targets = {target for target in pipeline.data_targets(one, ROOT) if target.startswith("studies/data/")}
    assert targets <= stages
    assert targets or not one.runs()


@pytest.mark.parametrize("name", study.names(ROOT / "studies"))
def test_the_pipeline_of_every_study_can_be_written(name):
    one = issued(name)
    stages = pipeline.study_pipeline(one, pipeline.read_data(ROOT, [one]))["stages"]
    assert "report" in stages
    for stage in stages.values():
        if isinstance(stage.get("cmd"), list):  # a training, its evaluation and its end are about one model
            models = [StageCommand.parse(command).options.get("--model") for command in stage["cmd"]]
            assert len({*models} - {None}) == 1
    trained = {row for stage in stages.values() for row in stage.get("matrix", {}).get("row", [])}
    assert trained == {row for rows in one.runs().values() for row in rows}
    used = {part for stage in stages.values() for part in re.findall(r"\$\{[^}]*\}", str(stage))}
    assert used <= {"${item.row}", "${item.seed}"}, "free text may not reach the shell"


def test_the_data_pipeline_covers_studies_with_a_pipeline(project):
    def corpora() -> list[str]:
        return yaml.safe_load((project / "studies/data/dvc.yaml").read_text())["stages"]["tokenize"]["matrix"]["corpus"]

    write_study(project / "studies", "other", TINY, corpus="mimic3")
    written(project, "tiny")
    assert corpora() == ["synthetic-mimic3"]
    written(project, "other")
    assert corpora() == ["mimic3", "synthetic-mimic3"]
    # A wrong study is reported when it is asked for; the others go on.
    (project / "studies/other/study.yaml").write_text("title: nothing else\n")
    written(project, "tiny")
    assert corpora() == ["synthetic-mimic3"]


def test_writing_twice_changes_nothing(project):
    written(project, "tiny")
    path = project / "studies/tiny/dvc.yaml"
    before = path.stat().st_mtime_ns
    written(project, "tiny")
    assert path.stat().st_mtime_ns == before


def test_a_study_without_a_paper_depends_on_no_published_numbers(project):
    write_study(project / "studies", "own", PAPERLESS)
    stages = written(project, "own")
    assert stages["top50"]["matrix"]["row"] == ["caml", "caml_wide", "cnn"]
    assert "published" not in str(stages)
    assert "studies/published/mt-ram.yaml" in str(written(project, "tiny")["report"]["deps"])
