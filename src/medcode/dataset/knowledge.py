"""What the reference tables know of the labels: their synonyms and their places in the tree (data/knowledge)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medcode import io
from medcode.codes.tree import Node, Tree
from medcode.codes.tree import Path as TreePath
from medcode.errors import UserError

TERMS, TREE = "terms.json", "tree.json"
MAKE_AGAIN = "make it again (dvc repro knowledge)"

Labels = Mapping[str, list[dict[str, Any]]]  # records of the labels, by head
Terms = dict[str, list[list[str]]]
Paths = dict[str, list[TreePath]]


def terms_of(labels: Labels, synonyms: Iterable[Mapping[str, str]]) -> Terms:
    """Return the synonyms of each label without its description, each in one spelling only: {head: [Y lists]}.

    Args:
        labels: with system, code and description.
        synonyms: rows of `codes.synonyms.table`; their order is kept.
    """
    known: dict[tuple[str, str], list[str]] = {}
    for row in synonyms:
        known.setdefault((row["system"], row["code"]), []).append(row["synonym"])

    def of_label(label: Mapping[str, Any]) -> list[str]:
        found = {text.casefold(): text for text in reversed(known.get((label["system"], label["code"]), []))}
        found.pop(label["description"].casefold(), None)
        return [*reversed(found.values())]

    return {head: [of_label(label) for label in of_head] for head, of_head in labels.items()}


def paths_of(labels: Labels, tree: Tree) -> Paths:
    """Return the path of each label in the tree, root first and the label itself last: {head: [Y paths]}."""
    return {
        head: [tree.path(label["system"], label["code"], label["description"]) for label in of_head]
        for head, of_head in labels.items()
    }


def write(folder: str | os.PathLike, terms: Terms | None, paths: Paths | None) -> None:
    """Write data/knowledge, all or nothing. None is left out."""
    with io.atomic_folder(folder) as target:
        if terms is not None:
            io.write_json(target / TERMS, terms)
        if paths is not None:
            nodes = {node: number for number, node in enumerate(dict.fromkeys(
                node for of_head in paths.values() for path in of_head for node in path
            ))}  # fmt: skip
            numbers = {head: [[nodes[node] for node in path] for path in of_head] for head, of_head in paths.items()}
            io.write_json(target / TREE, {"nodes": [*nodes], "paths": numbers})


def read_terms(folder: str | os.PathLike) -> Terms:
    """Read the synonyms of each label.

    Raises:
        UserError: the folder holds none.
    """
    return _read(Path(folder) / TERMS)


def read_paths(folder: str | os.PathLike) -> Paths:
    """Read the path of each label in the tree.

    Raises:
        UserError: the folder holds none.
    """
    content = _read(Path(folder) / TREE)
    nodes = [Node(*values) for values in content["nodes"]]
    return {
        head: [tuple(nodes[number] for number in path) for path in of_head]
        for head, of_head in content["paths"].items()
    }


def _read(path: Path) -> Any:
    if not path.exists():
        raise UserError(f"{path.parent}: holds no {path.name}, which training needs; {MAKE_AGAIN}")
    return io.read_json(path)
