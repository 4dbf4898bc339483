"""Choose the recipe of the run, and write it with the model's options: all that training depends on of their file."""

from __future__ import annotations

from common import stage

from pathlib import Path
from typing import Any

import numpy as np

from medcode import config, io
from medcode.config.auto_recipe import AUTO, CorpusSize, candidates, choose
from medcode.config.data import LabelSet
from medcode.config.files import for_label_set
from medcode.config.section import Section
from medcode.dataset import arrays


class Parameters(Section):
    """The keys of params.yaml that this stage reads."""

    label_set: LabelSet
    model: str
    recipe: str


@stage(Parameters, model_settings=Path, inputs=Path, out=Path)
def main(params: Parameters, model_settings: Path, inputs: Path, out: Path) -> None:
    file = for_label_set(config.read_yaml(model_settings), params.label_set)
    names = candidates(params.recipe, file["recipes"])
    recipe, reason = names[0], "named in params.yaml"
    if params.recipe == AUTO:
        config_class = config.load_model(model_settings, params.model, names[0], params.label_set).config
        recipe, reason = choose(size_of(inputs, config_class.heads), names)
        print(f"recipe {recipe}: {reason}")
    config.load_model(model_settings, params.model, recipe, params.label_set)  # a mistake is told before training
    if options := file["recipes"][recipe].get("options"):
        print(f"recipe {recipe} sets, whatever `options` says: {', '.join(in_words(options))}")
    chosen = {
        "recipe": recipe,
        "reason": reason,
        "options": file["options"],
        "recipes": {recipe: file["recipes"][recipe]},
    }
    io.write_json(out, chosen)


def in_words(options: dict[str, Any], prefix: str = "") -> list[str]:
    """Return `key value` of every option, with dotted keys."""
    pairs = [(f"{prefix}{key}", value) for key, value in options.items()]
    return [
        text
        for key, value in pairs
        for text in (in_words(value, f"{key}.") if isinstance(value, dict) else [f"{key} {value}"])
    ]


def size_of(inputs: Path, heads: list[str]) -> CorpusSize:
    """Measure the training data of the head with the most labels."""
    data = arrays.load(inputs, ("train",))
    train, labels = data.splits["train"], data.heads_named(heads)
    largest = max(labels, key=labels.__getitem__)
    words = np.diff(train.offsets).mean() if len(train) else 0.0
    return CorpusSize(len(train), labels[largest], float(data.train_counts(largest).mean()), float(words))


if __name__ == "__main__":
    main()
