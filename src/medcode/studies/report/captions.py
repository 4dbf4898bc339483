"""Sentences about how ours were made, which the table and the report page of a study share."""

from __future__ import annotations

from typing import Any

from medcode.studies.definition.study import Settings, Study
from medcode.studies.results.run_results import Runs

LAST_EPOCH = "last epoch"  # in train.json, why a training ended
# How settings are said in a sentence; any other by its name and value. What changes no result is not said.
SAID = {"recipe": "recipe {}", "encoder": "encoder {}", "epochs": "{} epochs", "max_tokens": "notes cut at {} tokens"}
NOT_SAID = ("training",)


def trained(study: Study, runs: Runs) -> str:
    """How ours were trained, as far as that makes them other than the paper's; with the study's own remark."""
    sentences = [small(study), (study.definition.small_remark or "").strip() if study.small else "", ended(runs)]
    return " ".join(sentence for sentence in sentences if sentence)


def ended(runs: Runs) -> str:
    """How many trainings might have gone on: theirs are not the best numbers that the rows can reach."""
    reasons = [run.train["stopped"] for own in runs.values() for run in own]
    last = reasons.count(LAST_EPOCH)
    if not reasons:
        return ""
    others = "" if last == len(reasons) else ", the others by early stopping"
    return f"{last} of {len(reasons)} trainings ended at the last epoch that they were allowed{others}."


def small(study: Study) -> str:
    """What the settings for small corpora are, of all rows and of single ones; empty where none holds."""
    rows = {name: _small(study, name) for name in study.definition.rows if study.small and study.label_sets(name)}
    said = []
    for key in dict.fromkeys(key for own in rows.values() for key in own):
        phrases: dict[str, list[str]] = {}
        for name, own in rows.items():
            if key in own:
                phrases.setdefault(_phrase(key, own[key]), []).append(study.definition.rows[name].title)
        # A setting of one model is of all rows that it can be of.
        alone = len(phrases) == 1 and (key.startswith("models.") or all(key in own for own in rows.values()))
        said += [phrase if alone else f"{phrase} ({', '.join(titles)})" for phrase, titles in phrases.items()]
    return f"Ours are small: {', '.join(said)}." if said else ""


def _small(study: Study, name: str) -> Settings:
    """A row's settings for small corpora, with those of another study where the row is of that."""
    origin, model = study.origin(name), study.setting(name, "model", None)
    found: dict[str, Any] = {}
    for own in (origin.study.definition.small, origin.row.small):
        for key, value in own.items():
            parts = key.split(".")
            if parts[0] in NOT_SAID or (parts[0] == "models" and parts[1] not in ("*", model)):
                continue
            found[".".join(parts[3:] if parts[:2] == ["models", "*"] else parts)] = value
    return {key.removeprefix("*."): value for key, value in found.items()}


def _phrase(key: str, value: Any) -> str:
    *before, last = key.split(".")
    named = [part for part in before[1:] if part not in ("options", "recipes", "*")]
    of_model = f"{'.'.join(named)} " if before and before[0] == "models" else ""
    name = last.replace("_", " ")
    return of_model + (f"no {name}" if value is None else SAID.get(last, f"{name} {{}}").format(value))
