"""Groups of trainings of a study that share a stage, and the files of a training."""

from __future__ import annotations

from dataclasses import dataclass, field

from medcode.studies.definition.study import Study

NO_ENCODER = "none"


@dataclass
class RunGroup:
    """Rows of a study that train on the same inputs, and so share a stage."""

    label_set: str
    encoder: str
    rows: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunFiles:
    """Paths of the files of one training of a study.

    Attributes:
        results: folder with the results of training and evaluation.
        settings: path of the files with the settings, without suffixes.
        model: folder of the trained model. It is large, and restricted if the notes are: removed once it is measured,
            and an output only of a study that measures its evidence.
        evidence: the measures of its evidence, in a study that has them.
    """

    results: str
    settings: str
    model: str
    evidence: str

    @classmethod
    def of(cls, study: Study, group: RunGroup) -> RunFiles:
        """Return the paths for a stage over rows and seeds, which stand in them as references to its matrix."""
        folder, corpus = f"studies/{study.name}", study.definition.corpus
        training = f"{group.label_set}/${{item.row}}/${{item.seed}}"
        return cls(
            results=f"{folder}/runs/{corpus}/{training}",
            settings=f"{folder}/settings/{training}",
            model=f"models/{folder}/{corpus}-{group.label_set}-${{item.row}}-${{item.seed}}",
            evidence=f"{folder}/evidence/{corpus}/{training}.json",
        )


def run_groups(study: Study) -> dict[str, RunGroup]:
    """Return the rows that a study trains on the same inputs, by the name of their stage."""
    groups: dict[str, RunGroup] = {}
    for label_set, rows in study.runs().items():
        for row in rows:
            encoder = study.setting(row, "encoder", NO_ENCODER)
            name = label_set if encoder == NO_ENCODER else f"{label_set}-{encoder}"
            groups.setdefault(name, RunGroup(label_set, encoder)).rows.append(row)
    return groups
