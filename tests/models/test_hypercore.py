"""HyperCore against its formula, in loops over labels."""

from __future__ import annotations

import math

import numpy as np
import plain
import pytest
import torch
from scipy import sparse
from torch import Tensor, nn

from medcode.codes.tree import Node
from medcode.dataset.code_tree import CodeTree
from medcode.layers import poincare
from medcode.layers.graph_convolution import normalized
from medcode.models.hypercore import HyperbolicGraphAttention, HyperCore, HyperCoreConfig

SIZE, LABELS = 5, 4
NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(30, seed=2), plain.note(14, seed=3)]
COUNTS = np.array([[9, 3, 0, 1], [3, 5, 2, 0], [0, 2, 4, 0], [1, 0, 0, 2]])
OPTIONS = {
    "kernel": 4, "hyperbolic_size": 3, "graph_layers": 2, "targets": "all", "poincare_epochs": 5,
    "dropout": 0.0, "embedding": "trained",
}  # fmt: skip
TITLES = ["3 4", "5", "29 29", "7 8 9"]  # 29 is unknown


def tokenize(texts: list[str]) -> list[np.ndarray]:
    return [np.array([int(word) for word in text.split()], dtype=np.int32) for text in texts]


def path(label: int) -> tuple[Node, ...]:
    chapter = Node("chapter", "icd9cm", "001-139", "1")
    return chapter, Node("category", "icd9cm", f"00{label // 2}", "11 12"), Node(
        "code", "icd9cm", f"00{label // 2}.{label}", TITLES[label]
    )  # fmt: skip


def build(seed: int = 0, saved: bool = False, **changes) -> HyperCore:
    torch.manual_seed(seed)
    of_labels = {
        "tree": {"icd": [path(label) for label in range(LABELS)]},
        "cooccurrence": {"icd": sparse.csr_matrix(COUNTS)},
        "tokenize": tokenize,
    }
    inputs = plain.inputs({"icd": LABELS}, SIZE, **({} if saved else of_labels))
    model = HyperCore(HyperCoreConfig(**OPTIONS | changes), inputs).eval()
    return plain.scramble(model).double()


def similarity(x: Tensor, y: Tensor) -> Tensor:
    inner = 1 + 2 * (x - y) @ (x - y) / ((1 - x @ x) * (1 - y @ y))
    return torch.log(inner + (inner.square() - 1).sqrt())


def code_vectors(head: HyperbolicGraphAttention, logarithmic: bool) -> Tensor:
    weights = torch.from_numpy(COUNTS).double()
    weights = (weights.log1p() if logarithmic else weights).fill_diagonal_(1)
    degrees, vectors = weights.sum(1), head.titles
    for layer in head.convolutions:
        rows = []
        for i in range(LABELS):
            around = sum(
                weights[i, j] / math.sqrt(degrees[i] * degrees[j]) * (layer.linear.weight @ vectors[j])
                for j in range(LABELS)
            )
            rows.append(around.clamp(min=0))
        vectors = torch.stack(rows)
    return vectors


def by_hand(model: HyperCore, words: list[int]) -> Tensor:
    head, config, layer = model.attention["icd"], model.config, model.convolution
    h = torch.tanh(plain.convolve(plain.vectors(model, words), layer.weight, layer.bias, left=2, right=2))
    codes, logits = code_vectors(head, config.cooccurrence == "log"), []
    for label in range(LABELS):
        query = head.queries(head.titles[label])
        m = torch.softmax(h @ query, 0) @ h
        direction = head.direction(m)
        theta = torch.sigmoid(head.magnitude(m)) * direction / direction.norm()
        targets = head.targets if config.targets == "all" else head.targets[label]
        distances = torch.stack([similarity(theta, target) for target in targets])
        related = torch.softmax(codes @ m, 0) @ codes
        u = config.distance_scale * head.similarity.weight @ distances + head.codes(related)
        logits.append(head.output.weight[label] @ u + head.output.bias[label])
    return torch.stack(logits)


@pytest.mark.parametrize(
    "changes",
    [{}, {"targets": "ancestors"}, {"projected_queries": True}, {"cooccurrence": "log", "distance_scale": 0.1},
     {"graph_layers": 1}],
)  # fmt: skip
def test_logits_follow_the_formula(changes):
    with torch.no_grad():
        model = build(**changes)
        model.convolution.bias.zero_()
        logits = model(*plain.batch(NOTES, 37))["icd"]
        for scores, words in zip(logits, NOTES, strict=True):
            torch.testing.assert_close(scores, by_hand(model, words), rtol=1e-5, atol=1e-6)  # the graph is in fp32


