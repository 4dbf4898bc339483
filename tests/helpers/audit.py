"""Record the files that every stage opens and the functions that it calls, by a hook in each of its processes."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOOK = """
    import ast, atexit, builtins, importlib.machinery, json, os, sys

    opened, called = [], set()
    STAGES = os.path.dirname(os.path.abspath(sys.argv[0])) if sys.argv else ""
    PROJECT = os.path.dirname(STAGES)
    if os.path.basename(PROJECT) == "stages":  # the script is one of stages/studies
        STAGES, PROJECT = PROJECT, os.path.dirname(PROJECT)

    class Noting(importlib.machinery.SourceFileLoader):
        '''Compiles a module of the project so that each function notes that it is called; a tracer is far slower.'''

        def get_code(self, name):
            path = self.get_filename(name)
            tree = ast.parse(self.get_data(path))
            for owner, function in functions(tree.body):
                first = function.body[0]
                remark = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                (note,) = ast.parse(f"__note_call__(({path!r}, {owner!r}))").body
                function.body.insert(1 if remark else 0, ast.copy_location(note, first))
                ast.fix_missing_locations(note)
            return compile(tree, path, "exec", dont_inherit=True)

    def functions(body, owner=None):
        for node in body:
            named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            title = owner or (node.name if named else None)
            if named and not isinstance(node, ast.ClassDef):
                yield title, node
            yield from functions(ast.iter_child_nodes(node), title)

    def finder(folder):
        if not os.path.abspath(folder).startswith(PROJECT + os.sep) or not os.path.isdir(folder):
            raise ImportError(folder)
        return importlib.machinery.FileFinder(folder, (Noting, [".py"]))

    def note(event, arguments):
        if event == "open" and isinstance(arguments[0], (str, bytes)) and "__pycache__" not in str(arguments[0]):
            path, mode, flags = arguments
            write = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR)) or any(c in (mode or "r") for c in "wax+")
            opened.append((os.path.abspath(os.fsdecode(path)), write))
        elif event == "os.rename":
            opened.append((os.path.abspath(os.fsdecode(arguments[1])), True))

    def report():
        record = {"command": sys.argv, "opened": opened, "called": sorted(called)}
        with open(os.path.join(os.environ["AUDIT"], f"{os.getpid()}.json"), "w") as file:
            json.dump(record, file)

    if os.path.basename(STAGES) == "stages":
        script = os.path.abspath(sys.argv[0])
        # No loader compiles the script itself, so all its functions count.
        with open(script) as file:
            called.update((script, owner) for owner, _ in functions(ast.parse(file.read()).body))
        builtins.__note_call__ = called.add
        sys.path_hooks.insert(0, finder)
        sys.path_importer_cache.clear()
        sys.addaudithook(note)
        atexit.register(report)
"""


class Audit:
    """Record what the stages of a project do while it runs with the environment `variables`.

    Args:
        notes: folder for the records of one run.
        project: the root of the project.
    """

    def __init__(self, notes: Path, project: Path) -> None:
        self.notes, self.project = notes, project
        hook = notes / "hook"
        hook.mkdir(parents=True)
        (hook / "sitecustomize.py").write_text(textwrap.dedent(HOOK))
        path = os.pathsep.join([str(hook), str(project / "src")])
        self.variables = {"AUDIT": str(notes), "PYTHONPATH": path}

    @classmethod
    def at(cls, notes: Path, project: Path) -> Audit:
        """Return the audit of a finished run."""
        audit = object.__new__(cls)
        audit.notes, audit.project = notes, project
        return audit

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the record of each process: its command, {path: written} and {(path, function)} within the project."""
        for file in sorted(self.notes.glob("*.json")):
            noted = json.loads(file.read_text())
            files: dict[str, bool] = {}
            for path, written in noted["opened"]:
                if Path(path).is_relative_to(self.project):
                    name = str(Path(path).relative_to(self.project))
                    files[name] = files.get(name, False) or written
            called = {
                (str(Path(path).relative_to(self.project)), function)
                for path, function in noted["called"]
                if Path(path).is_relative_to(self.project)
            }
            command = [part.removeprefix(f"{self.project}/") for part in noted["command"]]
            yield {"command": command, "opened": files, "called": called}
