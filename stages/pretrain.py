"""Continue the pretraining of the encoder on the corpus's notes; empty if it is switched off."""

from __future__ import annotations

from common import stage

from pathlib import Path

import numpy as np

from medcode import config, io
from medcode.errors import UserError
from medcode.text.tokenized_notes import SUBWORD_IDS, TokenizedNotes


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    pretrain: config.Pretrain
    training: config.Machine


@stage(Parameters, encoder=Path, subword=Path, documents=Path, out=Path, metrics=Path)
def main(params: Parameters, encoder: Path, subword: Path, documents: Path, out: Path, metrics: Path) -> None:
    options = params.pretrain
    if io.is_empty(encoder) or not options.steps:
        reason = "there is no encoder" if io.is_empty(encoder) else "params.yaml has pretrain.steps: 0"
        io.write_empty(out, f"no encoder pretrained further: {reason}")
        io.write_metrics(metrics, {"steps": 0})
        return
    from medcode.encoders.pretraining import Pretrainer, blocks_of  # torch takes seconds to load
    from medcode.engine import distributed, reproducibility

    reproducibility.prepare(params.training.threads)
    device = distributed.choose_device(params.training.device)
    trainer = Pretrainer(encoder, options, device, params.training.precision)
    limit = trainer.encoder.positions
    if limit is not None and options.block_size > limit:
        raise UserError(
            f"params.yaml: pretrain.block_size: the encoder reads {limit} at a time, found {options.block_size}"
        )
    notes = TokenizedNotes.read(subword, SUBWORD_IDS)
    rows = io.read_table(documents, ["admission_id", "split"]).to_pydict()
    split_of = dict(zip(rows["admission_id"], rows["split"], strict=True))
    split = np.array([split_of.get(admission, "") for admission in notes.admissions])
    train_splits = ["train", "background"] if options.background else ["train"]
    train, dev = (
        blocks_of(notes, np.flatnonzero(np.isin(split, names)), trainer.specials, options.block_size)
        for names in (train_splits, ["dev"])
    )
    losses = trainer.run(train, dev)
    trainer.save(encoder, out)
    io.write_metrics(metrics, {"steps": options.steps, "sequences": len(train), **losses})


if __name__ == "__main__":
    main()
