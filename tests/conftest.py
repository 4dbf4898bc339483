"""Fixtures that several test files share.

There is a test folder for each package of src/medcode, with a test file for each module or for each behavior of several
modules (training: it learns, it resumes after a kill, seeds are independent). tests/stages tests scripts of stages, and
tests/helpers, which is on the path, has helpers of several files. Files at the top test

- the whole project: test_workflow*.py and test_study_*.py run DVC, test_dag.py and test_reruns.py test dvc.yaml,
  test_model_contract.py and test_parameter_counts.py every model, test_new_parts.py how one is added, test_rooms.py
  every import;
- medcode.config with the files that it reads: test_config.py params.yaml, test_model_files.py and test_auto_recipe.py
  configs/models, test_parameter_files.py how DVC writes both;
- the modules at the top of src/medcode: test_download.py, test_dvc_runner.py, test_io.py, test_workspace.py;
- files at the root and tools: test_packaging.py, test_project_files.py, test_lock.py, test_refuse_notes.py,
  test_gpu_script.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import workflow
from audit import Audit
from code_tables import CodeTables
from hypothesis import settings
from scipy import sparse

from medcode.codes import fetch
from medcode.config import Recipe, Training
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.layers import kernels

# Without a deadline a busy machine is no failure. Derandomized, every run has the same examples.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow files with the workflow first, so that short ones keep all cores busy at the end."""
    items.sort(key=lambda item: item.get_closest_marker("workflow") is None)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of corpora and official reference files next to the repository; skip without it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"the corpora and reference files that stand beside the repository are absent ({folder.name}/)")
    return folder


@pytest.fixture(scope="session")
def official(shared, tmp_path_factory) -> Path:
    """A folder of the official files of codes."""
    folder = tmp_path_factory.mktemp("reference") / "files"
    fetch.fetch(folder, shared / "reference")
    return folder


@pytest.fixture(scope="session")
def official_tables(official) -> CodeTables:
    """The tables of codes from the official files."""
    return CodeTables(official)


@pytest.fixture(scope="session")
def package_tables() -> CodeTables:
    """The tables of codes from the package alone."""
    return CodeTables(None)


WORDS, LABELS = 40, 6


def _split(random: np.random.Generator, documents: int, start: int, prefix: str) -> tuple[np.ndarray, Split]:
    """Sample random documents. A document has label y if it contains word y + 1."""
    texts = [random.integers(1, WORDS + 2, random.integers(5, 60), dtype=np.int32) for _ in range(documents)]
    ends = start + np.cumsum([len(text) for text in texts])
    offsets = np.stack([np.concatenate([[start], ends[:-1]]), ends], axis=1)
    gold = np.array([[np.any(text == label + 1) for label in range(LABELS)] for text in texts], dtype=np.uint8)
    return np.concatenate(texts), Split(
        documents=[f"{prefix}{number}" for number in range(documents)],
        offsets=offsets,
        targets={
            "icd": Targets(sparse.csr_matrix(gold), np.ones(documents, bool)),
        },
    )


@pytest.fixture(scope="session")
def tiny_inputs() -> Inputs:
    """41 + 16 short documents with six labels, each marked by one word."""
    random = np.random.default_rng(3)
    train_tokens, train = _split(random, 41, 0, "a")
    dev_tokens, dev = _split(random, 16, len(train_tokens), "b")
    vectors = random.standard_normal((WORDS + 2, 12)).astype(np.float32)
    vectors[0] = 0
    counts = np.asarray(train.targets["icd"].matrix.sum(0)).ravel()
    return Inputs(
        tokens=np.concatenate([train_tokens, dev_tokens]),
        vocabulary=[f"word{number}" for number in range(WORDS)],
        vectors=vectors,
        labels={
            "icd": [
                {
                    "system": "icd9cm",
                    "code": f"{100 + y}",
                    "description": f"Description {y}",
                    "train_documents": int(counts[y]),
                }
                for y in range(LABELS)
            ]
        },
        rule="caml",
        splits={"train": train, "dev": dev},
    )


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """A recipe that learns the tiny inputs within seconds."""
    return Recipe(learning_rate=0.01, batch_size=4, epochs=4, patience=None, max_tokens=50)


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
        overfit_documents=0,
        limit_batches=0,
    )


@pytest.fixture(scope="session")
def audited_project(tmp_path_factory):
    """A read-only copy in which the whole workflow was run with the audit, and everything was committed."""

    def make(folder: Path) -> None:
        project = workflow.Project(folder / "medcode")
        project.audit = Audit(folder / "audit", project.folder)
        assert project.repro(**project.audit.variables) == workflow.STAGES
        project.commit()

    return workflow.shared(tmp_path_factory, "words", make)


@pytest.fixture(scope="session")
def audited_subwords(audited_project, tmp_path_factory):
    """The same, in which then a model on subwords has been pretrained further, trained on sentences and calibrated."""

    def make(folder: Path) -> None:
        project = audited_project.copy(folder / "medcode")
        project.audit = Audit(folder / "audit", project.folder)
        project.set({"model": "plm_icd", "encoder": "scratch-tiny", "pretrain": {"steps": 2}})
        project.set({"calibration": "temperature", "thresholds": "per_code"})
        project.set({"recipes": {"quick": {"unit": "sentences"}}}, workflow.model_file("plm_icd"))
        assert project.repro(**project.audit.variables) == {"check", "recipe", *workflow.FROM_ENCODER}
        project.commit()

    return workflow.shared(tmp_path_factory, "subwords", make)


@pytest.fixture(scope="session")
def audited_open(audited_project, tmp_path_factory):
    """The same, with the label set open and a calibration."""

    def make(folder: Path) -> None:
        project = audited_project.copy(folder / "medcode")
        project.audit = Audit(folder / "audit", project.folder)
        project.set({"label_set": "open", "calibration": "isotonic"})
        from_inputs = {"corpus_stats", "inputs", "knowledge", "baseline", *workflow.FROM_RECIPE}
        assert project.repro(**project.audit.variables) == {"check", *from_inputs}
        project.commit()

    return workflow.shared(tmp_path_factory, "open", make)


@pytest.fixture(scope="module")
def project(audited_project, tmp_path_factory):
    """A copy for one test file, in which the whole workflow has run once."""
    return audited_project.copy(tmp_path_factory.mktemp("project") / "medcode")


@pytest.fixture
def clean(project):
    """The same project, reset to its last commit and without checkpoints."""
    project.reset()
    return project


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window, driven by Playwright, in which a page always has the focus."""
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((path for name in names if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def torch_as_before():
    """Restore what a stage that runs in this process changes of torch for all of it."""
    mode, threads = kernels.current_mode(), torch.get_num_threads()
    yield
    torch.set_deterministic_debug_mode("default")
    torch.set_num_threads(threads)
    kernels.choose(mode)
