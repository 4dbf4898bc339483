"""Parameters of each training of a study, and the fingerprint of what a training depends on."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Container
from pathlib import Path
from typing import Any

from medcode.config import (
    Evaluation,
    Explain,
    LabelSet,
    Open,
    Recipe,
    Run,
    Scoring,
    Section,
    Training,
    build,
    load,
    load_model,
    models,
)
from medcode.config.auto_recipe import AUTO
from medcode.config.section import current_key
from medcode.errors import UserError, nearest
from medcode.reruns.closure import Project
from medcode.reruns.stages import choice, code_of
from medcode.studies.definition import datasets
from medcode.studies.definition.study import FILE, Study

# Keys of params.yaml that a row may set. The data are the same for all rows.
SECTIONS = ("model", "recipe", "encoder", "training", "evaluation", "explain", "models")
COMMANDS = ("train", "evaluate", "study_finish")  # scripts of a training in stages/
OPEN_FILE = "open.json"  # among the settings of a study: what is known of unseen codes, if an ensemble scores them
# Sections whose stages the studies share with the main workflow: another value would have no effect.
OF_MAIN_WORKFLOW = ("reference", "synthesize")


def for_corpus(raw: dict[str, Any], settings_file: Path, corpus: str) -> dict[str, Any]:
    """Return params.yaml with the settings of studies/data/settings.yaml for a corpus, or for a part of one.

    Raises:
        UserError: a setting names an unknown key, or one that only the main workflow reads.
    """
    source, settings = datasets.read(settings_file, corpus)
    resolved = copy.deepcopy(raw) | {"corpus": source}
    for key, value in settings.items():
        if (section := key.split(".")[0]) in OF_MAIN_WORKFLOW:
            raise UserError(
                f"{settings_file}: {corpus}: {key}: studies and main workflow share what {section} makes; set it in "
                "params.yaml"
            )
        put(resolved, key, value, f"{settings_file}: {corpus}")
    return resolved


def resolve_params(raw: dict[str, Any], study: Study, name: str, label_set: str, seed: int) -> dict[str, Any]:
    """Return all parameters of one training: params.yaml with the options and the recipe of its model.

    Args:
        raw: result of `for_corpus`, with the files of all models under `models`.
        study: the study that shows the row.
        name: the row.

    Raises:
        UserError: a setting names an unknown key, model or recipe.
    """
    origin = study.origin(name)
    where = f"{origin.study.root / origin.study.name / FILE}: rows.{origin.name}"
    model, recipe = (study.setting(name, key, raw[key]) for key in ("model", "recipe"))
    if model not in raw["models"]:
        raise UserError(f"{where}: model: there is no model {model}; {nearest(model, raw['models'])}")
    recipes = raw["models"][model]["recipes"]
    if recipe == AUTO:
        raise UserError(f"{where}: recipe: a study names the recipe of every row; write for instance recipe: quick")
    if recipe not in recipes:
        raise UserError(f"{where}: recipe: {model} has no recipe {recipe}; {nearest(recipe, recipes)}")
    resolved = copy.deepcopy(raw) | {"label_set": label_set, "seed": seed, "seeds": 1, "model": model, "recipe": recipe}
    for location, settings in study.layers(name):
        for key, value in settings.items():
            _apply(resolved, key, value, model, recipe, location)
    block = resolved.pop("models")[model]
    return resolved | {"options": block["options"], "recipes": {recipe: block["recipes"][recipe]}}


def _apply(resolved: dict[str, Any], key: str, value: Any, model: str, recipe: str, where: str) -> None:
    parts = key.split(".")
    if parts[0] not in SECTIONS:
        raise UserError(
            f"{where}: {key}: a study sets {', '.join(SECTIONS)} only; label sets and seeds have keys of their own, "
            "and the data of all studies are set in studies/data/settings.yaml"
        )
    if parts[0] == "models" and len(parts) > 1:
        if parts[1] not in ("*", model):
            return  # a setting of another row's model
        if len(parts) < 4 or parts[2] not in ("options", "recipes"):
            current = ["recipes", *parts[3:]] if parts[2:3] == ["training"] else ["options", *parts[2:]]
            raise UserError(f"{where}: {key}: it is called {'.'.join([*parts[:2], *current])}")
        parts[1] = model
        if parts[2] == "recipes" and parts[3] == "*":
            parts[3] = recipe
    fields: Container[str] = ()
    if parts[0] == "training":
        fields = Training.model_fields
    elif parts[0] == "models" and len(parts) > 3:
        fields = Recipe.model_fields if parts[2] == "recipes" else models.find(model).model_fields
    # A recipe may leave keys out, so that only the fields tell whether one exists.
    if parts[-1] not in fields and (current := current_key(parts[-1], fields)) is not None:
        raise UserError(f"{where}: {key}: renamed; write {current}")
    put(resolved, ".".join(parts), value, where)
    if parts[0] == "models" and parts[2] == "options":
        # A recipe's options override those of the model's file; the study's setting is later than both.
        block = resolved["models"][model]["recipes"][recipe]
        if "options" in block:
            block["options"] = _without(block["options"], parts[3:])


def _without(options: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """Return options without the one at a path of keys; empty blocks stay."""
    key, *further = path
    if key not in options:
        return options
    if further and isinstance(options[key], dict):
        return options | {key: _without(options[key], further)}
    return {name: value for name, value in options.items() if name != key}


def put(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set the value of a dotted key whose parents exist.

    Raises:
        UserError: a parent does not exist.
    """
    *parents, last = key.split(".")
    for parent in parents:
        if not isinstance(values.get(parent), dict):
            if (current := current_key(parent, values)) is not None:
                raise UserError(f"{where}: {key}: {parent} is renamed; write {current}")
            raise UserError(f"{where}: {key}: params.yaml has no {parent} there; {nearest(parent, values)}")
        values = values[parent]
    if not parents and last not in values:
        raise UserError(f"{where}: {key}: params.yaml has no such key; {nearest(last, values)}")
    values[last] = value


