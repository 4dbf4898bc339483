"""What a trained model says of dev, on which its probabilities are calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medcode.config import Scoring
from medcode.dataset import arrays
from medcode.dataset.fragments import with_fragments
from medcode.engine import distributed
from medcode.errors import UserError
from medcode.inference import saved_model
from medcode.inference.scoring import MeanProbabilities, probabilities, score_split


def dev_probabilities(
    model: Path, paths: Mapping[str, Path], machine: Scoring, batch_size: int
) -> tuple[arrays.Inputs, np.ndarray]:
    """Return dev, and the mean of the probabilities of all seeds on it, float32 [n, Y].

    Args:
        model: folder of the model.
        paths: inputs, sentences and subword: the folders of data.
        machine: device and precision.
        batch_size: documents at a time.

    Raises:
        UserError: the model is missing or damaged, or has no head `icd`.
    """
    data, mean = None, MeanProbabilities()
    for path in saved_model.of_all_seeds(model).values():
        trained = saved_model.load(path)
        if "icd" not in trained.labels:
            raise UserError(f"label_set: open: the model has no head icd, only {', '.join(trained.labels)}")
        if data is None:
            subword = paths["subword"] if trained.tokenizer is not None else None
            data = arrays.load(paths["inputs"], ("dev",), subword=subword)
            if trained.unit == "sentences":
                data = with_fragments(data, paths["sentences"], trained.max_tokens)
        network = trained.model.to(distributed.choose_device(machine.device))
        options = trained.max_tokens, batch_size, machine.precision
        mean.add({"icd": probabilities(score_split(network, data.tokens, data.splits["dev"], *options)["icd"])})
    assert data is not None
    return data, mean.values["icd"]