def test_queries_are_means_of_the_words_of_titles_or_of_those_above():
    model = build()
    table, queries = model.embedding.table.weight, model.attention["icd"].titles
    expected = torch.stack([table[[3, 4]].mean(0), table[5], table[[11, 12]].mean(0), table[[7, 8, 9]].mean(0)])
    torch.testing.assert_close(queries, expected)
    assert not queries.requires_grad


def test_queries_may_have_one_norm():
    raw, scaled = (build(query_norm=norm).attention["icd"].titles for norm in (None, 4.0))
    torch.testing.assert_close(scaled, 4 * nn.functional.normalize(raw, dim=1))


@torch.no_grad()
@pytest.mark.parametrize("kernel", [3, 4])
def test_features_may_begin_as_the_words(kernel):
    model = build(kernel=kernel, convolution_init="identity")
    nn.init.zeros_(model.convolution.bias)
    model.embedding.table.weight *= 0.1
    words = plain.note(12)
    features, expected = model.encode(*plain.batch([words]))[0][0], torch.tanh(3 * plain.vectors(model, words))
    assert torch.cosine_similarity(features[: len(words)], expected, dim=1).min() > 0.9


def test_targets_are_the_vectors_of_the_tree():
    tree = CodeTree.of_paths([path(label) for label in range(LABELS)])
    vectors = poincare.tree_vectors(tree.parents, 3, negatives=10, epochs=5, seed=1).double()
    assert torch.equal(build().attention["icd"].targets, vectors[tree.labels])
    targets = build(targets="ancestors").attention["icd"].targets
    assert targets.shape == (LABELS, 4, 3)
    for label in range(LABELS):
        category = tree.parents[tree.labels[label]]
        assert torch.equal(targets[label], vectors[[tree.labels[label], category, category, 0]])


def test_what_a_label_reads_is_a_point_whose_direction_alone_comes_from_the_projection():
    head, m = build().attention["icd"], torch.randn(2, LABELS, SIZE, dtype=torch.float64)
    with torch.no_grad():
        before = head.points(m)
        head.direction.weight *= 7
        head.direction.bias *= 7
        torch.testing.assert_close(head.points(m), before)
        assert (before.norm(dim=2) < 1).all()
        nn.init.zeros_(head.magnitude.weight)
        nn.init.zeros_(head.magnitude.bias)
        torch.testing.assert_close(head.points(m).norm(dim=2), torch.full((2, LABELS), 0.5, dtype=torch.float64))


def test_blocks_of_distances_change_no_logit_and_no_gradient(monkeypatch):
    results = []
    for block in (100, 1):
        monkeypatch.setattr(poincare, "BLOCK", block)
        model = build()
        logits = model(*plain.batch(NOTES))["icd"]
        logits.sin().sum().backward()
        results.append([logits, *(x.grad for x in model.parameters() if x.grad is not None)])
    for plain_form, streamed in zip(*results, strict=True):
        torch.testing.assert_close(streamed, plain_form, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_relabeled_codes_have_relabeled_logits():
    order = torch.tensor([2, 0, 3, 1])
    model = build()
    head, notes = model.attention["icd"], plain.batch(NOTES)
    before = model(*notes)["icd"]
    relabeled = sparse.csr_matrix(COUNTS[order][:, order])
    vectors = head.titles[order], head.targets[order], normalized(relabeled)
    other = HyperbolicGraphAttention(SIZE, LABELS, model.config, vectors).double().eval()
    weights = head.state_dict()
    weights |= {key: weights[key][order] for key in ("titles", "targets", "output.weight", "output.bias")}
    weights["similarity.weight"] = weights["similarity.weight"][:, order]
    weights |= {key: value for key, value in other.state_dict().items() if key.startswith("graph.")}
    other.load_state_dict(weights)
    model.attention["icd"] = other
    torch.testing.assert_close(model(*notes)["icd"], before[:, order], rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("targets", ["all", "ancestors"])
def test_a_saved_model_needs_neither_tree_nor_counts(targets):
    model, saved = build(targets=targets), build(seed=1, saved=True, targets=targets)
    notes = plain.batch(NOTES)
    assert not torch.allclose(saved(*notes)["icd"], model(*notes)["icd"])
    saved.load_state_dict(model.state_dict())
    assert torch.equal(saved(*notes)["icd"], model(*notes)["icd"])


def test_three_codes_that_never_occur_together_have_gradients():
    torch.manual_seed(0)
    config = HyperCoreConfig(**OPTIONS)
    vectors = torch.randn(3, SIZE), 0.5 * nn.functional.normalize(torch.randn(3, 3), dim=1), sparse.identity(3).tocsr()
    head = HyperbolicGraphAttention(SIZE, 3, config, vectors)
    head(torch.randn(2, 6, SIZE), None).sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in head.parameters())
