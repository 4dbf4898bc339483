"""Find the sentences of every document, and the tokens of the spans; empty for a corpus without spans."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.dataset.sentences import find_sentences
from medcode.encoders.subwords import SubwordTokenizer, read_tokenizer
from medcode.text.tokenized_notes import SUBWORD_IDS, WORD_IDS, TokenizedNotes


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    subword: config.Subword
    tokenize: config.Tokenize


@stage(Parameters, encoder=Path, notes=Path, spans=Path, subword=Path, tokens=Path, out=Path)
def main(params: Parameters, notes: Path, spans: Path, out: Path, **paths: Path) -> None:
    table = io.read_table(spans)
    if not table.num_rows:
        io.write_empty(out, "no sentences: the corpus has no spans to learn them from")
        return
    if io.is_empty(paths["encoder"]):
        tokenizer, documents = None, TokenizedNotes.read(paths["tokens"], WORD_IDS)
    else:
        tokenizer = SubwordTokenizer(read_tokenizer(paths["encoder"]), params.subword.text)
        documents = TokenizedNotes.read(paths["subword"], SUBWORD_IDS)
    find_sentences(documents, notes, table, params.tokenize.rule, tokenizer).write(out)


if __name__ == "__main__":
    main()
