"""Graph convolution: by hand on two nodes, with dense matrices, and without neighbors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import sparse

from medcode.layers.graph_convolution import FixedGraph, GraphConvolution, normalized


def graph(matrix: np.ndarray) -> FixedGraph:
    return FixedGraph(len(matrix), sparse.csr_matrix(matrix)).double()


def counts(nodes: int = 6) -> np.ndarray:
    random = np.random.default_rng(0)
    gold = random.random((20, nodes)) < 0.3
    gold[:, nodes - 1] = False  # a code that no document has
    return gold.T.astype(np.int64) @ gold


def test_the_graph_of_two_codes_by_hand():
    """Three documents have both: rows of A + I sum to 4, so that each code has a quarter of itself."""
    adjacency = normalized(sparse.csr_matrix([[9, 3], [3, 5]])).toarray()
    np.testing.assert_allclose(adjacency, [[0.25, 0.75], [0.75, 0.25]])
    logarithmic = normalized(sparse.csr_matrix([[9, 3], [3, 5]]), logarithmic=True).toarray()
    other = math.log(4) / (1 + math.log(4))
    np.testing.assert_allclose(logarithmic, [[1 - other, other], [other, 1 - other]])


def test_the_normalized_adjacency_is_the_papers():
    matrix = counts().astype(float)
    np.fill_diagonal(matrix, 0)
    with_self = matrix + np.eye(len(matrix))
    scale = np.diag(with_self.sum(1) ** -0.5)
    np.testing.assert_allclose(normalized(sparse.csr_matrix(counts())).toarray(), scale @ with_self @ scale)


def test_counts_are_left_as_they_are():
    matrix = sparse.csr_matrix(counts())
    before = matrix.toarray()
    normalized(matrix)
    assert (matrix.toarray() == before).all()


def test_a_sum_over_neighbors_is_a_product_with_its_gradient():
    matrix = normalized(sparse.csr_matrix(counts())).toarray()
    dense = torch.from_numpy(matrix.astype(np.float32)).double()
    x = torch.randn(len(matrix), 3, dtype=torch.float64).requires_grad_()
    results = []
    for product in (graph(matrix)(x), dense @ x):
        (gradient,) = torch.autograd.grad(product.sin().sum(), x)
        results.append((product, gradient))
    torch.testing.assert_close(results[0], results[1])


def test_a_node_without_neighbors_has_a_sum_of_zero_and_in_the_adjacency_itself():
    x = torch.randn(3, 2, dtype=torch.float64)
    assert torch.equal(graph(np.zeros((3, 3)))(x), torch.zeros_like(x))
    alone = normalized(sparse.csr_matrix(counts()))
    x = torch.randn(6, 2, dtype=torch.float64)
    torch.testing.assert_close(FixedGraph(6, alone).double()(x)[5], x[5])


def test_without_edges_but_to_itself_a_convolution_is_a_relu_of_a_linear_map():
    layer, x = GraphConvolution(4, 4).double(), torch.randn(5, 4, dtype=torch.float64)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.eye(4))
    alone = FixedGraph(5, normalized(sparse.csr_matrix((5, 5)))).double()
    torch.testing.assert_close(layer(x, alone), x.relu())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sums_are_in_the_type_of_the_weights(dtype):
    found = FixedGraph(6, normalized(sparse.csr_matrix(counts())))(torch.ones(6, 2, dtype=dtype))
    assert found.dtype == torch.float32


def test_relabeled_nodes_have_relabeled_sums():
    matrix, order = normalized(sparse.csr_matrix(counts())), torch.tensor([3, 0, 5, 1, 4, 2])
    layer, x = GraphConvolution(4, 3).double(), torch.randn(6, 4, dtype=torch.float64)
    relabeled = matrix[order.numpy()][:, order.numpy()]
    before, after = layer(x, FixedGraph(6, matrix).double()), layer(x[order], FixedGraph(6, relabeled).double())
    torch.testing.assert_close(after, before[order])


def test_edges_are_loaded_with_the_weights():
    first, empty = FixedGraph(6, normalized(sparse.csr_matrix(counts()))), FixedGraph(6, None)
    x = torch.randn(6, 2)
    assert torch.equal(empty(x), torch.zeros_like(x))
    empty.load_state_dict(first.state_dict())
    assert torch.equal(empty(x), first(x))
