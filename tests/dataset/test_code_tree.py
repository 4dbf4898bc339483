"""The tree of codes as numbers: nodes, parents, levels, and words of titles."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from medcode.dataset.code_tree import CodeTree


class Node(NamedTuple):
    level: str
    system: str
    code: str
    title: str


CHAPTER, BLOCK = Node("chapter", "icd9cm", "390-459", "circulation"), Node("block", "icd9cm", "401-405", "pressure")
CATEGORY, OTHER = Node("category", "icd9cm", "401", "hypertension"), Node("category", "icd9cm", "486", "pneumonia")
PATHS = [
    (CHAPTER, BLOCK, CATEGORY, Node("code", "icd9cm", "401.9", "unspecified")),
    (CHAPTER, BLOCK, CATEGORY, Node("code", "icd9cm", "401.1", "")),
    (OTHER,),
    (CHAPTER, BLOCK, CATEGORY._replace(title="")),
    (Node("code", "ccs", "98", "essential"),),
]


def test_each_node_is_there_once_below_its_parent():
    tree = CodeTree.of_paths(PATHS)
    assert tree.titles == ["circulation", "pressure", "hypertension", "unspecified", "", "pneumonia", "essential"]
    assert tree.parents == [-1, 0, 1, 2, 2, -1, -1]
    assert tree.labels == [3, 4, 5, 2, 6]


def test_a_level_that_a_path_lacks_repeats_the_one_below():
    assert CodeTree.of_paths(PATHS).ancestors == [[2, 1, 0], [2, 1, 0], [5, 5, 5], [2, 1, 0], [6, 6, 6]]
    without_block = [(CHAPTER, CATEGORY, PATHS[0][3])]
    assert CodeTree.of_paths(without_block).ancestors == [[1, 1, 0]]


def test_each_node_reads_its_parent_and_the_mean_of_its_children():
    parents, children = (matrix.toarray() for matrix in CodeTree.of_paths(PATHS).neighbors())
    assert [row.nonzero()[0].tolist() for row in parents] == [[], [0], [1], [2], [2], [], []]
    assert [row.nonzero()[0].tolist() for row in children] == [[1], [2], [3, 4], [], [], [], []]
    assert children[2, 3] == children[2, 4] == 0.5 and parents[3, 2] == 1
    alone = CodeTree.of_paths([(OTHER,)]).neighbors()
    assert [matrix.nnz for matrix in alone] == [0, 0]


def test_a_title_without_known_words_has_those_of_the_node_above():
    unknown = 9
    ids = {"": [], "circulation": [1, 2], "pressure": [unknown], "hypertension": [3, unknown], "unspecified": [unknown]}

    def tokenize(titles):
        return [np.array(ids.get(title, [4]), dtype=np.int32) for title in titles]

    words = CodeTree.of_paths(PATHS).words(tokenize, (0, unknown))
    assert [found.tolist() for found in words] == [[1, 2], [1, 2], [3], [3], [3], [4], [4]]
    assert words[0].dtype == np.int64
