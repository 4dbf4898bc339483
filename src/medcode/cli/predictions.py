"""`predictions`: write the predicted codes of a whole split to files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medcode.dataset.arrays import Inputs
    from medcode.evaluation.official import ScoredDocuments
    from medcode.inference.saved_model import TrainedModel

MODEL, INPUTS, CODES = "models/current", "data/inputs", "data/extracted/codes.parquet"
SENTENCES, SUBWORD = "data/sentences", "data/subword"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("predictions", help="write the codes of dev or test to files, ranked by score")
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="(default: %(default)s)")
    parser.add_argument("--to", type=Path, help="folder of the files (default: data/predictions/SPLIT)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the files of the trained model and print their names.

    Raises:
        UserError: the model or the inputs are missing, damaged, or of different label sets.
    """
    from medcode import config
    from medcode.dataset import arrays
    from medcode.dataset.fragments import with_fragments
    from medcode.evaluation import official, prediction_files
    from medcode.inference import saved_model

    params = config.load(config.Measuring, Path("params.yaml"))
    trained = saved_model.load(MODEL)
    splits = tuple(dict.fromkeys(("dev", arguments.split)))
    data = arrays.load(INPUTS, splits, subword=None if trained.tokenizer is None else SUBWORD)
    if trained.unit == "sentences":
        data = with_fragments(data, SENTENCES, trained.max_tokens)
    codes = official.gold_codes(CODES, trained.label_set)
    scored = {split: score_split(params, trained, data, split) for split in splits}
    for head, labels in trained.labels.items():
        thresholds = {label["system"]: trained.thresholds[head] for label in labels}
        dev, of_split = scored["dev"][head], scored[arguments.split][head]
        if codes is not None and head == "icd":
            tasks = official.tasks(labels, codes, dev, of_split, params.evaluation.threshold_grid)
            thresholds = official.thresholds(labels, tasks)
        folder = arguments.to or Path("data/predictions") / arguments.split
        for path, lines in prediction_files.write(folder, labels, of_split, thresholds).items():
            print(f"{path}: {lines:,} lines")


def score_split(params: Any, trained: TrainedModel, data: Inputs, split: str) -> dict[str, ScoredDocuments]:
    """Return the probabilities of all documents of a split, by head.

    Raises:
        UserError: the inputs have other labels than the model.
    """
    from medcode.engine import distributed
    from medcode.errors import UserError
    from medcode.evaluation.official import ScoredDocuments
    from medcode.inference.scoring import probabilities, score_split

    for head, labels in trained.labels.items():
        if labels != data.labels.get(head):
            raise UserError(f"{MODEL}: trained on other labels than those of {INPUTS}; run dvc repro")
    documents, machine = data.splits[split], params.training
    network = trained.model.to(distributed.choose_device(machine.device))
    batch_size = params.evaluation.batch_size
    logits = score_split(network, data.tokens, documents, trained.max_tokens, batch_size, machine.precision)
    return {head: ScoredDocuments(documents.documents, probabilities(values)) for head, values in logits.items()}
