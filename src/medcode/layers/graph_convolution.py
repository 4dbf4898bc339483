"""Graphs that are not trained, and convolutions over the neighbors of their nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from medcode.layers.loaded_buffers import resize_to_loaded

if TYPE_CHECKING:
    from scipy import sparse


class FixedGraph(nn.Module):
    """A weighted sum over the neighbors of each node: the product with a sparse matrix that is not trained.

    The sum of a node without neighbors is zero. Memory grows with the number of edges.

    Args:
        nodes: number of nodes M.
        matrix: weights of the edges, [M, M]; None starts without edges, for a model whose saved weights, which contain
            the edges, are loaded later.

    Shapes: [M, D] -> fp32 [M, D] (float64 for float64).
    """

    neighbors: Tensor
    starts: Tensor
    weights: Tensor

    def __init__(self, nodes: int, matrix: sparse.csr_matrix | None) -> None:
        super().__init__()
        if matrix is None:
            parts = [torch.zeros(0, dtype=torch.long), torch.zeros(nodes, dtype=torch.long), torch.zeros(0)]
        else:
            arrays = matrix.indices, matrix.indptr[:-1]
            parts = [torch.from_numpy(array.astype(np.int64)) for array in arrays]
            parts.append(torch.from_numpy(matrix.data.astype(np.float32)))
        for name, values in zip(("neighbors", "starts", "weights"), parts, strict=True):
            self.register_buffer(name, values)
        self.register_load_state_dict_pre_hook(resize_to_loaded)

    def forward(self, x: Tensor) -> Tensor:
        # A bag holds the neighbors of one node, so no tensor of the size [edges, D] is created.
        return nn.functional.embedding_bag(
            self.neighbors, x.to(self.weights.dtype), self.starts, mode="sum", per_sample_weights=self.weights
        )


class GraphConvolution(nn.Module):
    """Graph convolution: a linear map, a sum over the neighbors, and a ReLU.

    Source: Kipf and Welling 2017, "Semi-Supervised Classification with Graph Convolutional Networks", equation 2.

        x' = relu(A x W)

    Args:
        inputs: D of the input.
        features: D of the output.

    Shapes: [M, inputs], the graph A of M nodes, which is `normalized` in the paper -> [M, features].
    """

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, features, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, x: Tensor, graph: FixedGraph) -> Tensor:
        return torch.relu(graph(self.linear(x)))


def normalized(counts: sparse.csr_matrix, *, logarithmic: bool = False) -> sparse.csr_matrix:
    """Return the normalized adjacency of a graph whose edges are weighed by counts.

    Source: Kipf and Welling 2017, section 2: D^-1/2 (A + I) D^-1/2, where D are the row sums of A + I.

    Args:
        counts: A, symmetric [M, M]; its diagonal is ignored.
        logarithmic: whether an edge weighs log(1 + its count).
    """
    from scipy import sparse

    weights = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    weights.setdiag(0)
    if logarithmic:
        weights.data = np.log1p(weights.data)
    weights = weights + sparse.identity(len(weights.indptr) - 1, format="csr")
    weights.eliminate_zeros()
    scale = sparse.diags(1 / np.sqrt(np.asarray(weights.sum(1)).ravel()))
    return sparse.csr_matrix(scale @ weights @ scale)
