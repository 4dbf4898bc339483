"""Chooses the vocabulary and trains word2vec vectors."""

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
    words = word_vectors.vocabulary(words_of, np.flatnonzero(split == "train"), params.word2vec.min_documents)
    read = {"train"} | ({"background"} if params.word2vec.background else set())
    if params.word2vec.documents == "all":
        read |= {"dev", "test"}
    seen = np.isin(split, sorted(read))
    table = word_vectors.train(words_of, np.flatnonzero(seen), words, params.word2vec)
    io.write_text(vocabulary, "".join(f"{words_of.types[number]}\n" for number in words))
    io.write_array(vectors, table)
    saw = {name: int((split[seen] == name).sum()) for name in ("train", "background", "dev", "test")}
    described = {"documents": params.word2vec.documents, "vectors_saw": saw, "vocabulary_saw": {"train": saw["train"]}}
    io.write_metrics(metrics, {**described, "words": len(words), "types": len(words_of.types)})


if __name__ == "__main__":
    main()
