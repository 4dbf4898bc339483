"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import workflow
from hypothesis import settings
from scipy import sparse

from medcode.config import Recipe, Training
from medcode.inputs import Inputs, Split

# A busy machine is no failure, and the same examples every time make one run of the tests like the next.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of corpora and official reference files that stands beside the repository, where there is one."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"the corpora and reference files that stand beside the repository are absent ({folder.name}/)")
    return folder


WORDS, LABELS = 40, 6


def _split(random: np.random.Generator, documents: int, start: int, prefix: str) -> tuple[np.ndarray, Split]:
    """Random documents; label y is on where word y + 1 occurs."""
    texts = [random.integers(1, WORDS + 2, random.integers(5, 60), dtype=np.int32) for _ in range(documents)]
    ends = start + np.cumsum([len(text) for text in texts])
    offsets = np.stack([np.concatenate([[start], ends[:-1]]), ends], axis=1)
    gold = np.array([[np.any(text == label + 1) for label in range(LABELS)] for text in texts], dtype=np.uint8)
    return np.concatenate(texts), Split(
        documents=[f"{prefix}{number}" for number in range(documents)],
        offsets=offsets,
        labels={"icd": sparse.csr_matrix(gold)},
        outside={"icd": np.zeros(documents, np.int32)},
        has={"icd": np.ones(documents, bool)},
    )


@pytest.fixture(scope="session")
def tiny_inputs() -> Inputs:
    """Inputs of 41 + 16 short documents in which each of six labels shows as a word of its own."""
    random = np.random.default_rng(3)
    train_tokens, train = _split(random, 41, 0, "a")
    dev_tokens, dev = _split(random, 16, len(train_tokens), "b")
    vectors = random.standard_normal((WORDS + 2, 12)).astype(np.float32)
    vectors[0] = 0
    counts = np.asarray(train.labels["icd"].sum(0)).ravel()
    return Inputs(
        tokens=np.concatenate([train_tokens, dev_tokens]),
        vocabulary=[f"word{number}" for number in range(WORDS)],
        vectors=vectors,
        labels={
            "icd": [
                {"system": "icd9cm", "code": f"{100 + y}", "title": f"Title {y}", "train_documents": int(counts[y])}
                for y in range(LABELS)
            ]
        },
        rule="caml",
        splits={"train": train, "dev": dev},
    )


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """A recipe that learns the tiny inputs within seconds."""
    return Recipe(
        optimizer="adam",
        learning_rate=0.01,
        weight_decay=0.0,
        schedule="constant",
        warmup_steps=0,
        clip_norm=None,
        batch_size=4,
        epochs=4,
        patience=None,
        criterion="f1_micro",
        loss="bce",
        head_weights=None,
        label_smoothing=0.0,
        max_tokens=50,
        dropout=0.2,
        embedding="trained",
    )


@pytest.fixture(scope="session")
def engine() -> Training:
    """The engine's settings on a CPU with one thread."""
    return Training(
        device="cpu",
        precision="fp32",
        threads=1,
        processes=1,
        padding=0.1,
        checkpoint_steps=3,
        overfit=0,
        limit=0,
    )


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A copy in which the whole workflow has run once, with everything committed."""
    project = workflow.Project(tmp_path_factory.mktemp("project") / "medcode")
    assert project.repro() == workflow.STAGES
    project.commit()
    return project


@pytest.fixture
def clean(project):
    """The same, put back to what was committed."""
    project.run("git", "reset", "--quiet", "--hard")
    project.run("dvc", "checkout", "--force", "--allow-missing")
    return project
