"""Word vectors of the titles of codes, learned from the titles alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medcode.text.vocabulary import PAD

WORDS_OF_NONE = 5  # random vectors in place of the words of a title without words


def title_vectors(titles: Tensor, size: int, epochs: int, seed: int) -> Tensor:
    """Return the maximum and the minimum over the word vectors of each title.

    Source: Feucht et al. 2021 (DLAC), the authors' code: CBOW on the titles, each one a sentence, and every word in it.
    A title without words has five random vectors, uniform between 0 and 1.

    Args:
        titles: ids of words padded with 0, int [Y, T].
        size: of a word vector.
        epochs, seed: of word2vec.

    Shapes: -> fp32 [Y, 2 size].
    """
    from gensim.models import Word2Vec  # slow to load, and needed in training alone

    sentences = [[str(word) for word in row if word != PAD] for row in titles.tolist()]
    vectors, random = {}, np.random.default_rng(seed)
    if any(sentences):
        vectors = Word2Vec(
            sentences, vector_size=size, min_count=0, sg=0, epochs=epochs, seed=seed, workers=1
        ).wv  # one worker makes gensim reproducible to the bit
    rows = []
    for words in sentences:
        of_words = np.stack([vectors[word] for word in words]) if words else random.random((WORDS_OF_NONE, size))
        rows.append(np.concatenate([of_words.max(0), of_words.min(0)]))
    return torch.from_numpy(np.stack(rows).astype(np.float32))
