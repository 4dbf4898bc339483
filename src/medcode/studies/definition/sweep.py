"""Strict reader of the definition of a search over settings: studies/<name>/sweep.yaml."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from medcode import config
from medcode.config import LabelSet, Section, build
from medcode.config.recipes import Epochs, MonitorName
from medcode.config.section import Seed, Share
from medcode.errors import UserError

FILE = "sweep.yaml"
EPOCHS = "models.*.recipes.*.epochs"

Settings = dict[str, Any]


class Sweep(Section):
    """The content of sweep.yaml.

    `settings` hold for all trials, by dotted key as those of a study's rows. `search` has the values of further keys; a
    trial has one of each. `trials` is the number of trials, drawn from all combinations with `seed`; 0 takes all.
    `epochs` are those of each rung of successive halving: all trials train for the first number, and after each rung
    the share `keep` of them, the best on dev, trains from the beginning for the next. Without `epochs` the recipe's
    hold, in one rung. `monitor` is the dev metric that decides, a mean over `seeds`.
    """

    title: str
    corpus: str
    label_set: LabelSet
    seeds: Annotated[list[Seed], Field(min_length=1)]
    settings: Settings = Field({})
    search: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]
    trials: Annotated[int, Field(ge=0, le=10_000)] = 0
    seed: Seed = 1
    epochs: list[Epochs] = Field([])
    keep: Annotated[Share, Field(gt=0, lt=1)] = 0.5
    monitor: MonitorName

    def combinations(self) -> list[Settings]:
        """Return the settings of each trial, in the order of the grid."""
        count = math.prod(map(len, self.search.values()))
        chosen: Any = range(count)
        if 0 < self.trials < count:
            chosen = sorted(random.Random(self.seed).sample(chosen, self.trials))
        grid = itertools.product(*self.search.values())
        wanted = set(chosen)
        values = (of_trial for number, of_trial in enumerate(grid) if number in wanted)
        return [dict(zip(self.search, of_trial, strict=True)) for of_trial in values]

    def rungs(self) -> list[int | None]:
        """Return the epochs of each rung; None for those of the recipe."""
        return [*self.epochs] or [None]

    def row(self, trial: int, rung: int) -> str:
        """Return the name of a trial's row in the study of a rung, both counted from 0."""
        return f"trial{trial + 1:03}_{rung + 1}"

    def row_settings(self, combination: Settings, rung: int) -> Settings:
        """Return the settings of a trial in a rung."""
        epochs = self.rungs()[rung]
        return self.settings | combination | ({} if epochs is None else {EPOCHS: epochs})

    def survivors(self, scores: dict[int, float]) -> list[int]:
        """Return the trials that go on to the next rung, at least one, in their order; of equals the first.

        Args:
            scores: of the trials of a rung, on dev.
        """
        kept = max(1, math.floor(self.keep * len(scores)))
        return sorted(self.ranked(scores)[:kept])

    def ranked(self, scores: dict[int, float]) -> list[int]:
        """Return the trials from the best to the worst; of equals the first comes first."""
        sign = 1 if self.monitor == "loss" else -1
        return sorted(scores, key=lambda trial: (sign * scores[trial], trial))


def load(root: Path, name: str) -> Sweep:
    """Read the definition of a search.

    Args:
        root: the folder of all studies.
        name: of the search.

    Raises:
        UserError: there is none, or it is wrong.
    """
    path = root / name / FILE
    if not path.exists():
        found = sorted(file.parent.name for file in root.glob(f"*/{FILE}"))
        hint = f"there are {', '.join(found)}" if found else "docs/STUDIES.md shows one"
        raise UserError(f"{path}: no such file; {hint}")
    sweep = build(Sweep, config.read_yaml(path), path)
    if both := sorted(sweep.search.keys() & sweep.settings.keys()):
        raise UserError(f"{path}: search: {', '.join(both)} is in settings too; leave it in one of them")
    if EPOCHS in sweep.search and sweep.epochs:
        raise UserError(f"{path}: search: {EPOCHS} is searched, so the rungs cannot set it; remove epochs")
    if sweep.epochs != sorted(set(sweep.epochs)):
        raise UserError(f"{path}: epochs: expected a longer rung after a shorter one, found {sweep.epochs}")
    if (model := sweep.settings.get("model")) is None or sweep.settings.get("recipe") is None:
        raise UserError(f"{path}: settings: expected a model and its recipe, found {model or 'none'}")
    return sweep
