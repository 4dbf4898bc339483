"""Learn on dev to score codes that training never saw, on one scale with the labels; empty unless label_set is open."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path

import numpy as np

from medcode import config, io
from medcode.dataset import arrays
from medcode.dataset.fragments import with_fragments
from medcode.engine import distributed, reproducibility
from medcode.errors import UserError
from medcode.inference import saved_model
from medcode.inference.scoring import MeanProbabilities, probabilities, score_split
from medcode.open_codes import build, fitting, folder


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    label_set: config.LabelSet
    open: config.Open
    evaluation: config.Tuning
    training: config.Scoring


@stage(
    Parameters,
    inputs=Path, sentences=Path, subword=Path, notes=Path, spans=Path, codes=Path, descriptions=Path, synonyms=Path,
    model=Path, out=Path, metrics=Path,
)  # fmt: skip
def main(params: Parameters, model: Path, out: Path, metrics: Path, **paths: Path) -> None:
    if params.label_set != "open":
        io.write_empty(out, f"no unseen codes: the label set is {params.label_set}, not open")
        io.write_metrics(metrics, {})
        return
    reproducibility.prepare(params.training.threads, params.training.kernels)
    data, on_dev = dev_probabilities(params, model, paths)
    train, dev = arrays.load(paths["inputs"], ("train",)).splits["train"], data.splits["dev"]
    tables = {name: io.read_table(paths[name]).to_pandas() for name in ("codes", "descriptions", "synonyms", "spans")}
    texts = {name: build.texts_of(paths["notes"], split.documents) for name, split in (("train", train), ("dev", dev))}
    retriever = build.build(params.open, data.labels["icd"], tables, texts["train"])
    fitted = fitting.fit(
        retriever, texts["dev"], on_dev, dev.targets["icd"], tables["codes"], params.evaluation.threshold_grid,
        saved_model.digests(model),
    )  # fmt: skip
    folder.write(out, fitted.scorer, params.open.model_dump())
    io.write_metrics(metrics, fitted.metrics())
    print("\n".join(fitted.lines()), file=sys.stderr)


def dev_probabilities(params: Parameters, model: Path, paths: dict[str, Path]) -> tuple[arrays.Inputs, np.ndarray]:
    """Return dev, and the mean of the probabilities of all seeds on it, float32 [n, Y]."""
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
        network = trained.model.to(distributed.choose_device(params.training.device))
        options = trained.max_tokens, params.evaluation.batch_size, params.training.precision
        mean.add({"icd": probabilities(score_split(network, data.tokens, data.splits["dev"], *options)["icd"])})
    return data, mean.values["icd"]


if __name__ == "__main__":
    main()
