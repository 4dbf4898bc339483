"""Small hand-written projects."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from medcode.reruns.closure import Closure, Project

FUTURE = "from __future__ import annotations\n"


class Tiny:
    """A project of a package `pkg` and scripts that import each other by their bare names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, files: dict[str, str]) -> None:
        """Write files: `run` is a script, `pkg.a` a module, `pkg` the package itself; with an ending, a data file."""
        for name, text in files.items():
            if "/" in name:
                path = self.folder / "src" / name
            elif name == "pkg":
                path = self.folder / "src/pkg/__init__.py"
            elif "." in name:
                path = (self.folder / "src" / name.replace(".", "/")).with_suffix(".py")
            else:
                path = self.folder / f"scripts/{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(FUTURE + textwrap.dedent(text) if path.suffix == ".py" else text)

    def closure(self, chosen: Callable = lambda name: ()) -> Closure:
        """Return the closure of the script `run`."""
        return Project(self.folder / "src", "pkg", [self.folder / "scripts"]).closure("run", chosen)

    def digests(self) -> dict[str, str]:
        """Return the digests of all definitions that the script `run` reaches, {pkg.a.f: digest}."""
        project = Project(self.folder / "src", "pkg", [self.folder / "scripts"])
        return {
            f"{name}.{title}": project.module(name).definitions[title].digest
            for name, titles in project.closure("run").definitions.items()
            for title in titles
        }


@pytest.fixture
def tiny(tmp_path) -> Tiny:
    """An empty project."""
    project = Tiny(tmp_path)
    project.write({"pkg": "", "run": ""})
    return project


@pytest.fixture
def reached(tiny) -> Callable[..., set[str]]:
    """Write a project and return the definitions of the package that its script `run` reaches, {a.f}."""

    def written(files: dict[str, str], **options) -> set[str]:
        tiny.write(files)
        definitions = tiny.closure(**options).definitions
        return {
            f"{name}.{title}".removeprefix("pkg.")
            for name, titles in definitions.items()
            for title in titles
            if name.startswith("pkg")
        }

    return written
