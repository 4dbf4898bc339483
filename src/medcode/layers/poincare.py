"""The Poincaré ball, in which the distance of codes can be that in their tree.

Points are vectors of a norm below one. Distances grow without bound toward the border, so that a tree, whose nodes
multiply with every level, finds room there. Everything is in fp32 (float64 for float64): near the border a distance
depends on the last digits of a norm.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

BORDER = 1e-5  # points are at least so far from the border
SMALLEST = 1e-7  # of the argument of arcosh above 1, where its derivative is infinite
# Distances to more points than these are computed in blocks of points, each of at most so many distances.
BLOCK, BLOCK_DISTANCES = 512, 2**24


def point(direction: Tensor, magnitude: Tensor) -> Tensor:
    """Return the point in a direction, at the sigmoid of a magnitude from the origin.

    Source: Dhingra et al. 2018, "Embedding Text in Hyperbolic Spaces", section 3.2, as Cao et al. 2020 use it.

    Args:
        direction: of any norm; the origin for a direction of zero.
        magnitude: any number.

    Shapes: [..., D], [...] -> [..., D].
    """
    radius = torch.sigmoid(magnitude).clamp(max=1 - BORDER)
    return radius.unsqueeze(-1) * nn.functional.normalize(direction, dim=-1, eps=1e-12)


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Return the hyperbolic distances of pairs of points.

    Source: Nickel and Kiela 2017, "Poincaré Embeddings for Learning Hierarchical Representations", equation 1:

        d(x, y) = arcosh(1 + 2 |x - y|^2 / ((1 - |x|^2) (1 - |y|^2)))

    Shapes: [..., D], [..., D] -> [...].
    """
    return _from_squares((x - y).square().sum(-1), x.square().sum(-1), y.square().sum(-1))


def distances(x: Tensor, points: Tensor) -> Tensor:
    """Return the hyperbolic distance of each x to each of some points, by one matrix product.

    Shapes: [..., D], [J, D] -> [..., J].
    """
    squares_x, squares = x.square().sum(-1, keepdim=True), points.square().sum(-1)
    between = (squares_x + squares - 2 * x @ points.T).clamp(min=0)
    return _from_squares(between, squares_x, squares)


def _from_squares(between: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return distances from |x - y|^2, |x|^2 and |y|^2."""
    above = (2 * between / ((1 - first) * (1 - second))).clamp(min=SMALLEST)
    return torch.log1p(above + (above * (above + 2)).sqrt())


def mapped_distances(x: Tensor, points: Tensor, weight: Tensor) -> Tensor:
    """Return W d, for the distances d of each x to all points, without holding them all.

    Distances to many points are computed in blocks, and again in the backward pass, so that no tensor has a number for
    every document, label and point: 8,921 labels would have 80 million for each document.

    Args:
        x: points, [B, Y, D].
        points: [J, D].
        weight: W, [O, J].

    Shapes: -> [B, Y, O].
    """
    if len(points) <= BLOCK:
        return _mapped(x, points, weight)
    size = max(1, min(BLOCK, BLOCK_DISTANCES // x.shape[:-1].numel()))
    total = x.new_zeros(*x.shape[:-1], len(weight))
    for part, part_weight in zip(points.split(size), weight.split(size, dim=1), strict=True):
        total = total + checkpoint(_mapped, x, part, part_weight, use_reentrant=False, preserve_rng_state=False)
    return total


def _mapped(x: Tensor, points: Tensor, weight: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return nn.functional.linear(distances(x, points), weight)


def tree_vectors(parents: Sequence[int], size: int, *, negatives: int, epochs: int, seed: int) -> Tensor:
    """Learn a point for each node of a tree, near those of its parent and its children.

    Source: Nickel and Kiela 2017, by gensim's PoincareModel, as HiCu and Cao et al. 2020 learn the vectors of codes.

    Args:
        parents: index of the parent of each node; -1 for a node below the root, which is not among the nodes.
        size: D.
        negatives: number of other nodes that each edge of a node is compared with; at most all.
        epochs, seed: of the learning.

    Shapes: M parents -> fp32 [M, D], of norms below 1.
    """
    from gensim.models.poincare import PoincareModel  # slow to load, and needed in training alone

    edges = [(str(node), str(parent)) for node, parent in enumerate(parents)]
    model = PoincareModel(edges, size=size, negative=min(negatives, len(edges)), seed=seed)
    model.train(epochs=epochs)
    vectors = torch.stack([torch.from_numpy(model.kv[str(node)].copy()) for node in range(len(parents))])
    return vectors.float().renorm(2, 0, 1 - BORDER)
