"""From the settings of a study to the params.yaml of each of its trainings, and what a training rests on."""

from __future__ import annotations

import ast
import copy
import hashlib
from pathlib import Path
from typing import Any

from medcode import config
from medcode.errors import UserError, nearest
from medcode.studies.study import FILE, Study

# What a row may set of params.yaml; the data are the same for all rows.
SET_HERE = ("model", "recipe", "encoder", "training", "evaluation", "models")
COMMANDS = ("train.py", "evaluate.py")
# Sections whose stages the studies share with the main workflow: a value of their own would change nothing.
OF_MAIN_WORKFLOW = ("reference", "synthesize")


def for_corpus(raw: dict[str, Any], settings_file: Path, corpus: str) -> dict[str, Any]:
    """params.yaml as the studies prepare a corpus: with what studies/data/settings.yaml says of it.

    Raises:
        UserError: a setting names a key that is not there, or that only the main workflow reads.
    """
    resolved = copy.deepcopy(raw) | {"corpus": corpus}
    for key, value in (config.read_yaml(settings_file).get(corpus) or {}).items():
        if (section := key.split(".")[0]) in OF_MAIN_WORKFLOW:
            raise UserError(
                f"{settings_file}: {corpus}: {key}: studies and main workflow share what {section} makes; set it in "
                "params.yaml"
            )
        put(resolved, key, value, f"{settings_file}: {corpus}")
    return resolved


def settle(raw: dict[str, Any], study: Study, name: str, label_set: str, seed: int) -> dict[str, Any]:
    """The whole params.yaml of one training, with the block and the recipe of its model alone.

    Args:
        raw: params.yaml as the studies prepare the study's corpus.
        study: the study that shows the row.
        name: the row.

    Raises:
        UserError: a setting names a key, model or recipe that is not there.
    """
    origin = study.origin(name)
    where = f"{origin.study.root / origin.study.name / FILE}: rows.{origin.name}"
    model, recipe = (study.setting(name, key, raw[key]) for key in ("model", "recipe"))
    if model not in raw["models"]:
        raise UserError(f"{where}: model: params.yaml has no models.{model}; {nearest(model, raw['models'])}")
    recipes = raw["models"][model]["training"]
    if recipe not in recipes:
        raise UserError(f"{where}: recipe: there is no models.{model}.training.{recipe}; {nearest(recipe, recipes)}")
    resolved = copy.deepcopy(raw) | {"label_set": label_set, "seed": seed, "seeds": 1, "model": model, "recipe": recipe}
    for place, settings in study.layers(name):
        for key, value in settings.items():
            _apply(resolved, key, value, model, recipe, place)
    block = resolved["models"][model]
    resolved["models"] = {model: block | {"training": {recipe: block["training"][recipe]}}}
    return resolved


def _apply(resolved: dict[str, Any], key: str, value: Any, model: str, recipe: str, where: str) -> None:
    parts = key.split(".")
    if parts[0] not in SET_HERE:
        raise UserError(
            f"{where}: {key}: a study sets {', '.join(SET_HERE)} only; label sets and seeds have keys of their own, "
            "and the data of all studies are set in studies/data/settings.yaml"
        )
    if parts[0] == "models" and len(parts) > 1:
        if parts[1] not in ("*", model):
            return  # of another row's model
        parts[1] = model
        if len(parts) > 3 and parts[2] == "training" and parts[3] == "*":
            parts[3] = recipe
    put(resolved, ".".join(parts), value, where)


def put(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Sets a dotted key whose parents exist.

    Raises:
        UserError: a parent does not exist.
    """
    *parents, last = key.split(".")
    for parent in parents:
        if not isinstance(values.get(parent), dict):
            raise UserError(f"{where}: {key}: params.yaml has no {parent} there; {nearest(parent, values)}")
        values = values[parent]
    if not parents and last not in values:
        raise UserError(f"{where}: {key}: params.yaml has no such key; {nearest(last, values)}")
    values[last] = value


def check_settings(study: Study, raw: dict[str, Any]) -> None:
    """Makes sure that each setting of all rows that names a model is of a model of some row.

    Raises:
        UserError: one is not, so that it would change nothing.
    """
    definition = study.definition
    used = {"*"} | {
        settings["model"]
        for settings in (definition.settings, *(row.settings for row in definition.rows.values()))
        if "model" in settings
    }
    for part in ("settings", "small"):
        for key in getattr(definition, part):
            pieces = key.split(".")
            if pieces[0] == "models" and len(pieces) > 1 and pieces[1] not in used:
                where = f"{study.root / study.name / FILE}: {part}: {key}"
                raise UserError(f"{where}: no row has the model {pieces[1]}; {nearest(pieces[1], used)}")


def rests_on(path: Path, code: Path) -> dict[str, Any]:
    """What a training and its evaluation depend on, beside the inputs: settings that matter, and digests of code.

    DVC runs a training again when this changes, so that another model's block or file changes nothing.

    Args:
        path: the params.yaml of the training, what `settle` made.
        code: the root of the repository.

    Raises:
        UserError: the settings do not make a valid configuration.
    """
    from medcode import models

    params = config.load(path)
    block = params.models[params.model]
    recipe = block.training[params.recipe]
    shown = models.configure(params.model, block.architecture, recipe, path)
    settings: dict[str, Any] = {key: getattr(params, key) for key in ("corpus", "label_set", "model", "recipe", "seed")}
    settings |= {"options": shown.model_dump(), "learning": recipe.model_dump()}
    settings |= {"engine": params.training.model_dump(exclude={"checkpoint_steps"})}
    settings |= {"evaluation": params.evaluation.model_dump()}
    return {"settings": settings, "code": digests(code, params.model, block.architecture)}


def digests(root: Path, model: str, options: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of every file of the project that training and evaluating a model reads, by path."""
    from medcode import models

    # A model that wraps another names it in an option.
    named = {model, *(value for value in options.values() if isinstance(value, str) and value in models.names())}
    starts = [root / "stages" / name for name in COMMANDS]
    starts += [root / "src/medcode/models" / f"{name}.py" for name in sorted(named)]
    files = sorted(str(path.relative_to(root)) for path in imported(root, starts))
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in files}


def imported(root: Path, starts: list[Path]) -> set[Path]:
    """The project's own files that some files import, directly or not, those files included."""
    found: set[Path] = set()
    waiting = list(starts)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in _imports(path):
            waiting += _files(root, name)
    return found


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _files(root: Path, name: str) -> list[Path]:
    """The files that importing a name runs: its own and those of the packages above it."""
    if name == "common":
        return [root / "stages/common.py"]
    if name.split(".")[0] != "medcode":
        return []
    parts = name.split(".")
    places = [root / "src" / Path(*parts[: end + 1]) for end in range(len(parts))]
    candidates = [path for place in places for path in (place / "__init__.py", place.with_suffix(".py"))]
    return [path for path in candidates if path.is_file()]
