"""Vocabulary and word2vec: reproducible, and computed from the selected documents only."""

from __future__ import annotations

import numpy as np
import pytest
from gensim.models import Word2Vec

from medcode.config import WordVectors
from medcode.errors import UserError
from medcode.text import word_vectors
from medcode.text.tokens import tokenized

OPTIONS = WordVectors(documents="train", background=True, min_documents=2, size=8, window=2, epochs=3, seed=1)


@pytest.fixture(scope="module")
def tokens():
    random = np.random.default_rng(0)
    words = [f"w{chr(97 + number)}" for number in range(20)]
    texts = [" ".join(random.choice(words, 30)) for _ in range(12)] + ["only here wa", "here wb wb wb"]
    return tokenized((str(number), text) for number, text in enumerate(texts))


def test_words_in_enough_documents_are_chosen_in_alphabetical_order(tokens):
    chosen = [tokens.types[number] for number in word_vectors.frequent_words(tokens, np.arange(14), 2)]
    assert "here" in chosen and "only" not in chosen
    assert chosen == sorted(chosen)


def test_only_the_given_documents_count(tokens):
    chosen = [tokens.types[number] for number in word_vectors.frequent_words(tokens, np.arange(13), 2)]
    assert "here" not in chosen  # its second document was left out; three times in one would not help


def test_a_corpus_without_frequent_words_is_reported_in_one_line(tokens):
    with pytest.raises(UserError, match=r"word2vec\.min_documents: no word occurs in 99 of the 14 training documents"):
        word_vectors.frequent_words(tokens, np.arange(14), 99)


def test_the_table_has_the_rows_pad_words_unknown(tokens):
    words = word_vectors.frequent_words(tokens, np.arange(14), 2)
    table = word_vectors.train(tokens, np.arange(14), words, OPTIONS)
    assert table.shape == (len(words) + 2, 8) and table.dtype == np.float32
    assert not table[0].any()
    sentences = [[tokens.types[number] for number in tokens.notes.document(document)] for document in range(14)]
    vectors = Word2Vec(sentences, vector_size=8, window=2, epochs=3, seed=1, min_count=0, workers=1).wv
    np.testing.assert_array_equal(table[1:-1], [vectors[tokens.types[number]] for number in words])  # not normalized
    np.testing.assert_allclose(table[-1], np.random.default_rng(1).standard_normal(8), rtol=1e-6)


def test_vectors_are_the_same_to_the_bit_and_depend_on_the_seed(tokens):
    words = word_vectors.frequent_words(tokens, np.arange(12), 2)
    first, again, other = (
        word_vectors.train(tokens, np.arange(12), words, OPTIONS.model_copy(update={"seed": seed}))
        for seed in (1, 1, 2)
    )
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, other)


def test_a_long_document_is_read_completely(tokens):
    text = " ".join(["start"] * (word_vectors.LONGEST_SENTENCE + 5) + ["finish"] * 3)
    long = tokenized([("1", text), ("2", "start finish")])
    words = word_vectors.frequent_words(long, np.arange(2), 2)
    sentences = list(word_vectors._Sentences(long, np.arange(2), 1))
    assert [len(sentence) for sentence in sentences] == [word_vectors.LONGEST_SENTENCE, 8, 2]
    assert len(words) == 2
