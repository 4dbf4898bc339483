"""The vocabulary of the training documents, and its word2vec vectors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from gensim.models import Word2Vec
from tqdm import tqdm

from medcode.config import WordVectors
from medcode.errors import UserError
from medcode.text.tokens import TokenizedWords
from medcode.text.vocabulary import Vocabulary

# gensim silently truncates longer sentences.
LONGEST_SENTENCE = 10_000


def frequent_words(tokens: TokenizedWords, documents: np.ndarray, min_documents: int) -> np.ndarray:
    """Select the words that occur in at least `min_documents` training documents.

    Source: caml-mimic, words in at least 3 training documents.

    Args:
        tokens: all documents.
        documents: indices of the training documents.
        min_documents: minimum document frequency of a word.

    Returns:
        Indices of the word types, in alphabetical order of the words, int64 [V].

    Raises:
        UserError: no word is frequent enough.
    """
    document_frequency = np.zeros(len(tokens.types), dtype=np.int64)
    for document in documents:
        document_frequency[np.unique(tokens.notes.document(document))] += 1
    frequent = np.flatnonzero(document_frequency >= min_documents)
    if not len(frequent):
        raise UserError(
            f"word2vec.min_documents: no word occurs in {min_documents} of the {len(documents)} training documents; "
            "use a smaller number"
        )
    return np.array(sorted(frequent, key=lambda number: tokens.types[number]), dtype=np.int64)


def train(tokens: TokenizedWords, documents: np.ndarray, words: np.ndarray, options: WordVectors) -> np.ndarray:
    """Train CBOW word2vec and arrange its vectors as rows of an embedding.

    Source: caml-mimic (CBOW, 100, window 5, 5 epochs, every word; PAD zero; UNK sampled from a normal distribution).
    One worker makes gensim reproducible to the bit. Rows are not normalized here: `dataset.embedding_table` does that,
    as the recipe says.

    Args:
        tokens: all documents.
        documents: indices of the documents that word2vec reads.
        words: indices of the word types of the vocabulary [V].
        options: size E, window, epochs, seed.

    Returns:
        float32 [V + 2, E]: PAD, the words, UNK.
    """
    sentences = _Sentences(tokens, documents, options.epochs + 1)
    model = Word2Vec(
        sentences,
        vector_size=options.size,
        window=options.window,
        epochs=options.epochs,
        seed=options.seed,
        min_count=0,
        sg=0,
        workers=1,
    )
    sentences.bar.close()
    unknown = np.random.default_rng(options.seed).standard_normal(options.size)
    # word2vec reads at least all training documents, so it has a vector for every word of the vocabulary.
    word_rows = np.stack([model.wv[tokens.types[number]] for number in words])
    return Vocabulary.table(word_rows, unknown).astype(np.float32)


class _Sentences:
    """The documents as lists of words; gensim reads them once for the vocabulary and once per epoch."""

    def __init__(self, tokens: TokenizedWords, documents: np.ndarray, readings: int) -> None:
        self.tokens = tokens
        self.documents = documents
        self.types = np.array(tokens.types, dtype=object)
        self.bar = tqdm(total=readings * len(documents), desc="word2vec", unit="doc", disable=None)

    def __iter__(self) -> Iterator[list[str]]:
        for document in self.documents:
            ids = self.tokens.notes.document(document)
            for start in range(0, len(ids), LONGEST_SENTENCE):
                yield self.types[ids[start : start + LONGEST_SENTENCE]].tolist()
            self.bar.update()
