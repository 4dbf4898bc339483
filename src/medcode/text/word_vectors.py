"""The vocabulary of the training documents, and word2vec vectors for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from gensim.models import Word2Vec
from tqdm import tqdm

from medcode.config import WordVectors
from medcode.errors import UserError
from medcode.text.tokens import TokenizedWords

# gensim cuts longer sentences without a word.
LONGEST_SENTENCE = 10_000


def vocabulary(tokens: TokenizedWords, documents: np.ndarray, min_documents: int) -> np.ndarray:
    """Chooses the words that occur in enough documents.

    Source: caml-mimic, words in at least 3 training documents.

    Args:
        tokens: all documents.
        documents: numbers of the training documents.
        min_documents: in how many of them a word must occur.

    Returns:
        Numbers of the word types, in alphabetical order of the words, int64 [V].

    Raises:
        UserError: no word is frequent enough.
    """
    occurs_in = np.zeros(len(tokens.types), dtype=np.int64)
    for document in documents:
        occurs_in[np.unique(tokens.notes.document(document))] += 1
    chosen = np.flatnonzero(occurs_in >= min_documents)
    if not len(chosen):
        raise UserError(
            f"word2vec.min_documents: no word occurs in {min_documents} of the {len(documents)} training documents; "
            "use a smaller number"
        )
    return np.array(sorted(chosen, key=lambda number: tokens.types[number]), dtype=np.int64)


def train(tokens: TokenizedWords, documents: np.ndarray, words: np.ndarray, options: WordVectors) -> np.ndarray:
    """Trains CBOW word2vec and lays out the embedding table.

    Source: caml-mimic (CBOW, 100, window 5, 5 epochs, every word; rows divided by norm + 1e-6; PAD zero; UNK a
    normal draw, normalised alike). One worker, which is what makes gensim reproducible to the bit.

    Args:
        tokens: all documents.
        documents: numbers of the documents that word2vec reads.
        words: numbers of the word types of the vocabulary [V].
        options: size E, window, epochs, seed, decorrelate.

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
    # word2vec reads all training documents, or more, so that it knows every word of the vocabulary.
    known = np.stack([model.wv[tokens.types[number]] for number in words])
    if options.decorrelate:
        known = decorrelated(known)
    table = np.stack([np.zeros(options.size), *known, unknown]).astype(np.float32)
    return table / (np.linalg.norm(table, axis=1, keepdims=True) + np.float32(1e-6))


def decorrelated(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors turned into vectors with mean zero and the identity as covariance, as near to them as such can be.

    Word vectors of a small corpus all point the same way, and chance resemblance hides which words are the same; the
    first directions say most about frequency (Mu and Viswanath 2018, "All-but-the-Top"). This goes further and makes
    all directions weigh alike (zero-phase whitening). A direction without variance stays without.

    Shapes: [V, E] -> float64 [V, E].
    """
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = units - units.mean(0, dtype=np.float64)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    varied = variances > variances.max() * 1e-9
    scales = np.where(varied, 1 / np.sqrt(np.where(varied, variances, 1)), 0)
    return centred @ (directions * scales) @ directions.T


class _Sentences:
    """The documents as lists of words; gensim reads them once for the vocabulary and once an epoch."""

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
