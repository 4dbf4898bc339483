"""MAT over a list of edges equals MAT over the matrix of all pairs, gradients included."""

from __future__ import annotations

from collections.abc import Iterable

import plain
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medcode.codes import gem
from medcode.layers.code_edges import Edges
from medcode.models.jams import MedicalCodeAttention

FEATURES = 5


def edges(weights: Tensor) -> Edges:
    """Return the edges of a matrix in random order."""
    source, target = weights.nonzero(as_tuple=True)
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
    return Edges(source[order], target[order], weights[source, target].float()[order])


def build(first: Tensor, second: Tensor, features: int = FEATURES, **options) -> MedicalCodeAttention:
    """Build the layer for the edges of two matrices, [Y, Y'] and [Y', Y]."""
    torch.manual_seed(1)
    labels = {"icd9": first.shape[0], "icd10": second.shape[0]}
    layer = MedicalCodeAttention(labels, features, {"icd9": edges(first), "icd10": edges(second)}, **options)
    for table in layer.tables.values():
        nn.init.normal_(table)
    return layer.double()


def by_hand(layer: MedicalCodeAttention, first: Tensor, second: Tensor, **options) -> list[Tensor]:
    u, v = layer.tables.values()
    a = layer.vector.squeeze(1)
    return [plain.medical_codes(u, v, a, first, **options), plain.medical_codes(v, u, a, second, **options)]


@st.composite
def graphs(draw) -> tuple[Tensor, Tensor]:
    """Sample matrices of both directions, which are not transposes, with few or many edges of weight 1 or 0.5."""
    n, m = draw(st.integers(1, 8)), draw(st.integers(1, 60))
    share, random = (
        draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
        torch.Generator().manual_seed(draw(st.integers(0, 999))),
    )

    def matrix(rows: int, columns: int) -> Tensor:
        is_edge = torch.rand(rows, columns, generator=random) < share
        return is_edge * (0.5 + 0.5 * torch.randint(0, 2, (rows, columns), generator=random)).double()

    return matrix(n, m), matrix(m, n)


@settings(max_examples=40)
@given(graph=graphs(), renormalized=st.booleans())
def test_label_vectors_follow_the_formula_on_any_graph(graph, renormalized):
    layer = build(*graph, renormalized=renormalized)
    for actual, expected in zip(layer().values(), by_hand(layer, *graph, renormalized=renormalized), strict=True):
        torch.testing.assert_close(actual, expected)


def dense(u: Tensor, v: Tensor, a: Tensor, weights: Tensor, *, renormalized: bool) -> Tensor:
    """Compute the formula by dense matrices, with gradients."""
    source, target = a.squeeze(1).chunk(2)
    self_scores = nn.functional.leaky_relu(u @ source + u @ target, 0.2)
    pair_scores = nn.functional.leaky_relu((u @ source)[:, None] + (v @ target)[None], 0.2)
    shares = torch.cat([self_scores[:, None], pair_scores.masked_fill(weights == 0, -torch.inf)], dim=1).softmax(1)
    self_shares, pair_shares = shares[:, :1], shares[:, 1:] * weights
    total = self_shares + pair_shares.sum(1, keepdim=True) if renormalized else 1.0
    return nn.functional.elu((self_shares * u + pair_shares @ v) / total)


@settings(max_examples=40)
@given(graph=graphs(), renormalized=st.booleans())
def test_gradients_equal_the_dense_form(graph, renormalized):
    layer = build(*graph, renormalized=renormalized)
    u, v = layer.tables.values()
    first = dense(u, v, layer.vector, graph[0], renormalized=renormalized)
    second = dense(v, u, layer.vector, graph[1], renormalized=renormalized)
    for actual, expected in zip(gradients(layer, layer().values()), gradients(layer, [first, second]), strict=True):
        torch.testing.assert_close(actual, expected)


def gradients(layer: MedicalCodeAttention, values: Iterable[Tensor]) -> list[Tensor]:
    layer.zero_grad()
    torch.cat(list(values)).sin().sum().backward()
    return [parameter.grad.clone() for parameter in layer.parameters()]


def one_edge(weight: float, **options) -> MedicalCodeAttention:
    """One code in each system with the same vector, and an edge only from the first to the second."""
    layer = build(torch.tensor([[weight]]), torch.zeros(1, 1), **options)
    with torch.no_grad():
        layer.tables["icd10"].copy_(layer.tables["icd9"])
    return layer


