"""Stages of a study that measure the evidence of its models, after their training: no training is repeated for it."""

from __future__ import annotations

from typing import Any

from medcode.studies.definition.study import Study
from medcode.studies.pipeline.data_pipeline import DataPipeline
from medcode.studies.pipeline.run_groups import RunFiles, RunGroup

PREFIX = "evidence-"  # before the name of the stage that trains the models
DATA_OPTIONS = ("--inputs", "--sentences", "--subword")


def evidence_stage(study: Study, data: DataPipeline, group: RunGroup) -> dict[str, Any]:
    """Return the stage that measures the evidence of each row and seed of a group.

    Args:
        study: the study.
        data: the main workflow and the data paths of the studies.
        group: the rows, which were trained on the same inputs.
    """
    files, axes = RunFiles.of(study, group), {"label_set": group.label_set, "encoder": group.encoder}
    command = data.workflow["explain"].command
    paths = {
        option: data.study_path(command.options[option], study.definition.corpus, **axes) for option in DATA_OPTIONS
    }
    options = {"--params": f"{files.settings}.yaml", "--model": files.model, "--metrics": files.evidence}
    return {
        "desc": f"measure the evidence of each row on {group.label_set}",
        "wdir": "../..",
        "matrix": {"row": group.rows, "seed": list(study.definition.seeds)},
        "cmd": command.without(("--table",)).replace_options(paths | options).render(),
        "deps": [*paths.values(), files.model, f"{files.settings}.explain.json"],
        "outs": [{files.evidence: {"push": False}}],
    }
