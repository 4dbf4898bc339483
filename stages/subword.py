"""Cuts every document into the encoder's word pieces; an empty folder without an encoder."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode.config import Params
from medcode.encoders import folder
from medcode.encoders.pieces import PieceTokenizer, cut_into_pieces
from medcode.encoders.texts import texts_of


@stage(encoder=Path, tokens=Path, notes=Path, out=Path)
def main(params: Params, encoder: Path, tokens: Path, notes: Path, out: Path) -> None:
    if folder.is_empty(encoder):
        folder.write_nothing(out)
        return
    tokenizer = PieceTokenizer(folder.read_tokenizer(encoder))
    cut_into_pieces(texts_of(params.subword.text, tokens, notes), tokenizer).write(out)


if __name__ == "__main__":
    main()
