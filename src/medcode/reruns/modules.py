"""A Python file as its definitions, each with a digest and with what it refers to."""

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

ON_IMPORT = "on import"  # stands for the statements that do something when the module is imported
# Packages whose decorators only make something of what they decorate; another may note it down somewhere.
PURE = {"abc", "contextlib", "dataclasses", "enum", "functools", "pydantic", "torch", "triton", "typing"}
# Methods that change what they are called on.
MUTATORS = {
    "__setitem__", "add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "register", "remove",
    "setdefault", "update",
}  # fmt: skip
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Definition:
    """A function, class or constant; what is asked of it is found out then, since few definitions are ever reached.

    Args:
        name: its dotted name.
        nodes: its statements.
        bindings: the names of its module.

    Attributes:
        imports: dotted names that it imports by itself, when it is called for instance.

    Raises:
        ValueError: an import statement in it does not say what it binds.
    """

    def __init__(self, name: str, nodes: list[ast.stmt], bindings: Bindings) -> None:
        self._name, self._nodes, self._bindings = name, nodes, bindings
        # Not put off, because an import that hides what it imports is refused.
        self.imports = set().union(*map(import_targets, nodes))

    @functools.cached_property
    def digest(self) -> str:
        """Of its statements, and of what names in them stand for: `np` is another thing when the import says so."""
        module = self._name.rsplit(".", 1)[0]
        foreign = {name: dotted - {f"{module}.{name}"} for name, dotted in self._uses.items()}
        meanings = sorted(f"{name}={','.join(sorted(dotted))}" for name, dotted in foreign.items() if dotted)
        return digest(*self._nodes, meanings)

    @functools.cached_property
    def references(self) -> set[str]:
        """Dotted names that it uses."""
        return set().union(*self._uses.values()) - {self._name}

    @functools.cached_property
    def _uses(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for node in self._nodes:
            for name, dotted in uses(node, self._bindings).items():
                found[name] = found.get(name, set()) | dotted
        return found

    @functools.cached_property
    def texts(self) -> set[str]:
        """Its string constants."""
        return set().union(*map(texts, self._nodes))


@dataclass
class Module:
    """A file of the project.

    Attributes:
        name: as it is imported.
        path: the file.
        definitions: by name; those that are statements with an effect stand under `ON_IMPORT`.
        bindings: what it imports, {name: dotted names, several where that depends on something}.
        imports: dotted names of modules that importing it imports.
    """

    name: str
    path: Path
    definitions: dict[str, Definition] = field(default_factory=dict)
    bindings: dict[str, set[str]] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)


def parse(name: str, path: Path) -> Module:
    """Read a file.

    Raises:
        UserError: it is not valid Python, or it hides what it imports.
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
    """Fills a module in.

    Args:
        module: its name and path.
        statements: those that run when it is imported.
        read: the names that it reads anywhere.

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
                    groups.setdefault(ON_IMPORT, []).append(node)  # imported for what that does
    for statement in statements:
        for title in _titles(statement, read):
            groups.setdefault(title, []).append(statement)
    known = {name: set(dotted) for name, dotted in module.bindings.items()}
    for title in groups.keys() - {ON_IMPORT}:
        known.setdefault(title, set()).add(f"{module.name}.{title}")
    for statement in statements:
        if isinstance(statement, DEFINITIONS) and _has_effect(statement, known):
            groups.setdefault(ON_IMPORT, []).append(statement)
    for title, nodes in groups.items():
        module.definitions[title] = Definition(f"{module.name}.{title}", nodes, known)
    return module


def _running(body: list[ast.stmt], script: bool) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported: no docstrings, and none for type checkers or scripts."""
    for statement in body:
        never = _is_never(statement.test, script) if isinstance(statement, ast.If) else None
        if never is not None:
            yield from _running(statement.orelse if never else statement.body, script)
        elif docstring(statement) is None:
            yield statement


def _is_never(test: ast.expr, script: bool) -> bool | None:
    """Whether a condition never holds, or always: for type checkers, or in a module run by itself; None: it depends."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _is_never(test.operand, script)
        return None if inner is None else not inner
    if ast.unparse(test) == "__name__ == '__main__'":
        return None if script else True
    return True if "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", "")) else None


def _imports(statement: ast.AST, binds: bool = True) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The import statements that run with the module, not those of functions; and whether the module has the names."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        yield statement, binds
    elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        for node in ast.iter_child_nodes(statement):
            if isinstance(node, STATEMENTS):
                yield from _imports(node, binds and not isinstance(statement, ast.ClassDef))


def _titles(statement: ast.stmt, read: Container[str]) -> list[str]:
    """The definitions that a statement belongs to, given the names that the module reads."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return []
    if isinstance(statement, DEFINITIONS):
        return [statement.name]
    names = bound_within(statement)
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        changed = {base.id for target in targets for base in _changed(target)}
        # It may change a part of something, wherever that is from, or be there for what a call does.
        calls = [part.func for part in ast.walk(statement) if isinstance(part, ast.Call)]
        acts = any(isinstance(called, ast.Attribute) and called.attr in MUTATORS for called in calls)
        acts = acts or (bool(calls) and all(name.startswith("_") and name not in read for name in names))
        return sorted(names | changed) + [ON_IMPORT] * bool(changed or not names or acts)
    return [*sorted(names), ON_IMPORT]


def _changed(target: ast.expr) -> Iterator[ast.Name]:
    """The names whose parts an assignment changes."""
    for part in ast.walk(target):
        base = part
        while isinstance(base, ast.Attribute | ast.Subscript):
            base = base.value
        if base is not part and isinstance(base, ast.Name):
            yield base


def _has_effect(statement: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, known: Bindings) -> bool:
    """Whether defining it may do more than define it: a decorator may note it down, and so may the body of a class."""
    for decorator in statement.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        used = references(called, known)
        if not isinstance(called, ast.Name | ast.Attribute) or {dotted.split(".")[0] for dotted in used} - PURE:
            return True
    body = statement.body if isinstance(statement, ast.ClassDef) else []
    return any(isinstance(part, ast.Expr) and not isinstance(part.value, ast.Constant) for part in body)
