"""Linear: a linear classifier of each label on TF-IDF of words and pairs of words, the baseline to pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from tqdm import tqdm

from medcode.config.models.linear import LinearConfig
from medcode.dataset.arrays import Targets
from medcode.engine.batches import scoring_batches
from medcode.engine.device_data import DeviceNotes
from medcode.engine.transfer import to_device
from medcode.layers.tfidf import SparseRows, TfIdf, choose_features
from medcode.models.base import Model
from medcode.models.inputs import ModelInputs

DOCUMENTS_AT_A_TIME = 64
SEED = 0  # of the order in which liblinear visits documents


class LinearHead(nn.Module):
    """A linear layer on sparse vectors.

    Args:
        features: F.
        labels: Y.

    Shapes: `SparseRows` of B documents -> [B, Y]; the weights are [F, Y].
    """

    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features, labels))
        self.bias = nn.Parameter(torch.zeros(labels))
        nn.init.normal_(self.weight)

    def forward(self, rows: SparseRows) -> Tensor:
        values = rows.values.to(self.weight.dtype)
        products = nn.functional.embedding_bag(
            rows.numbers, self.weight, rows.starts, mode="sum", per_sample_weights=values
        )
        return products + self.bias


class Linear(Model):
    """A linear support vector machine of each label on TF-IDF of words and pairs of adjacent words.

        v_f = (1 + log(count of f)) idf_f,   x = v / |v|,   logit_y = w_y . x + b_y

    The weights of a label minimize |w|^2 / 2 + b^2 / 2 + C sum_d max(0, 1 - t_d logit_d)^2 over the documents d that
    were coded in the head's system; t is 1 with the label and -1 without it. liblinear finds them, through
    scikit-learn's LinearSVC. A label that all or none of the documents have gets weights of zero and its log odds as
    bias.

    Args: `inputs.train_documents`, which only training needs; config: min_documents, max_features, cost C. It has no
        dropout and no word vectors, and never reads padding.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}.
    """

    paper = None
    Config = LinearConfig

    def __init__(self, config: LinearConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        if not inputs.vocab_size:
            raise ValueError(f"{type(self).__name__} reads words: it takes vocab_size, not an encoder")
        features = None
        if inputs.train_documents is not None:
            batches = (words for _, words in _batches(inputs.train_documents))
            features = choose_features(batches, inputs.vocab_size, config.min_documents, config.max_features)
        self.features = config.max_features if features is None else len(features[0])
        if inputs.features is not None:
            self.features = inputs.features
        self.tfidf = TfIdf(inputs.vocab_size, self.features)
        if features is not None:
            self.tfidf.set_features(*features)
        self.output = nn.ModuleDict({head: LinearHead(self.features, labels) for head, labels in self.heads.items()})

    def rebuild_metadata(self) -> dict[str, Any]:
        """See `Model`."""
        return {"features": self.features}

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        rows = self.tfidf(tokens, lengths)
        return {head: layer(rows) for head, layer in self.output.items()}

    @torch.no_grad()
    def fit(self, documents: DeviceNotes, targets: dict[str, Targets]) -> None:
        """See `Model`."""
        matrix = self._matrix(documents)
        for head, layer in self.output.items():
            of_head = targets[head].coded()
            coded = matrix if len(of_head) == len(matrix.indptr) - 1 else matrix[targets[head].is_coded]
            columns = of_head.matrix.tocsc()
            for label in tqdm(range(columns.shape[1]), desc=f"labels of {head}", disable=None, leave=False):
                gold = np.zeros(len(of_head))
                gold[columns.indices[columns.indptr[label] : columns.indptr[label + 1]]] = 1
                weights, bias = fit_label(coded, gold, self.config.cost)
                layer.weight[:, label] = torch.from_numpy(weights).to(layer.weight)
                layer.bias[label] = bias

    def _matrix(self, documents: DeviceNotes) -> sparse.csr_matrix:
        """Features of all documents, float64 CSR [n, F]."""
        order, counts, numbers, values = [], [], [], []
        for indices, words in _batches(documents):
            rows = self.tfidf(*words)
            order.append(indices)
            counts.append(np.diff(rows.starts.cpu().numpy(), append=len(rows.numbers)))
            numbers.append(rows.numbers.cpu().numpy().astype(np.int32))
            values.append(rows.values.cpu().numpy())
        indptr = np.append(0, np.cumsum(np.concatenate(counts)))
        columns, data = np.concatenate(numbers), np.concatenate(values, dtype=np.float64)
        matrix = sparse.csr_matrix((data, columns, indptr), shape=(len(documents), self.features))
        return matrix[np.argsort(np.concatenate(order))]


def fit_label(features: sparse.csr_matrix, gold: np.ndarray, cost: float) -> tuple[np.ndarray, float]:
    """Return the weights and the bias of one label.

    Args:
        features: of the documents, float64 [n, F].
        gold: 0 or 1, [n].
        cost: C.

    Returns:
        float64 [F], and the bias.
    """
    from sklearn.svm import LinearSVC

    n, positive = features.shape[0], gold.sum()
    if not features.nnz or positive in (0, n):
        return np.zeros(features.shape[1]), float(np.log((positive + 0.5) / (n - positive + 0.5)))
    svm = LinearSVC(C=cost, random_state=SEED).fit(features, gold)
    return svm.coef_[0], float(svm.intercept_[0])


def _batches(documents: DeviceNotes) -> Iterator[tuple[np.ndarray, tuple[Tensor, Tensor]]]:
    """Yield all documents in batches of similar length: their indices, and their tokens and lengths."""
    for batch in scoring_batches(documents.lengths, DOCUMENTS_AT_A_TIME, padding=True):
        yield batch.documents, documents.gather(to_device(batch.documents, documents.device), batch.length)
