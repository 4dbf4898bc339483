"""Choose the vocabulary and train word2vec vectors."""

from __future__ import annotations

from common import stage

from pathlib import Path

import numpy as np

from medcode import config, io
from medcode.text import word_vectors
from medcode.text.tokens import TokenizedWords


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    word2vec: config.WordVectors


@stage(Parameters, tokens=Path, documents=Path, vocabulary=Path, vectors=Path, metrics=Path)
def main(params: Parameters, tokens: Path, documents: Path, vocabulary: Path, vectors: Path, metrics: Path) -> None:
    words_of = TokenizedWords.read(tokens)
    split_of = dict(
        zip(*(io.read_table(documents)[name].to_pylist() for name in ("admission_id", "split")), strict=True)
    )
    split = np.array([split_of.get(admission, "") for admission in words_of.notes.admissions])
    words = word_vectors.frequent_words(words_of, np.flatnonzero(split == "train"), params.word2vec.min_documents)
    splits = {"train"} | ({"background"} if params.word2vec.background else set())
    if params.word2vec.documents == "all":
        splits |= {"dev", "test"}
    is_read = np.isin(split, sorted(splits))
    table = word_vectors.train(words_of, np.flatnonzero(is_read), words, params.word2vec)
    io.write_text(vocabulary, "".join(f"{words_of.types[number]}\n" for number in words))
    io.write_array(vectors, table)
    n_documents = {name: int((split[is_read] == name).sum()) for name in ("train", "background", "dev", "test")}
    io.write_metrics(
        metrics,
        {
            "documents": params.word2vec.documents,
            "vectors_saw": n_documents,
            "vocabulary_saw": {"train": n_documents["train"]},
            "words": len(words),
            "types": len(words_of.types),
        },
    )


if __name__ == "__main__":
    main()
