"""References of code to names of its module, as dotted names of the project.

Python looks a name up in the function, in the functions around it, then in the module. Only the last are references: a
local variable with the name of a function of the module is none. In doubt a name counts as a reference: one too many
runs a stage for nothing, one too few keeps a stale result. Annotations of functions change no result and count as
comments. Annotations of classes change results by pydantic.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)
# Built-in functions that reach every name of the module.
REACH_ALL = {"eval", "exec", "globals"}

Bindings = Mapping[str, set[str]]


@dataclass
class _Scope:
    names: set[str] = field(default_factory=set)  # bound in the scope, so no reference
    imports: dict[str, set[str]] = field(default_factory=dict)  # by the name that they have in the scope
    of_module: set[str] = field(default_factory=set)  # declared `global`
    is_class: bool = False  # names that a class binds are not visible in its methods


def imported(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
    """Return the names that an import statement binds, each with the dotted name that it stands for.

    Raises:
        ValueError: the import is relative or of `*`, so the names that it binds are unknown.
    """
    if isinstance(node, ast.Import):
        tops = [(alias, alias.name.split(".")[0]) for alias in node.names]
        return [(alias.asname, alias.name) if alias.asname else (top, top) for alias, top in tops]
    if node.level or any(alias.name == "*" for alias in node.names):
        raise ValueError(f"line {node.lineno}: import by full names, and each by its name")
    return [(alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names]


def import_targets(node: ast.AST) -> set[str]:
    """Return the dotted names that all import statements in a piece of code import.

    Raises:
        ValueError: see `imported`.
    """
    targets, waiting = set(), [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Import):
            targets |= {alias.name for alias in part.names}
        elif isinstance(part, ast.ImportFrom):
            targets |= {dotted for _, dotted in imported(part)}
        else:  # no expression holds a statement
            waiting += [child for child in ast.iter_child_nodes(part) if isinstance(child, STATEMENTS)]
    return targets


def uses(node: ast.AST, bindings: Bindings) -> dict[str, set[str]]:
    """Return the module-level names that a statement uses, {name as written: dotted names}.

    Args:
        node: a statement at the top of a module.
        bindings: the names of the module, {name: the dotted names that it may stand for}.

    Raises:
        ValueError: an import statement in it does not say what it binds.
    """
    finder = _Finder(bindings)
    finder.visit(node)
    return finder.names


def references(node: ast.AST, bindings: Bindings) -> set[str]:
    """Return the dotted names of `uses`."""
    return set().union(*uses(node, bindings).values())


def texts(node: ast.AST) -> set[str]:
    """Return the string constants of a statement, docstrings left out."""
    constants, waiting = set(), [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Constant):
            constants |= {part.value} if isinstance(part.value, str) else set()
        elif docstring(part) is None:
            waiting.extend(ast.iter_child_nodes(part))
    return constants


def docstring(node: ast.AST) -> ast.Constant | None:
    """Return the text of a statement that is only a string: a docstring or a remark. None for any other node."""
    value = node.value if isinstance(node, ast.Expr) else None
    return value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


class _Finder(ast.NodeVisitor):
    def __init__(self, bindings: Bindings) -> None:
        self.bindings, self.names, self.scopes = bindings, dict[str, set[str]](), list[_Scope]()

    def visit_Name(self, node: ast.Name) -> None:
        dotted = self._dotted(node.id, stored=not isinstance(node.ctx, ast.Load))
        if not dotted and node.id in REACH_ALL:
            dotted = set().union(*self.bindings.values())
        self._add(node.id, dotted)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            parts, base = [base.attr, *parts], base.value
        if isinstance(base, ast.Name):
            self._add(".".join([base.id, *parts]), {".".join([dotted, *parts]) for dotted in self._dotted(base.id)})
        else:
            self.visit(base)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.slice, ast.Name) and node.slice.id == "__name__":  # of sys.modules: the module as a whole
            self._add("__name__", set().union(*self.bindings.values()))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all(*node.decorator_list, *_defaults(node.args))
        self._enter(_scope_of(node), node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_all(*_defaults(node.args))
        self._enter(_scope_of(node), [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all(*node.decorator_list, *node.bases, *node.keywords)
        self._enter(_scope_of(node), node.body)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_all(node.target, node.value)
        if self.scopes and self.scopes[-1].is_class:
            self._visit_all(node.annotation, *_quoted(node.annotation))

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        first, *later = node.generators
        self.visit(first.iter)  # evaluated outside, where the names of the comprehension are not bound yet
        targets = (part for generator in node.generators for part in ast.walk(generator.target))
        scope = _Scope({part.id for part in targets if isinstance(part, ast.Name) and not _read(part)})
        values = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        self._enter(scope, [first.target, *first.ifs, *later, *values])

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def _add(self, name: str, dotted: set[str]) -> None:
        if dotted:
            self.names[name] = self.names.get(name, set()) | dotted

    def _visit_all(self, *nodes: ast.AST | None) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _enter(self, scope: _Scope, body: Iterable[ast.AST]) -> None:
        self.scopes.append(scope)
        self._visit_all(*body)
        self.scopes.pop()

    def _dotted(self, name: str, stored: bool = False) -> set[str]:
        """Return the dotted names that a name may stand for: none for a local variable or a built-in name."""
        for depth, scope in enumerate(reversed(self.scopes)):
            if scope.is_class and depth:
                continue
            if name in scope.of_module:
                break
            if name in scope.imports:
                return scope.imports[name] | (self.bindings.get(name, set()) if scope.is_class else set())
            if name in scope.names:
                if scope.is_class and not stored:  # before the class binds it, the name is the module's
                    break
                return set()
        return self.bindings.get(name, set())


def _defaults(arguments: ast.arguments) -> list[ast.AST | None]:
    return [*arguments.defaults, *arguments.kw_defaults]


def _quoted(annotation: ast.AST) -> Iterator[ast.AST]:
    """Yield the quoted expressions of an annotation."""
    for text in texts(annotation):
        try:
            yield ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError):
            continue  # a value of a Literal


def _scope_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef) -> _Scope:
    """Return the scope of a function or a class, without the scopes of functions within it."""
    scope = _Scope(is_class=isinstance(node, ast.ClassDef))
    if not scope.is_class:
        arguments = node.args
        parameters = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
        scope.names |= {argument.arg for argument in parameters if argument is not None}
    for part in _scope_nodes(node.body if isinstance(node.body, list) else [node.body]):
        scope.names |= bound(part)
        if isinstance(part, ast.Import | ast.ImportFrom):
            for name, dotted in imported(part):
                scope.imports.setdefault(name, set()).add(dotted)
        elif isinstance(part, ast.Global):
            scope.of_module |= set(part.names)
    return scope


def bound(node: ast.AST) -> set[str]:
    """Return the names that a single node binds, import statements left out."""
    if isinstance(node, ast.Name) and not _read(node):
        return {node.id}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        return {node.name}
    if isinstance(node, ast.MatchMapping) and node.rest:
        return {node.rest}
    return set()


def bound_within(node: ast.AST) -> set[str]:
    """Return the names that a statement binds in its module, without those bound within functions."""
    return set().union(*map(bound, _scope_nodes([node])))


def _read(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _scope_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        if isinstance(node, COMPREHENSIONS):
            yield from _walrus_targets(node)
            continue
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield from _scope_nodes(ast.iter_child_nodes(node))


def _walrus_targets(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the names that `:=` in a comprehension binds in the scope around it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.NamedExpr):
            yield child.target
        if not isinstance(child, ast.Lambda):
            yield from _walrus_targets(child)
