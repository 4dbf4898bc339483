"""Learn on dev to score codes that training never saw, on one scale with the labels; empty unless label_set is open."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path

from medcode import config, io
from medcode.dataset import arrays


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
    from medcode.engine import reproducibility  # torch takes seconds to load
    from medcode.inference import saved_model
    from medcode.open_codes import build, fitting, folder
    from medcode.open_codes.dev import dev_probabilities

    reproducibility.prepare(params.training.threads, params.training.kernels)
    data, on_dev = dev_probabilities(model, paths, params.training, params.evaluation.batch_size)
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


if __name__ == "__main__":
    main()
