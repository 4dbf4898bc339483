"""The tree of codes: chapter, block, category, and every longer beginning of a code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from medcode.codes import formatting

Level = Literal["chapter", "block", "category", "code"]


class Node(NamedTuple):
    """A node of the tree. A node has the same value in the paths of all codes below it.

    Attributes:
        level: chapter, block, category, or code: everything below a category.
        system: code system.
        code: the code, dotted; of a chapter or block its range of categories, as 390-459.
        title: empty where the tables have none.
    """

    level: Level
    system: str
    code: str
    title: str


Path = tuple[Node, ...]  # from a chapter down to a code


def levels(path: Path) -> Path:
    """Return the nodes of five levels: chapter, block, category, the shortest longer beginning of the code, the code.

    A level that the path lacks repeats the one below.
    """
    of_level = {node.level: node for node in reversed(path)}
    nodes = [path[-1]]
    for level in ("code", "category", "block", "chapter"):
        nodes.append(of_level.get(level, nodes[-1]))
    return tuple(reversed(nodes))


class Tree:
    """Paths of codes.

    Args:
        descriptions: {(system, code): description}.
        hierarchy: rows of `codes.hierarchy.table`.
    """

    def __init__(self, descriptions: Mapping[tuple[str, str], str], hierarchy: Iterable[Mapping[str, Any]]) -> None:
        self.descriptions = descriptions
        self._upper: dict[tuple[str, str], Path] = {}  # by system and category
        for row in hierarchy:
            if row["category"] is not None and (key := (row["system"], row["category"])) not in self._upper:
                self._upper[key] = tuple(
                    Node(level, row["system"], row[level], row[f"{level}_description"])
                    for level in ("chapter", "block")
                    if row[level] is not None
                )

    def path(self, system: str, code: str, title: str = "") -> Path:
        """Return the nodes from the chapter of a code down to the code itself.

        A level that the tables lack is left out, as the block in chapters without blocks. A code of another system than
        those of `formatting`, such as a CCS category, has no node above it.

        Args:
            system, code: of the code, dotted.
            title: of the code, where the tables have none.
        """
        if system not in formatting.SYSTEMS:
            return (Node("code", system, code, title),)
        category = formatting.category(code, system)
        upper = self._upper.get((system, formatting.undotted(category)), ())
        nodes = [Node("category" if part == category else "code", system, part, self._title(system, part))
                 for part in _beginnings(system, code, category)]  # fmt: skip
        nodes[-1] = nodes[-1]._replace(title=nodes[-1].title or title)
        return (*upper, *nodes)

    def _title(self, system: str, code: str) -> str:
        return self.descriptions.get((system, code), "")


def _beginnings(system: str, code: str, category: str) -> list[str]:
    """Return the category, each longer beginning that has the form of a code, and the code itself."""
    plain, shortest = formatting.undotted(code), len(formatting.undotted(category))
    parts = (formatting.dotted(plain[:length], system) for length in range(shortest, len(plain)))
    return [*(part for part in parts if formatting.is_valid(part, system)), code]
