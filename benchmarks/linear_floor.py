"""A linear baseline that a model should exceed: TF-IDF of words and word pairs, and one classifier per label.

    python benchmarks/linear_floor.py [--inputs data/inputs] [--classifier logistic|svm]

Reads data/inputs as the models do, tunes one threshold on dev, and prints the metrics on test.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from medcode.config import Evaluation
from medcode.dataset import arrays
from medcode.dataset.split_names import SPLITS
from medcode.evaluation.monitor import dev_metrics
from medcode.evaluation.summary import head_metrics
from medcode.evaluation.thresholds import sweep, tune_threshold

OPTIONS = Evaluation(
    macro_f1="caml", fixed_threshold=0.5, threshold_grid=1000, at=[5, 8, 15], frequency_bins=[10], batch_size=1
)


def main() -> None:
    """Fit, tune and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", default="data/inputs")
    parser.add_argument("--classifier", choices=("logistic", "svm"), default="logistic")
    parser.add_argument("--cost", type=float, help="C of the classifier (default: 10 for logistic, 1 for svm)")
    arguments = parser.parse_args()
    start = time.perf_counter()
    data = arrays.load(arguments.inputs, SPLITS)
    texts = {
        name: [data.tokens[first:end].tolist() for first, end in split.offsets] for name, split in data.splits.items()
    }
    vectorizer = TfidfVectorizer(analyzer=words_and_pairs, min_df=2, sublinear_tf=True)
    features = {"train": vectorizer.fit_transform(texts["train"])}
    features |= {name: vectorizer.transform(texts[name]) for name in ("dev", "test")}
    if arguments.classifier == "logistic":
        estimator = LogisticRegression(C=arguments.cost or 10, solver="liblinear")
    else:
        estimator = LinearSVC(C=arguments.cost or 1)
    # scikit-learn numbers labels in the type of the matrix: with uint8, label 256 would be label 0.
    gold = {name: split.targets["icd"].matrix.astype(np.int64) for name, split in data.splits.items()}
    classifier = OneVsRestClassifier(estimator).fit(features["train"], gold["train"])
    scores = {name: probabilities(classifier, features[name]) for name in ("dev", "test")}
    threshold = tune_threshold(gold["dev"], scores["dev"], OPTIONS.threshold_grid)
    outside = data.splits["test"].targets["icd"].n_codes_outside_label_set
    test_metrics = head_metrics(gold["test"], scores["test"], data.train_counts("icd"), threshold, OPTIONS, outside)
    print(json.dumps(test_metrics, indent=2))
    on_dev = sweep(gold["dev"], scores["dev"], OPTIONS.threshold_grid)[1].max()
    ranked = dev_metrics(gold["dev"], scores["dev"], ["map"])["map"]
    print(f"dev: micro F1 {on_dev:.4f} with the threshold tuned on it, MAP {ranked:.4f}")
    print(f"{features['train'].shape[1]:,} features, {time.perf_counter() - start:.0f} s")


def words_and_pairs(document: list[int]) -> list[tuple[int, ...]]:
    """Return the words of a document, and its pairs of adjacent words."""
    return [*((word,) for word in document), *itertools.pairwise(document)]


def probabilities(classifier: OneVsRestClassifier, features: np.ndarray) -> np.ndarray:
    """Sigmoid of the decision values, which keeps their order."""
    return (1 / (1 + np.exp(-classifier.decision_function(features)))).astype(np.float32)


if __name__ == "__main__":
    main()
