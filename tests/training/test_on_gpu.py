"""Training on a GPU agrees with the CPU for every model."""

from __future__ import annotations

import numpy as np
import pytest
from gpu import needs_gpu
from scipy import sparse
from small_models import HEADS, ROWS, build, every_model
from trainers import run_alone

from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.inference.scoring import score
from medcode.training.checkpoint import Checkpoints
from medcode.training.trainer import Trainer

DOCUMENTS = 24
# Relative tolerance of losses, and absolute one of logits, after two epochs.
TOLERANCE = {"fp32": (1e-4, 1e-3), "bf16": (3e-2, 0.1)}


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """Random documents with random labels under two heads."""
    random = np.random.default_rng(6)
    ends = np.cumsum(random.integers(1, 60, DOCUMENTS))
    gold = {
        head: sparse.csr_matrix((random.random((DOCUMENTS, size)) < 0.4).astype(np.uint8))
        for head, size in HEADS.items()
    }
    split = Split(
        documents=[str(number) for number in range(DOCUMENTS)],
        offsets=np.stack([np.append(0, ends[:-1]), ends], axis=1),
        targets={head: Targets(gold[head], random.random(DOCUMENTS) < 0.8) for head in HEADS},
    )
    tokens = random.integers(5, ROWS, int(ends[-1]), dtype=np.int32)
    return Inputs(tokens, [], np.empty(0), {}, "caml", {"train": split, "dev": split})


@needs_gpu
@pytest.mark.parametrize("precision", TOLERANCE)
@every_model
def test_training_on_a_gpu_agrees_with_the_cpu(inputs, recipe, engine, tmp_path, name, precision):
    curves, logits = {}, {}
    changes = {"epochs": 2, "clip_norm": 1.0, "monitor": "loss", "loss_weights": None, "learning_rate": 1e-3}
    for device in ("cpu", "cuda"):
        settings = engine.model_copy(update={"precision": "fp32" if device == "cpu" else precision, "device": device})
        model = build(name, dropout=0.0).to(device)
        trainer = Trainer(model, inputs, recipe.model_copy(update=changes), settings, 1, Checkpoints(tmp_path / device))
        curves[device] = run_alone(trainer).history
        split = inputs.splits["dev"]
        logits[device] = score(model, inputs.tokens, split.offsets, 50, 8, settings.precision)
    of_losses, of_logits = TOLERANCE[precision]
    for cpu, gpu in zip(curves["cpu"], curves["cuda"], strict=True):
        for loss in ("train_loss", "dev_loss"):
            assert gpu[loss] == pytest.approx(cpu[loss], rel=of_losses), loss
    for head, expected in logits["cpu"].items():
        np.testing.assert_allclose(logits["cuda"][head], expected, atol=of_logits)
