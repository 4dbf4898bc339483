"""Closure of a script: all definitions that it reaches in the modules of the project."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from medcode.reruns.modules import ON_IMPORT, Module, parse

FILE_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")
# Attributes of every module, which do not depend on its content.
OF_EVERY_MODULE = {"__doc__", "__file__", "__name__", "__package__", "__path__", "__spec__"}


@dataclass
class Closure:
    """All code that a script reaches.

    Attributes:
        definitions: {module: {definition}}.
        files: the data files that the definitions name.
        texts: the string constants of the definitions.
    """

    definitions: dict[str, set[str]] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)


class Project:
    """The modules of a project, parsed when they are first reached.

    Args:
        root: the folder with the packages.
        package: the project's package in it.
        scripts: folders of scripts, which import each other by bare names.
    """

    def __init__(self, root: Path, package: str, scripts: Iterable[Path] = ()) -> None:
        self.root, self.package, self.scripts = root, package, tuple(scripts)
        self._modules: dict[str, Module | None] = {}
        # Scripts reach much of the same code.
        self._module_in = functools.cache(self._find_module_in)
        self._resolved = functools.cache(self._resolve)
        self._named_files = functools.cache(self._find_named_files)

    def module(self, name: str) -> Module | None:
        """Return a module by its dotted name; None if the project has no such module."""
        if name not in self._modules:
            path = self._path(name)
            self._modules[name] = None if path is None else parse(name, path)
        return self._modules[name]

    def closure(self, script: str, chosen: Callable[[str], Iterable[str]] = lambda name: ()) -> Closure:
        """Follow every reference from a script.

        Args:
            script: the name of its module.
            chosen: returns the modules that a definition imports by a name chosen at run time, given its dotted name.

        Raises:
            UserError: a reached file is not valid Python.
        """
        closure = Closure()
        waiting = self._imported(script, closure)
        while waiting:
            name, title = waiting.pop()
            reached = closure.definitions.setdefault(name, set())
            if title in reached or (module := self.module(name)) is None:
                continue
            reached.add(title)
            definition = module.definitions[title]
            closure.files |= self._named_files(name, title)
            closure.texts |= definition.texts
            used = {*definition.references, *chosen(f"{name}.{title}")}
            targets = set().union(*map(self._resolved, used))
            for imported in {*map(self._module_in, used | definition.imports), *(target for target, _ in targets)}:
                waiting += self._imported(imported, closure)
            waiting += targets
        closure.definitions = {name: titles for name, titles in closure.definitions.items() if titles}
        return closure

    def _path(self, name: str) -> Path | None:
        if name.split(".")[0] == self.package:
            place = self.root.joinpath(*name.split("."))
            return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)
        if "." in name:
            return None
        return next((path for folder in self.scripts if (path := folder / f"{name}.py").is_file()), None)

    def _imported(self, name: str, closure: Closure) -> list[tuple[str, str]]:
        """Return the import-time statements of a module, of its parent packages, and of all that these import."""
        effects, waiting = [], [name]
        while waiting:
            current = waiting.pop()
            if current in closure.definitions or (module := self.module(current)) is None:
                continue
            closure.definitions[current] = set()
            if ON_IMPORT in module.definitions:
                effects.append((current, ON_IMPORT))
            waiting += [current.rsplit(".", 1)[0]] if "." in current else []
            waiting += [self._module_in(dotted) for dotted in module.imports]
        return effects

    def _find_module_in(self, dotted: str) -> str:
        """Return the longest prefix of a dotted name that is a module of the project; without one, the name itself."""
        parts = dotted.split(".")
        prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        return next((name for name in prefixes if self.module(name) is not None), dotted)

    def _resolve(self, dotted: str, visited: frozenset[str] = frozenset()) -> set[tuple[str, str]]:
        """Return the definitions that a dotted name refers to: all of a module that is used as a whole."""
        name = self._module_in(dotted)
        if (module := self.module(name)) is None or dotted in visited:
            return set()
        first, *attributes = dotted[len(name) + 1 :].split(".")
        definitions = {(name, first)} if first in module.definitions else set()
        for target in module.bindings.get(first, ()):
            definitions |= self._resolved(".".join([target, *attributes]), visited | {dotted})
        if definitions or first in OF_EVERY_MODULE or first in module.bindings:
            return definitions
        # No name means the module as a whole. A name that is not defined is created while the module runs.
        exported = {target for targets in module.bindings.values() for target in targets if not self._is_module(target)}
        definitions = {(name, title) for title in module.definitions}
        return definitions.union(*(self._resolved(target, visited | {dotted}) for target in exported))

    def _is_module(self, dotted: str) -> bool:
        """Whether a dotted name is a module itself, not a name in a module."""
        return self.module(dotted) is not None

    def _find_named_files(self, name: str, title: str) -> set[Path]:
        """Return the data files beside a module that a definition names, by file, folder, pattern or suffix."""
        files: set[Path] = set()
        module = self.module(name)
        definition = module.definitions[title]
        for text in definition.texts:
            folder = module.path.parent
            if FILE_NAME.fullmatch(text):
                path = folder / text
                files |= {path} if path.is_file() else set()
                if path.is_dir() and self.root in path.parents and not any(path.rglob("*.py")):
                    files |= {child for child in path.rglob("*") if child.is_file()}
            elif re.fullmatch(r"(\*|[\w-]*\*[\w-]*)?\.\w+", text):  # `glob("*.csv")`, f"{name}.csv"
                files |= set(folder.glob(text if "*" in text else f"*{text}"))
        return {path for path in files if path.suffix not in ("", ".py", ".pyc")}
