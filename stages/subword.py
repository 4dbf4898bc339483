"""Tokenize every document into the encoder's subwords; empty without an encoder."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.encoders.subwords import SubwordTokenizer, read_tokenizer, tokenize_into_subwords
from medcode.encoders.texts import texts_of
from medcode.text.tokenized_notes import SUBWORD_IDS


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    subword: config.Subword


@stage(Parameters, encoder=Path, tokens=Path, notes=Path, out=Path)
def main(params: Parameters, encoder: Path, tokens: Path, notes: Path, out: Path) -> None:
    if io.is_empty(encoder):
        io.write_empty(out, "no subwords: there is no encoder")
        return
    tokenizer = SubwordTokenizer(read_tokenizer(encoder))
    tokenize_into_subwords(texts_of(params.subword.text, tokens, notes), tokenizer).write(out, SUBWORD_IDS)


if __name__ == "__main__":
    main()
