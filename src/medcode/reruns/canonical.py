"""Canonical text of Python statements, independent of layout, comments, docstrings and annotations.

`ast.dump` and `ast.unparse` differ between versions of Python. This text does not, so one dvc.lock serves all.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from typing import Any

from medcode.reruns.references import docstring

# Fields that change no result: they repeat other fields, or say how the code was written.
IGNORED = {"ctx", "kind", "type_comment", "type_ignores", "returns"}


def digest(*nodes: Any) -> str:
    """Return a short SHA-256 of the canonical text of statements and plain values."""
    return hashlib.sha256("\n".join(canonical(node) for node in nodes).encode()).hexdigest()[:16]


def canonical(value: Any, in_class: bool = False) -> str:
    """Return the canonical text of a node, of a list of nodes, or of a plain value.

    Args:
        value: a field of a syntax tree.
        in_class: whether the value is in the body of a class, the only place where annotations count.
    """
    if isinstance(value, list):
        return f"[{','.join(canonical(item, in_class) for item in value if not _is_remark(item))}]"
    if not isinstance(value, ast.AST):
        return ascii(value)  # which characters `repr` escapes depends on Python's version
    if isinstance(value, ast.JoinedStr):
        return f"JoinedStr({','.join(_joined_parts(value, in_class))})"
    if isinstance(value, ast.AnnAssign) and value.value is not None and not in_class:
        return canonical(ast.Assign(targets=[value.target], value=value.value))
    children_in_class = isinstance(value, ast.ClassDef) or (
        in_class and not isinstance(value, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    fields = ",".join(f"{name}={canonical(item, children_in_class)}" for name, item in _fields(value, in_class))
    return f"{type(value).__name__}({fields})"


def _fields(node: ast.AST, in_class: bool) -> Iterator[tuple[str, Any]]:
    for name, item in ast.iter_fields(node):
        if name in IGNORED or item is None or item == []:
            continue
        if name == "annotation" and (isinstance(node, ast.arg) or not in_class):
            continue
        yield name, item


def _is_remark(item: Any) -> bool:
    """Whether a node is a docstring, of an attribute for instance."""
    return isinstance(item, ast.AST) and docstring(item) is not None


def _joined_parts(node: ast.JoinedStr, in_class: bool) -> Iterator[str]:
    """Yield the parts of an f-string, neighboring texts joined: their cuts depend on the version of Python."""
    text = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        if text:
            yield ascii(text)
        text = ""
        yield canonical(part, in_class)
    if text:
        yield ascii(text)
