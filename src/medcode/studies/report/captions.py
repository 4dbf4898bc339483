"""Sentences about our trainings, shared by the table and the report page of a study."""

from __future__ import annotations

from typing import Any

from medcode.studies.definition.study import Settings, Study
from medcode.studies.results.run_results import Runs

# Values of `stopped` in train.json. Any other is that of an early stop.
LAST_EPOCH = "last epoch"
FITTED_AT_ONCE = "fitted at once"
# Phrases for settings. Other settings are written as name and value, and settings that change no result are omitted.
PHRASES = {
    "recipe": "recipe {}",
    "encoder": "encoder {}",
    "epochs": "{} epochs",
    "max_tokens": "notes cut at {} tokens",
}
OMITTED_SECTIONS = ("training",)


def trained(study: Study, runs: Runs) -> str:
    """Return sentences on how long rows were trained, and on small corpora how small they are, with its remark."""
    sentences = [small(study), (study.definition.small_remark or "").strip() if study.small else "", ended(runs)]
    return " ".join(sentence for sentence in sentences if sentence)


def ended(runs: Runs) -> str:
    """Return a sentence on how many trainings reached their last epoch and might have improved further."""
    all_reasons = [run.train["stopped"] for seed_runs in runs.values() for run in seed_runs]
    reasons = [reason for reason in all_reasons if reason != FITTED_AT_ONCE]
    last, at_once = reasons.count(LAST_EPOCH), len(all_reasons) - len(reasons)
    if not reasons:
        return ""
    early_stopped = "" if last == len(reasons) else ", the others by early stopping"
    fitted = f"; {at_once} more {'was' if at_once == 1 else 'were'} fitted at once" if at_once else ""
    return f"{last} of {len(reasons)} trainings ended at the last epoch that they were allowed{early_stopped}{fitted}."


def small(study: Study) -> str:
    """Return a sentence on the settings for small corpora, of all rows and of single rows; empty without any."""
    rows = {
        name: _small_settings(study, name) for name in study.definition.rows if study.small and study.label_sets(name)
    }
    clauses = []
    for key in dict.fromkeys(key for settings in rows.values() for key in settings):
        phrases: dict[str, list[str]] = {}
        for name, settings in rows.items():
            if key in settings:
                phrases.setdefault(_phrase(key, settings[key]), []).append(study.definition.rows[name].title)
        # A setting of one model applies to all rows with that model.
        in_all = len(phrases) == 1 and (key.startswith("models.") or all(key in settings for settings in rows.values()))
        clauses += [phrase if in_all else f"{phrase} ({', '.join(titles)})" for phrase, titles in phrases.items()]
    subject = "The settings" if study.paper is None else "Ours"
    return f"{subject} are small: {', '.join(clauses)}." if clauses else ""


def _small_settings(study: Study, name: str) -> Settings:
    """Return the settings of a row for small corpora, from the study that defines the row."""
    origin, model = study.origin(name), study.setting(name, "model", None)
    merged: dict[str, Any] = {}
    for settings in (origin.study.definition.small, origin.row.small):
        for key, value in settings.items():
            parts = key.split(".")
            if parts[0] in OMITTED_SECTIONS or (parts[0] == "models" and parts[1] not in ("*", model)):
                continue
            merged[".".join(parts[3:] if parts[:2] == ["models", "*"] else parts)] = value
    return {key.removeprefix("*."): value for key, value in merged.items()}


def _phrase(key: str, value: Any) -> str:
    *sections, last = key.split(".")
    qualifiers = [part for part in sections[1:] if part not in ("options", "recipes", "*")]
    of_model = f"{'.'.join(qualifiers)} " if sections and sections[0] == "models" else ""
    name = last.replace("_", " ")
    return of_model + (f"no {name}" if value is None else PHRASES.get(last, f"{name} {{}}").format(value))
