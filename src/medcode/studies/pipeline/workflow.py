"""The stages of the main dvc.yaml as typed records. Options are replaced by name, paths as paths."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from medcode.errors import UserError, nearest

PARAMS_FILE = "params.yaml"


@dataclass(frozen=True)
class StageCommand:
    """The command of a stage: `python <script> --option value ...`.

    Attributes:
        script: path of the script.
        options: {name with dashes: value}, in the order of the command.
    """

    script: str
    options: dict[str, str]

    @classmethod
    def parse(cls, command: str) -> StageCommand:
        """Parse a command.

        Raises:
            UserError: the command has another form, needs quotes, or repeats an option.
        """
        words = command.split()
        names, values = words[2::2], words[3::2]
        if words != _shell_words(command):
            raise UserError(f"dvc.yaml: expected a command without quotes, found '{command}'")
        if words[:1] != ["python"] or len(names) != len(values) or not all(name.startswith("--") for name in names):
            raise UserError(f"dvc.yaml: expected 'python <script> --option value ...', found '{command}'")
        if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise UserError(f"dvc.yaml: {words[1]} is given {', '.join(repeated)} twice")
        return cls(words[1], dict(zip(names, values, strict=True)))

    def replace_options(self, values: Mapping[str, str]) -> StageCommand:
        """Return the command with other values for some of its options.

        Raises:
            UserError: the command has no such option.
        """
        for name in values:
            if name not in self.options:
                raise UserError(f"dvc.yaml: {self.script} has no option {name}; {nearest(name, self.options)}")
        return StageCommand(self.script, self.options | values)

    def add_option(self, name: str, value: str) -> StageCommand:
        """Return the command with one more option at its end."""
        return StageCommand(self.script, self.options | {name: value})

    def without(self, names: Collection[str]) -> StageCommand:
        """Return the command without some of its options."""
        return StageCommand(self.script, {name: value for name, value in self.options.items() if name not in names})

    def map_values(self, function: Callable[[str], str]) -> StageCommand:
        """Return the command with a function applied to the value of each option."""
        return StageCommand(self.script, {name: function(value) for name, value in self.options.items()})

    def render(self) -> str:
        """Return the command as one line for dvc.yaml, unquoted: DVC fills in `${...}` before a shell reads it."""
        return " ".join(["python", self.script, *(word for option in self.options.items() for word in option)])


def _shell_words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # unclosed quote
        return []


@dataclass(frozen=True)
class Stage:
    """A stage of the main workflow.

    Attributes:
        desc: what the stage does.
        command: what the stage runs.
        deps: paths that the stage reads.
        outs: paths that the stage writes, metrics and plots included.
        params: keys that the stage depends on, by YAML file; an empty tuple means the whole file.
        matrix: values of each variable of the matrix.
    """

    desc: str
    command: StageCommand
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: dict[str, tuple[str, ...]]
    matrix: dict[str, list[str]]

    @classmethod
    def parse(cls, content: dict[str, Any]) -> Stage:
        """Parse an entry of dvc.yaml.

        Raises:
            UserError: `StageCommand` cannot parse the command.
        """
        return cls(
            desc=content["desc"],
            command=StageCommand.parse(content["cmd"]),
            deps=tuple(content.get("deps", [])),
            outs=tuple(_out_path(out) for key in ("outs", "metrics", "plots") for out in content.get(key, [])),
            params=_params_by_file(content.get("params", [])),
            matrix=content.get("matrix", {}),
        )

    def refers_to(self, variable: str) -> bool:
        """Whether the command, a path or a parameter of the stage contains `${variable}`."""
        keys = [text for file, names in self.params.items() for text in (file, *names)]
        return any(
            f"${{{variable}}}" in text for text in (*self.command.options.values(), *self.deps, *self.outs, *keys)
        )

    def writes(self, path: str) -> bool:
        """Whether an output of the stage is a path, is in it, or is a folder that contains it.

        A variable part of an output matches any part of the path.
        """
        return any(_overlap(PurePosixPath(path), PurePosixPath(out)) for out in self.outs)


def parse_stages(content: dict[str, Any]) -> dict[str, Stage]:
    """Return the stages of dvc.yaml by name, given the content of the file.

    Raises:
        UserError: `StageCommand` cannot parse a command.
    """
    return {name: Stage.parse(stage) for name, stage in content["stages"].items()}


def producer(stages: Mapping[str, Stage], path: str) -> str | None:
    """Return the stage that writes a path, a file in it, or a folder that contains it; None if no stage does."""
    return next((name for name, stage in stages.items() if stage.writes(path)), None)


def ancestors(stages: Mapping[str, Stage]) -> dict[str, set[str]]:
    """Return the stages that each stage depends on, directly or not."""
    found: dict[str, set[str]] = {}

    def add(name: str) -> set[str]:
        if name not in found:
            producers = {producer(stages, dep) for dep in stages[name].deps}
            parents = {parent for parent in producers if parent not in (None, name)}
            found[name] = parents.union(*(add(parent) for parent in parents))
        return found[name]

    for name in stages:
        add(name)
    return found


def _out_path(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))


def _params_by_file(params: list[str | dict[str, list[str] | None]]) -> dict[str, tuple[str, ...]]:
    by_file: dict[str, tuple[str, ...]] = {}
    for entry in params:
        for file, keys in ({PARAMS_FILE: [entry]} if isinstance(entry, str) else entry).items():
            by_file[file] = (*by_file.get(file, ()), *(keys or ()))
    return by_file


def _overlap(path: PurePosixPath, out: PurePosixPath) -> bool:
    return all(part == out_part or "${" in out_part for part, out_part in zip(path.parts, out.parts, strict=False))
