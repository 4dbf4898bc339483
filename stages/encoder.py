"""Fetch the encoder that params.yaml names, or build a new one with its subwords; empty for encoder: none."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.encoders import sources
from medcode.encoders.texts import texts_of


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    encoder: str
    encoders: dict[str, config.EncoderSource]
    subword: config.Subword


@stage(Parameters, tokens=Path, notes=Path, documents=Path, out=Path)
def main(params: Parameters, tokens: Path, notes: Path, documents: Path, out: Path) -> None:
    if params.encoder == "none":
        io.write_empty(out, "no encoder: params.yaml has encoder: none, which is for models on words")
        return
    from medcode.encoders import folder, scratch  # torch takes seconds to load

    source = params.encoders[params.encoder]
    if source.scratch is None:
        folder.adopt(sources.find(params.encoder, source), out)
        return
    rows = io.read_table(documents, ["admission_id", "split"]).to_pydict()
    train = {
        admission for admission, split in zip(rows["admission_id"], rows["split"], strict=True) if split == "train"
    }
    texts = (text for admission, text in texts_of(params.subword.text, tokens, notes) if admission in train)
    scratch.make(out, texts, source.scratch)


if __name__ == "__main__":
    main()
