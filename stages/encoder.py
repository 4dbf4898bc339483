"""Gets the encoder that params.yaml names, or makes the word pieces of a new one; an empty folder for none."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import io
from medcode.config import Params
from medcode.encoders import folder, scratch, sources
from medcode.encoders.texts import texts_of


@stage(tokens=Path, notes=Path, documents=Path, out=Path)
def main(params: Params, tokens: Path, notes: Path, documents: Path, out: Path) -> None:
    if params.encoder == "none":
        folder.write_nothing(out)
        return
    source = params.encoders[params.encoder]
    if source.scratch is None:
        folder.adopt(sources.find(params.encoder, source), out)
        return
    split = io.read_table(documents, ["admission_id", "split"]).to_pydict()
    train = {a for a, part in zip(split["admission_id"], split["split"], strict=True) if part == "train"}
    texts = (text for admission, text in texts_of(params.subword.text, tokens, notes) if admission in train)
    scratch.make(out, texts, source.scratch)


if __name__ == "__main__":
    main()
