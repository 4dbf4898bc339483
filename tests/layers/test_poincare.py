"""The Poincaré ball: distances by hand, isometries, the border, blocks, and vectors of a tree."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medcode.layers import poincare
from medcode.layers.poincare import distance, distances, mapped_distances, point, tree_vectors


def sample(*shape: int, seed: int = 0) -> Tensor:
    """Return random points of norms up to 0.98."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(*shape, generator=generator, dtype=torch.float64)
    radius = 0.98 * torch.rand(*shape[:-1], 1, generator=generator, dtype=torch.float64)
    return radius * torch.nn.functional.normalize(direction, dim=-1)


def translated(x: Tensor, by: Tensor) -> Tensor:
    """Return a + x, the Möbius addition, an isometry of the ball (Ganea et al. 2018, section 2.3)."""
    product, squares, by_squares = (x @ by)[:, None], x.square().sum(1, keepdim=True), by.square().sum()
    numerator = (1 + 2 * product + squares) * by + (1 - by_squares) * x
    return numerator / (1 + 2 * product + by_squares * squares)


def test_distances_by_hand():
    zero, half = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[0.3, 0.4]], dtype=torch.float64)
    other = torch.tensor([[0.0, -0.5]], dtype=torch.float64)
    assert distance(zero, half).item() == pytest.approx(math.log(3), abs=1e-9)
    assert distance(half, other).item() == pytest.approx(2.11375, abs=1e-5)
    for radius in (0.1, 0.9, 0.999):
        x = torch.tensor([radius, 0.0], dtype=torch.float64)
        assert distance(torch.zeros_like(x), x).item() == pytest.approx(2 * math.atanh(radius), rel=1e-9)


def test_a_distance_is_symmetric_and_obeys_the_triangle_inequality():
    x, y, z = (sample(200, 5, seed=seed) for seed in range(3))
    torch.testing.assert_close(distance(x, y), distance(y, x))
    assert (distance(x, z) <= distance(x, y) + distance(y, z) + 1e-9).all()


def test_isometries_keep_distances():
    x, y = sample(100, 4), sample(100, 4, seed=1)
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    torch.testing.assert_close(distance(x @ rotation, y @ rotation), distance(x, y))
    by = sample(1, 4, seed=2)[0]
    assert translated(x, by).norm(dim=1).max() < 1
    torch.testing.assert_close(distance(translated(x, by), translated(y, by)), distance(x, y), rtol=1e-6, atol=1e-6)


def test_distances_to_all_points_are_those_of_pairs():
    x, points = sample(3, 6, 5), sample(7, 5, seed=1)
    torch.testing.assert_close(distances(x, points), distance(x.unsqueeze(2), points))


@pytest.mark.parametrize("scale", [1e-30, 0.01, 1.0, 1e6])
def test_points_stay_in_the_ball(scale):
    direction, magnitude = scale * torch.randn(50, 4), scale * torch.randn(50)
    points = point(direction, magnitude)
    assert (points.norm(dim=1) < 1).all() and distances(points, points).isfinite().all()


def test_a_point_depends_on_the_direction_alone_and_its_radius_on_the_magnitude():
    direction = torch.randn(5, 4, dtype=torch.float64)
    magnitude = torch.tensor([0.0, -3.0, 2.0, 40.0, -40.0], dtype=torch.float64)
    points = point(direction, magnitude)
    torch.testing.assert_close(point(7 * direction, magnitude), points)
    assert points[0].norm().item() == pytest.approx(0.5)
    torch.testing.assert_close(points.norm(dim=1), torch.sigmoid(magnitude).clamp(max=1 - 1e-5))


def test_gradients_are_finite_where_points_coincide_or_lie_near_the_border():
    direction = torch.eye(3).repeat(2, 1).requires_grad_()
    magnitude = torch.tensor([20.0, 0.0, -20.0, 20.0, 0.0, -20.0]).requires_grad_()
    points = point(direction, magnitude)
    distances(points, points.detach()).sum().backward()
    assert direction.grad.isfinite().all() and magnitude.grad.isfinite().all()


@pytest.mark.parametrize("limit", [1, 60, 10_000])
def test_blocks_change_no_result_and_no_gradient(monkeypatch, limit):
    results = []
    for block in (10_000, 4):
        monkeypatch.setattr(poincare, "BLOCK", block)
        monkeypatch.setattr(poincare, "BLOCK_DISTANCES", limit)
        x, points = sample(2, 5, 3).requires_grad_(), sample(11, 3, seed=1)
        weight = torch.randn(6, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
        mapped = mapped_distances(x, points, weight)
        mapped.sin().sum().backward()
        results.append((mapped, x.grad, weight.grad))
    for plain, streamed in zip(*results, strict=True):
        torch.testing.assert_close(streamed, plain, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0][0], distances(sample(2, 5, 3), points) @ weight.T)


def test_blocks_hold_few_distances_at_a_time(monkeypatch):
    monkeypatch.setattr(poincare, "BLOCK_DISTANCES", 1_000)
    sizes, whole = [], poincare.distances
    monkeypatch.setattr(poincare, "distances", lambda x, points: sizes.append(len(points)) or whole(x, points))
    mapped_distances(torch.zeros(2, 5, 3), torch.zeros(1_200, 3), torch.zeros(4, 1_200))
    assert sum(sizes) == 1_200 and max(sizes) == 100


# A root that is no node, two chapters, two categories each, three codes each.
PARENTS = [-1, -1, *(0, 0, 1, 1), *(parent for parent in range(2, 6) for _ in range(3))]


def test_nodes_of_a_tree_are_nearest_their_relatives():
    vectors = tree_vectors(PARENTS, 10, negatives=5, epochs=200, seed=1)
    assert vectors.shape == (18, 10) and vectors.dtype == torch.float32 and vectors.norm(dim=1).max() < 1
    between = distances(vectors, vectors)
    for code in range(6, 18):
        parent = PARENTS[code]
        strangers = [other for other in range(6, 18) if PARENTS[PARENTS[other]] != PARENTS[parent]]
        assert between[code, parent] < between[code, strangers].min()


def test_vectors_of_a_tree_depend_on_the_seed_alone():
    first, same, other = (tree_vectors(PARENTS, 4, negatives=3, epochs=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert tree_vectors([-1], 4, negatives=10, epochs=2, seed=1).shape == (1, 4)
