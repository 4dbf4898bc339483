"""The tree of some codes as numbers: nodes, parents, and the words of their titles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medcode.dataset.title_words import known_words

if TYPE_CHECKING:
    from scipy import sparse

    from medcode.codes.tree import Path as TreePath

LEVELS = "category", "block", "chapter"  # above a code
Tokenize = Callable[[Sequence[str]], list[np.ndarray]]


@dataclass(frozen=True)
class CodeTree:
    """The nodes of the paths of some codes, each once, parents first.

    Attributes:
        titles: of each node, empty where it has none.
        parents: index of the node above each, -1 for a chapter.
        labels: index of the node of each code, [Y].
        ancestors: indices of the category, the block and the chapter of each code, [Y, 3]. A level that the path lacks
            repeats the one below.
    """

    titles: list[str]
    parents: list[int]
    labels: list[int]
    ancestors: list[list[int]]

    @classmethod
    def of_paths(cls, paths: Sequence[TreePath]) -> CodeTree:
        """Return the tree of codes.

        Args:
            paths: nodes from the chapter of each code down to the code itself.
        """
        numbers: dict[tuple[str, str, str], int] = {}
        titles: list[str] = []
        parents: list[int] = []
        labels, ancestors = [], []
        for path in paths:
            above, at = -1, dict[str, int]()
            for node in path:
                number = numbers.setdefault((node.level, node.system, node.code), len(titles))
                if number == len(titles):
                    titles.append(node.title)
                    parents.append(above)
                titles[number] = titles[number] or node.title
                at[node.level] = above = number
            labels.append(above)
            of_levels = []
            for level in LEVELS:
                above = at.get(level, above)
                of_levels.append(above)
            ancestors.append(of_levels)
        return cls(titles, parents, labels, ancestors)

    def neighbors(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Return the matrices of means over the parent and over the children of each node, [M, M] each.

        The row of a node without a parent, or without children, is empty.
        """
        from scipy import sparse

        size, below = len(self.parents), [node for node, parent in enumerate(self.parents) if parent >= 0]
        edges = np.ones(len(below)), (below, [self.parents[node] for node in below])
        parents = sparse.csr_matrix(edges, shape=(size, size))
        children = sparse.csr_matrix(parents.T)
        children.data /= np.repeat(np.diff(children.indptr), np.diff(children.indptr))
        return parents, children

    def words(self, tokenize: Tokenize, without: Sequence[int]) -> list[np.ndarray]:
        """Return the words of the title of each node; of a title without known words those of the node above.

        Args:
            tokenize: splits titles into ids of words.
            without: ids to leave out, such as that of unknown words.
        """
        found: list[np.ndarray] = []
        for ids, parent in zip(tokenize(self.titles), self.parents, strict=True):
            known = known_words(ids, without)
            found.append(found[parent] if not len(known) and parent >= 0 else known)
        return found