@pytest.mark.parametrize(
    ("weight", "options", "factor"), [(1.0, {}, 1.0), (0.5, {}, 0.75), (0.5, {"renormalized": True}, 1.0)]
)
def test_a_code_with_one_equal_equivalent_keeps_all_or_three_quarters_of_its_vector(weight, options, factor):
    layer = one_edge(weight, **options)
    torch.testing.assert_close(layer()["icd9"], nn.functional.elu(factor * layer.tables["icd9"]))


def test_a_code_without_edges_has_only_the_elu():
    layer = one_edge(1.0)
    assert torch.equal(layer()["icd10"], nn.functional.elu(layer.tables["icd10"]))
    alone = MedicalCodeAttention({"icd9": 3, "icd10": 4}, FEATURES, None)
    for head, values in alone().items():
        assert torch.equal(values, nn.functional.elu(alone.tables[head]))


def test_large_scores_do_not_overflow():
    layer = build(torch.ones(2, 50).double(), torch.ones(50, 2).double())
    with torch.no_grad():
        layer.vector.mul_(1e4)
    assert all(torch.isfinite(values).all() for values in layer().values())


def test_symmetric_edges_have_the_larger_weight_of_both_directions():
    first, second = torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, 0.5]]), torch.tensor([[0.5, 0.0], [0.5, 0.0], [0.0, 1.0]])
    union = edges(first).symmetric(edges(second))
    matrix = torch.zeros(2, 3)
    matrix[union.attending, union.attended] = union.weight
    assert matrix.tolist() == [[1.0, 0.5, 0.5], [0.0, 0.0, 1.0]]
    assert len(union.attending) == 4
    back = edges(second).symmetric(edges(first))
    reversed_matrix = torch.zeros(3, 2)
    reversed_matrix[back.attending, back.attended] = back.weight
    assert torch.equal(reversed_matrix, matrix.T)


@pytest.mark.parametrize(("features", "count"), [(50, 704_700), (300, 4_228_200), (512, 7_216_128)])
def test_parameters_count_as_published(features, count):
    layer = MedicalCodeAttention({"icd9": 6_150, "icd10": 7_942}, features, None)
    assert sum(parameter.numel() for parameter in layer.parameters()) == count


def test_loading_weights_restores_the_edges():
    matrices = torch.eye(4).double(), torch.ones(4, 4).double()
    layer = build(*matrices)
    bare = MedicalCodeAttention({"icd9": 4, "icd10": 4}, FEATURES, None).double()
    bare.load_state_dict(layer.state_dict())
    for head, values in layer().items():
        assert torch.equal(bare()[head], values)


def test_gradients_are_deterministic():
    matrices = [(torch.rand(size, generator=torch.Generator().manual_seed(3)) < 0.1).double() * 0.5
                for size in ((300, 400), (400, 300))]  # fmt: skip
    layer = build(*matrices, features=64).float()
    torch.use_deterministic_algorithms(True)
    try:
        first, *repetitions = [gradients(layer, layer().values()) for _ in range(3)]
    finally:
        torch.use_deterministic_algorithms(False)
    for again in repetitions:
        assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))


def test_label_vectors_are_fp32_under_autocast():
    layer = build(torch.ones(3, 4).double(), torch.ones(4, 3).double()).float()
    exact = layer()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(torch.equal(values, exact[head]) for head, values in layer().items())


def test_the_official_mappings_between_label_sets_as_large_as_the_papers(official_tables):
    table = official_tables.gem
    rows = table[table["target"].notna()]
    old, new = (rows[rows["direction"] == direction] for direction in gem.DIRECTIONS)
    icd9 = list(dict.fromkeys(zip(old["source_system"], old["source"], strict=True)))[:6_150]
    icd10 = list(dict.fromkeys(zip(new["source_system"], new["source"], strict=True)))[:7_942]
    table_edges = gem.edges(table, icd9, icd10).to_pandas()
    column = {code: number for codes in (icd9, icd10) for number, code in enumerate(codes)}
    matrices = {
        "icd9_to_icd10": torch.zeros(len(icd9), len(icd10)),
        "icd10_to_icd9": torch.zeros(len(icd10), len(icd9)),
    }
    for row in table_edges.itertuples():
        pair = column[row.source_system, row.source], column[row.target_system, row.target]
        matrices[row.direction][pair] = row.weight
    first, second = matrices.values()
    layer = build(first, second, features=3)
    (u, v), a, some = layer.tables.values(), layer.vector.squeeze(1), slice(None, None, 20)
    vectors = layer()
    torch.testing.assert_close(vectors["icd9"][some], plain.medical_codes(u[some], v, a, first[some].double()))
    torch.testing.assert_close(vectors["icd10"][some], plain.medical_codes(v[some], u, a, second[some].double()))
    assert (first > 0).any(1).sum() > 1_000 and (second > 0).sum(1).max() > 5
