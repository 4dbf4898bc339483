"""The stage `train` refuses settings that do not go with its data before it trains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import stage_commands
import yaml

from medcode.dataset import arrays


@pytest.mark.parametrize(("model", "recipe"), [("caml", "published"), ("linear", "quick")])
def test_a_monitor_that_needs_more_labels_is_refused_before_the_first_step(tiny_inputs, root, tmp_path, model, recipe):
    splits = tiny_inputs.splits
    heads = tiny_inputs.labels
    data = replace(
        tiny_inputs,
        splits={**splits, "test": splits["dev"]},
        descriptions={head: np.ones((len(labels), 1), np.int32) for head, labels in heads.items()},
        linked={head: np.zeros(len(labels), bool) for head, labels in heads.items()},
    )
    arrays.write(tmp_path / "inputs", data)
    settings = yaml.safe_load((root / f"configs/models/{model}.yaml").read_text())
    settings["recipes"][recipe]["monitor"] = "precision_at_15"
    (tmp_path / "recipe.json").write_text(yaml.safe_dump(settings | {"recipe": recipe}))
    params = yaml.safe_load((root / "params.yaml").read_text()) | {"model": model}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    names = (
        "code",
        "knowledge",
        "sentences",
        "subword",
        "encoder",
        "pretrained",
        "checkpoints",
        "timings",
        "curve",
        "metrics",
    )
    options = stage_commands.options(
        params="params.yaml",
        model_settings="recipe.json",
        inputs="inputs",
        model="model",
        **{name: name for name in names},
    )
    done = stage_commands.in_this_process("train", options, tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"error: configs/models/{model}.yaml: recipes.{recipe}.monitor: precision_at_15 needs 15 labels"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs", "params.yaml", "recipe.json"]
