"""Parsed Python files: the definitions of a module, each with a digest and its references."""

from __future__ import annotations

import ast
import functools
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medcode.errors import UserError
from medcode.reruns.canonical import digest
from medcode.reruns.references import (
    STATEMENTS,
    Bindings,
    bound_within,
    docstring,
    import_targets,
    imported,
    references,
    texts,
    uses,
)

ON_IMPORT = "on import"  # title of the statements with an effect when the module is imported
# Packages whose decorators have no side effect. Other decorators may register what they decorate.
PURE = {"abc", "contextlib", "dataclasses", "enum", "functools", "pydantic", "torch", "triton", "typing"}
# Methods that change their object.
MUTATORS = {
    "__setitem__", "add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "register", "remove",
    "setdefault", "update",
}  # fmt: skip
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Definition:
    """A function, class or constant. Its properties are computed on demand, since few definitions are ever reached.

    Args:
        name: dotted name.
        nodes: statements.
        bindings: names of the module.

    Attributes:
        imports: dotted names that its import statements import, in the body of a function for instance.

    Raises:
        ValueError: an import statement in it does not say what it binds.
    """

    def __init__(self, name: str, nodes: list[ast.stmt], bindings: Bindings) -> None:
        self._name, self._nodes, self._bindings = name, nodes, bindings
        # Computed at once, because an import statement that hides what it imports is refused.
        self.imports = set().union(*map(import_targets, nodes))

    @functools.cached_property
    def digest(self) -> str:
        """Digest of the statements and of what their names refer to: `np` may be imported from elsewhere."""
        module = self._name.rsplit(".", 1)[0]
        foreign = {name: dotted - {f"{module}.{name}"} for name, dotted in self._uses.items()}
        meanings = sorted(f"{name}={','.join(sorted(dotted))}" for name, dotted in foreign.items() if dotted)
        return digest(*self._nodes, meanings)

    @functools.cached_property
    def references(self) -> set[str]:
        """Dotted names that the definition uses."""
        return set().union(*self._uses.values()) - {self._name}

    @functools.cached_property
    def _uses(self) -> dict[str, set[str]]:
        merged: dict[str, set[str]] = {}
        for node in self._nodes:
            for name, dotted in uses(node, self._bindings).items():
                merged[name] = merged.get(name, set()) | dotted
        return merged

    @functools.cached_property
    def texts(self) -> set[str]:
        """String constants of the definition."""
        return set().union(*map(texts, self._nodes))


@dataclass
class Module:
    """A file of the project.

    Attributes:
        name: dotted name.
        path: the file.
        definitions: by name; statements with an effect on import are under `ON_IMPORT`.
        bindings: imported names, {name: dotted names, several for an import under a condition}.
        imports: dotted names that are imported with the module.
    """

    name: str
    path: Path
    definitions: dict[str, Definition] = field(default_factory=dict)
    bindings: dict[str, set[str]] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)


def parse(name: str, path: Path) -> Module:
    """Parse a file.

    Raises:
        UserError: the file is not valid Python, or hides what it imports.
    """
    try:
        tree = ast.parse(path.read_bytes())
        names = (part for part in ast.walk(tree) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load))
        statements = list(_running(tree.body, script="." not in name))
        return _module(Module(name, path), statements, {part.id for part in names})
    except SyntaxError as error:
        raise UserError(f"{path}: line {error.lineno}: not valid Python ({error.msg})") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def _module(module: Module, statements: list[ast.stmt], read: set[str]) -> Module:
    """Fill in the definitions, bindings and imports of a module.

    Args:
        module: with name and path.
        statements: those that run when the module is imported.
        read: the names that the module reads anywhere.

    Raises:
        ValueError: an import statement does not say what it binds.
    """
    groups: dict[str, list[ast.stmt]] = {}
    for statement in statements:
        for node, binds in _imports(statement):
            module.imports |= import_targets(node)
            for name, dotted in imported(node) if binds else []:
                module.bindings.setdefault(name, set()).add(dotted)
                if name not in read and dotted.split(".")[0] not in (module.name.split(".")[0], "__future__"):
                    groups.setdefault(ON_IMPORT, []).append(node)  # imported for its side effects
    for statement in statements:
        for title in _titles(statement, read):
            groups.setdefault(title, []).append(statement)
    bindings = {name: set(dotted) for name, dotted in module.bindings.items()}
    for title in groups.keys() - {ON_IMPORT}:
        bindings.setdefault(title, set()).add(f"{module.name}.{title}")
    for statement in statements:
        if isinstance(statement, DEFINITIONS) and _has_effect(statement, bindings):
            groups.setdefault(ON_IMPORT, []).append(statement)
    for title, nodes in groups.items():
        module.definitions[title] = Definition(f"{module.name}.{title}", nodes, bindings)
    return module


def _running(body: list[ast.stmt], script: bool) -> Iterator[ast.stmt]:
    """Yield the statements that run on import: no docstrings, no code for type checkers or for a main program."""
    for statement in body:
        never = _is_never(statement.test, script) if isinstance(statement, ast.If) else None
        if never is not None:
            yield from _running(statement.orelse if never else statement.body, script)
        elif docstring(statement) is None:
            yield statement


def _is_never(test: ast.expr, script: bool) -> bool | None:
    """Return whether a condition is never true (type checking, main program); False: always true; None: unknown."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        operand = _is_never(test.operand, script)
        return None if operand is None else not operand
    if ast.unparse(test) == "__name__ == '__main__'":
        return None if script else True
    return True if "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", "")) else None


def _imports(statement: ast.AST, binds: bool = True) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield the import statements outside functions, each with whether it binds names in the module."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        yield statement, binds
    elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        for node in ast.iter_child_nodes(statement):
            if isinstance(node, STATEMENTS):
                yield from _imports(node, binds and not isinstance(statement, ast.ClassDef))


def _titles(statement: ast.stmt, read: Container[str]) -> list[str]:
    """Return the titles of the definitions that a statement belongs to, given the names that the module reads."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return []
    if isinstance(statement, DEFINITIONS):
        return [statement.name]
    names = bound_within(statement)
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        changed = {base.id for target in targets for base in _changed(target)}
        # An assignment may change a part of another object, or be there for the side effect of a call.
        calls = [part.func for part in ast.walk(statement) if isinstance(part, ast.Call)]
        has_effect = any(isinstance(called, ast.Attribute) and called.attr in MUTATORS for called in calls)
        has_effect = has_effect or (bool(calls) and all(name.startswith("_") and name not in read for name in names))
        return sorted(names | changed) + [ON_IMPORT] * bool(changed or not names or has_effect)
    return [*sorted(names), ON_IMPORT]


def _changed(target: ast.expr) -> Iterator[ast.Name]:
    """Yield the names of objects of which an assignment changes a part."""
    for part in ast.walk(target):
        base = part
        while isinstance(base, ast.Attribute | ast.Subscript):
            base = base.value
        if base is not part and isinstance(base, ast.Name):
            yield base


def _has_effect(statement: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, bindings: Bindings) -> bool:
    """Whether a definition may have a side effect, by a decorator that registers it or by the body of a class."""
    for decorator in statement.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        used = references(called, bindings)
        if not isinstance(called, ast.Name | ast.Attribute) or {dotted.split(".")[0] for dotted in used} - PURE:
            return True
    body = statement.body if isinstance(statement, ast.ClassDef) else []
    return any(isinstance(part, ast.Expr) and not isinstance(part.value, ast.Constant) for part in body)