def check_settings(study: Study, raw: dict[str, Any]) -> None:
    """Check that each setting for all rows that names a model names the model of some row.

    Raises:
        UserError: no row has the model, so the setting would have no effect.
    """
    definition = study.definition
    used = {"*"} | {
        settings["model"]
        for settings in (definition.settings, *(row.settings for row in definition.rows.values()))
        if "model" in settings
    }
    for part in ("settings", "small"):
        for key in getattr(definition, part):
            key_parts = key.split(".")
            if key_parts[0] == "models" and len(key_parts) > 1 and key_parts[1] not in used:
                where = f"{study.root / study.name / FILE}: {part}: {key}"
                raise UserError(f"{where}: no row has the model {key_parts[1]}; {nearest(key_parts[1], used)}")


def run_fingerprint(path: Path, project: Project) -> dict[str, Any]:
    """Return the fingerprint of a training and its evaluation: settings that affect results, and digests of code.

    DVC repeats a training when the fingerprint or the inputs change. File and code of other models are not part of it.

    Args:
        path: the parameters of the training, from `resolve_params`.
        project: the code.

    Raises:
        UserError: the settings do not make a valid configuration.
    """
    run, engine = load(Run, path), load(Measured, path)
    chosen = load_model(path, run.model, None, run.label_set)
    settings = run.model_dump() | {
        "recipe": chosen.recipe_name,
        "options": chosen.config.model_dump(),
        "learning": chosen.recipe.model_dump(),
    }
    settings |= {"engine": engine.training.model_dump(exclude={"checkpoint_steps"})}
    settings |= {"evaluation": engine.evaluation.model_dump(exclude={"baseline"})}
    return {"settings": settings, **code_of(project, COMMANDS, choice(run.corpus, chosen))}


def open_fingerprint(raw: dict[str, Any]) -> dict[str, Any]:
    """Return what scores of unseen codes depend on besides data and code: settings, and the digest of a list.

    Args:
        raw: result of `for_corpus`.

    Raises:
        UserError: the section `open` of params.yaml is wrong, or its list of codes cannot be read.
    """
    options = build(Open, raw["open"], "params.yaml", "open")
    try:
        codes = hashlib.sha256(Path(options.codes).read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"params.yaml: open.codes: {options.codes}: {error.strerror}") from error
    return {"open": options.model_dump(), "codes": codes}


def training_code(path: Path, project: Project) -> dict[str, Any]:
    """Return digests of the code of a training without its evaluation. An interrupted training resumes if they match.

    Args:
        path, project: as for `run_fingerprint`.
    """
    run = load(Run, path)
    chosen = load_model(path, run.model, None, run.label_set)
    return code_of(project, COMMANDS[:1], choice(run.corpus, chosen))


def evidence_fingerprint(path: Path, project: Project) -> dict[str, Any]:
    """Return the fingerprint of the measures of evidence: their settings, and digests of their code.

    Args:
        path, project: as for `run_fingerprint`.

    Raises:
        UserError: the settings are not valid.
    """
    run = load(Run, path)
    chosen = load_model(path, run.model, None, run.label_set)
    settings = load(Explained, path).model_dump()
    return {"settings": settings, **code_of(project, ("explain",), choice(run.corpus, chosen))}


class Explained(Section):
    """Sections of params.yaml that affect the measures of evidence."""

    explain: Explain
    training: Scoring


class Measured(Section):
    """Sections of params.yaml that affect a training or its evaluation, and the label set that chooses values."""

    label_set: LabelSet
    training: Training
    evaluation: Evaluation
