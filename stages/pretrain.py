"""Pretrains the encoder further on the corpus's notes; an empty folder where that is switched off."""

from __future__ import annotations

from common import stage

from pathlib import Path

import numpy as np

from medcode import io
from medcode.config import Params
from medcode.encoders import folder
from medcode.encoders.pieces import Pieces
from medcode.errors import UserError
from medcode.training import distributed, reproducibility


@stage(encoder=Path, subword=Path, documents=Path, out=Path, metrics=Path)
def main(params: Params, encoder: Path, subword: Path, documents: Path, out: Path, metrics: Path) -> None:
    options = params.pretrain
    if folder.is_empty(encoder) or not options.steps:
        folder.write_nothing(out)
        io.write_metrics(metrics, {"steps": 0})
        return
    from medcode.encoders.pretraining import Pretrainer, blocks_of

    reproducibility.prepare(params.training.threads)
    device = distributed.choose_device(params.training.device)
    trainer = Pretrainer(encoder, options, device, params.training.precision)
    limit = trainer.encoder.positions
    if limit is not None and options.pieces > limit:
        raise UserError(f"params.yaml: pretrain.pieces: the encoder reads {limit} at a time, found {options.pieces}")
    pieces = Pieces.read(subword)
    rows = io.read_table(documents, ["admission_id", "split"]).to_pydict()
    split_of = dict(zip(rows["admission_id"], rows["split"], strict=True))
    split = np.array([split_of.get(admission, "") for admission in pieces.admissions])
    read = ["train", "background"] if options.background else ["train"]
    train, dev = (
        blocks_of(pieces, np.flatnonzero(np.isin(split, names)), trainer.specials, options.pieces)
        for names in (read, ["dev"])
    )
    losses = trainer.run(train, dev)
    trainer.save(encoder, out)
    io.write_metrics(metrics, {"steps": options.steps, "sequences": len(train), **losses})


if __name__ == "__main__":
    main()
