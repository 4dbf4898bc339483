"""Time and memory of the linear model with thousands of labels, on made notes of MIMIC-III's size.

    python benchmarks/linear_cost.py [--notes 47719] [--labels 8921] [--sample 40]

Words and labels follow Zipf's law, and each label adds some of its words to its notes. A sample of the labels, evenly
spaced from the most frequent to the rarest, is fitted; times are extrapolated to all.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch
from scipy import sparse

from medcode import config
from medcode.dataset.arrays import Targets
from medcode.engine.device_data import DeviceNotes
from medcode.models.inputs import ModelInputs
from medcode.models.linear import Linear

VOCABULARY, WORDS, LABELS_PER_NOTE, WORDS_PER_LABEL = 51_919, 1_500, 16, 5
GIB = 2**30


def main() -> None:
    """Make notes, fit a sample of the labels, and print what all of them would take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("notes", 47_719), ("labels", 8_921), ("sample", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--max-features", type=int, help="default: of configs/models/linear.yaml, label set full")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model_config = config.load_model("configs/models/linear.yaml", "linear", "quick", "full").config
    if options.max_features:
        model_config = model_config.model_copy(update={"max_features": options.max_features})
    tokens, gold = make(np.random.default_rng(1), options.notes, options.labels)
    offsets = np.arange(options.notes)[:, None] * WORDS + [0, WORDS]
    documents = DeviceNotes(tokens, offsets, WORDS, torch.device("cpu"))
    start = time.process_time()
    inputs = ModelInputs(heads={"icd": options.sample}, vocab_size=VOCABULARY, train_documents=documents)
    model = Linear(model_config, inputs)
    chosen, matrix = time.process_time(), model._matrix(documents)
    made = time.process_time()
    print(f"{model.features:,} features chosen in {chosen - start:.0f} s, rows made in {made - chosen:.0f} s")
    print(f"{matrix.nnz / options.notes:.0f} features per note; so far {peak():.1f} GiB")
    sample = np.linspace(0, options.labels - 1, options.sample).astype(int)
    coded = Targets(gold[:, sample], np.ones(options.notes, bool))
    print(f"notes of the sampled labels: {np.asarray(gold[:, sample].sum(0)).ravel().tolist()}")
    model.fit(documents, {"icd": coded})
    seconds = (time.process_time() - made - (made - chosen)) / options.sample
    weights = 4 * model.features * options.labels / GIB
    print(f"{seconds:.2f} s per label, {seconds * options.labels / 3600:.1f} CPU h for {options.labels:,}")
    print(f"peak {peak():.1f} GiB with {options.sample} labels; weights of all labels: {weights:.2f} GiB")


def make(random: np.random.Generator, notes: int, labels: int) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Return the words of all notes, int32 [notes * WORDS], and their labels, CSR [notes, labels]."""
    ranks = np.arange(1, VOCABULARY)
    cumulative = np.cumsum(1 / ranks)
    tokens = np.empty((notes, WORDS), np.int32)
    for row in tokens:
        row[:] = 1 + np.searchsorted(cumulative, random.random(WORDS) * cumulative[-1])
    shares = 1 / (np.arange(labels) + 20.0)
    shares *= LABELS_PER_NOTE / shares.sum()
    words = np.exp(random.uniform(np.log(100), np.log(VOCABULARY - 1), (labels, WORDS_PER_LABEL))).astype(np.int32)
    rows, columns = [], []
    for label, share in enumerate(np.minimum(shares, 0.4)):
        with_label = np.flatnonzero(random.random(notes) < share)
        rows.append(with_label)
        columns.append(np.full(len(with_label), label))
        for word in words[label]:
            said = with_label[random.random(len(with_label)) < 0.5]
            tokens[said, random.integers(0, WORDS, len(said))] = word
    cells = np.concatenate(rows), np.concatenate(columns)
    gold = sparse.csr_matrix((np.ones(len(cells[0]), np.uint8), cells), shape=(notes, labels))
    return tokens.reshape(-1), gold


def peak() -> float:
    """Return the largest memory of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


if __name__ == "__main__":
    main()
