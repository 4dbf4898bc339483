"""`predictions`: write the predicted codes of a whole split to files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from medcode.dataset.arrays import Inputs
    from medcode.evaluation.official import ScoredDocuments
    from medcode.inference.saved_model import TrainedModel

MODEL, INPUTS, CODES = "models/trained", "data/inputs", "data/extracted/codes.parquet"
SENTENCES, SUBWORD = "data/sentences", "data/subword"
OPEN, NOTES = "models/open", "data/extracted/notes.parquet"
CALIBRATION = Path("models/calibration")


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
    from medcode.evaluation import official, prediction_files
    from medcode.inference import calibration, saved_model

    params = config.load(config.Measuring, Path("params.yaml"))
    trained, scored = score_splits(params, tuple(dict.fromkeys(("dev", arguments.split))))
    codes = official.gold_codes(CODES, trained.label_set)
    calibrated = calibration.read(CALIBRATION, saved_model.digests(MODEL), trained.model.heads)
    for head, labels in trained.labels.items():
        thresholds = {label["system"]: trained.thresholds[head] for label in labels}
        dev, of_split = scored["dev"][head], scored[arguments.split][head]
        code_thresholds = None if calibrated is None else calibrated.mean[head].code_thresholds
        unseen: dict[str, list[list[str]]] = {}
        if codes is not None and head == "icd":
            if params.label_set == "open":
                dev, _ = with_unseen(dev, codes, of_dev=True)
                of_split, unseen = with_unseen(of_split, codes, of_dev=arguments.split == "dev")
            tasks = official.tasks(labels, codes, dev, of_split, params.evaluation.threshold_grid)
            thresholds, code_thresholds = official.thresholds(labels, tasks), None
        folder = arguments.to or Path("data/predictions") / arguments.split
        written = prediction_files.write(folder, labels, of_split, thresholds, unseen, code_thresholds)
        for path, lines in written.items():
            print(f"{path}: {lines:,} lines")


def with_unseen(
    scored: ScoredDocuments, codes: pd.DataFrame, *, of_dev: bool
) -> tuple[ScoredDocuments, dict[str, list[list[str]]]]:
    """Return scores with those of codes that training never saw, and the names of these, as `score_documents` does.

    Raises:
        UserError: models/open or the notes are missing, damaged, or of another model.
    """
    from medcode.inference import saved_model
    from medcode.open_codes import folder
    from medcode.open_codes.measurement import score_documents

    scorer = folder.read(Path(OPEN), saved_model.digests(MODEL))
    return score_documents(scorer, Path(NOTES), scored.documents, scored.probabilities, codes, of_dev=of_dev)


def score_splits(params: Any, splits: tuple[str, ...]) -> tuple[TrainedModel, dict[str, dict[str, ScoredDocuments]]]:
    """Return a trained model, and the mean of the probabilities of all seeds for all documents, by split and head.

    Raises:
        UserError: a model or the inputs are missing, damaged, or of different label sets.
    """
    from medcode.dataset import arrays
    from medcode.dataset.fragments import with_fragments
    from medcode.evaluation.official import ScoredDocuments
    from medcode.inference import saved_model
    from medcode.inference.scoring import MeanProbabilities

    means, data = {split: MeanProbabilities() for split in splits}, None
    for trained in saved_model.load_all(MODEL):
        if data is None:
            data = arrays.load(INPUTS, splits, subword=None if trained.tokenizer is None else SUBWORD)
            if trained.unit == "sentences":
                data = with_fragments(data, SENTENCES, trained.max_tokens)
        documents = {split: data.splits[split].documents for split in splits}
        for split, mean in means.items():
            mean.add(probabilities_of(params, trained, data, split))
    return trained, {
        split: {head: ScoredDocuments(documents[split], x) for head, x in mean.values.items()}
        for split, mean in means.items()
    }


def probabilities_of(params: Any, trained: TrainedModel, data: Inputs, split: str) -> dict[str, np.ndarray]:
    """Return the probabilities of one model for all documents of a split, float32 [n, Y] by head.

    Raises:
        UserError: the inputs have other labels than the model.
    """
    from medcode.engine import distributed
    from medcode.errors import UserError
    from medcode.inference.scoring import probabilities, score_split

    for head, labels in trained.labels.items():
        if labels != data.labels.get(head):
            raise UserError(f"{MODEL}: trained on other labels than those of {INPUTS}; run dvc repro")
    machine, batch_size = params.training, params.evaluation.batch_size
    network, documents = trained.model.to(distributed.choose_device(machine.device)), data.splits[split]
    logits = score_split(network, data.tokens, documents, trained.max_tokens, batch_size, machine.precision)
    return {head: probabilities(values) for head, values in logits.items()}
