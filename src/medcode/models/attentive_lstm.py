"""Attentive LSTM: written diagnoses and titles of codes, both read by characters and words; a reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medcode.config.models.attentive_lstm import AttentiveLstmConfig
from medcode.dataset.title_words import padded
from medcode.layers.context_vectors import context_vectors
from medcode.layers.dropout import Dropout
from medcode.layers.loaded_buffers import resize_to_loaded
from medcode.layers.recurrent import Recurrent
from medcode.models.base import Model
from medcode.models.inputs import ModelInputs
from medcode.text.tokenization import PHRASE_END, tokenize
from medcode.text.vocabulary import PAD

# Characters of words in lower case: those of English, Spanish and their neighbors, and Greek letters.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789_ßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýÿαβγδεζηθικλμνξοπρςστυφχψωµªº²³"
UNKNOWN = 1  # the character of all others, and of an unknown word
NUMBER_OF = {character: number for number, character in enumerate(ALPHABET, start=UNKNOWN + 1)}
N_CHARACTERS = len(ALPHABET) + 2  # 100


class AttentiveLstm(Model):
    """Attentive LSTM (Shi et al. 2017, "Towards Automated ICD Coding Using Deep Learning", C-LSTM-Att; reconstruction)
    from others' descriptions: no authors' code is public.

        word = last state of an LSTM over its characters,   phrase = last state of an LSTM over its words
        a_yi = softmax_i(g_i . t_y),   f_y = sum_i a_yi g_i   for the phrases g of the note and the titles t of labels
        logit_y = w_y . [f_y; t_y] + b_y

    Notes and titles have encoders of their own, without word vectors. A note is the list of its written diagnoses, as
    `tokenize.rule: diagnoses` makes it. So its results are to be cited beside those of models that read whole notes,
    not ranked among them: physicians write these phrases at discharge, in words near to the titles of codes.

    Args: config: character_size, hidden, the width of words and phrases, selection, and others (`AttentiveLstmConfig`).
        Dropout is that of words and of phrases; inputs: `vocabulary` and `titles`, needed only for training.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}. The order of the phrases does not matter.

    Departures: no size is published in a source that we could read. Sizes, limits of length, and an output layer with
        weights for each label are ours. Words are those of the rule, in lower case and without numbers. Those outside
        the vocabulary are all read as one unknown character, so that words which training did not see are not told
        apart by their letters. In a note without a list of diagnoses, the sentences are the phrases; on a corpus
        without any, such as CodiEsp, it is an attention over sentences. Padding is never read.
    """

    paper = "Shi et al. 2017"
    Config = AttentiveLstmConfig

    spelling: Tensor

    def __init__(self, config: AttentiveLstmConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        if not inputs.vocab_size:
            raise ValueError("AttentiveLstm reads words: it takes vocab_size, not an encoder")
        self.register_buffer("spelling", _vocabulary_spelling(inputs, config.characters))
        self.notes, self.titles = PhraseEncoder(config), PhraseEncoder(config)
        self.dropout, self.title_dropout = Dropout(config.dropout), nn.Dropout(config.dropout)
        titles = {head: inputs.titles[head] if inputs.titles else [""] * labels for head, labels in self.heads.items()}
        self.words_of_titles = nn.ModuleDict(
            {head: SpelledTexts(of_head, config.words, config.characters) for head, of_head in titles.items()}
        )
        self.output = nn.ModuleDict({head: nn.Linear(2 * config.hidden, labels) for head, labels in self.heads.items()})

    def rebuild_metadata(self) -> dict[str, Any]:
        """See `Model`."""
        return {}

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        titles = {head: self._titles(head) for head in self.heads}
        phrases, real = self.encode(tokens)
        logits = {}
        for head, output in self.output.items():
            selected = self._select(phrases, real, titles[head])  # [B, Y, D]
            of_phrase, of_title = output.weight.split(phrases.shape[2], dim=1)
            logits[head] = (selected * of_phrase).sum(2) + (titles[head] * of_title).sum(1) + output.bias
        return logits

    def encode(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors of phrases, [B, P, D], and which are real, bool [B, P].

        A note without a phrase has one, whose vector is zero.
        """
        is_word = self.spelling[tokens, 0] != PAD
        positions, lengths = find_phrases(is_word, self.config.phrases, self.config.words)
        words = self.dropout(self.notes.spelled(tokens, self.spelling)).flatten(0, 1)
        is_phrase = lengths > 0
        states = self.notes(nn.functional.embedding(positions[is_phrase], words), lengths[is_phrase])
        vectors = states.new_zeros(*lengths.shape, states.shape[1])
        vectors[is_phrase] = states
        real = is_phrase | (torch.arange(lengths.shape[1], device=tokens.device) == 0)
        return self.dropout(vectors), real

    def _titles(self, head: str) -> Tensor:
        """Return the vectors of the titles of a head, [Y, D]; zero for a label without one."""
        of_head = self.words_of_titles[head]
        words = self.title_dropout(self.titles.spelled(of_head.words, of_head.spelling))
        return self.title_dropout(self.titles(words, (of_head.words != PAD).sum(1)))

    def _select(self, phrases: Tensor, real: Tensor, titles: Tensor) -> Tensor:
        """Return what each label reads of the phrases: [B, P, D], bool [B, P], [Y, D] -> [B, Y, D]."""
        if self.config.selection == "soft":
            return context_vectors(titles.unsqueeze(0), phrases, phrases, real)
        scores = (titles @ phrases.mT).masked_fill(~real.unsqueeze(1), -torch.inf)  # [B, Y, P]
        best = scores.argmax(2, keepdim=True).expand(-1, -1, phrases.shape[2])
        return phrases.gather(1, best)


class PhraseEncoder(nn.Module):
    """Vectors of words by their characters, and of phrases by their words: the last states of two LSTMs.

    Source: Shi et al. 2017, "Towards Automated ICD Coding Using Deep Learning"; sizes are ours.

    Args:
        config: character_size and hidden D.

    Shapes: [M, T, D], number of words [M] -> [M, D]; zero for a phrase without words.
    """

    def __init__(self, config: AttentiveLstmConfig) -> None:
        super().__init__()
        self.characters = nn.Embedding(N_CHARACTERS, config.character_size, padding_idx=PAD)
        self.word = Recurrent("lstm", config.character_size, config.hidden, bidirectional=False)
        self.phrase = Recurrent("lstm", config.hidden, config.hidden, bidirectional=False)

    def spelled(self, words: Tensor, spelling: Tensor) -> Tensor:
        """Return the vectors of words, each distinct one read once; zero for those without characters.

        Args:
            words: ids, int [M, T].
            spelling: characters of each word, padded with 0, int [V, C].

        Shapes: -> [M, T, D].
        """
        distinct, numbers = words.unique(return_inverse=True)
        characters = spelling[distinct].long()
        vectors = last_states(self.word, self.characters(characters), (characters != PAD).sum(1))
        return nn.functional.embedding(numbers, vectors)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        return last_states(self.phrase, words, lengths)


def last_states(network: Recurrent, x: Tensor, lengths: Tensor) -> Tensor:
    """Return the last states of a network, zero for an empty row: [M, T, E], int [M] -> [M, D]."""
    if not len(lengths):
        return x.new_zeros(0, network.features)
    _, last = network(x[:, : max(1, int(lengths.max()))], lengths)
    return last * (lengths > 0).unsqueeze(1).to(last.dtype)


def find_phrases(is_word: Tensor, phrases: int, words: int) -> tuple[Tensor, Tensor]:
    """Find the first phrases of notes and their first words. A phrase is a run of words.

    Args:
        is_word: which positions are words, bool [B, N].
        phrases, words: how many of a note and of a phrase at most.

    Returns:
        Positions of the words in the flattened batch, int [B, P, T], without a meaning behind the last word; number of
        words of each phrase, int [B, P], 0 for one that is none.
    """
    batch, positions = is_word.shape
    place = torch.arange(positions, device=is_word.device)
    starts = is_word & ~nn.functional.pad(is_word, (1, -1))
    number = starts.cumsum(1) - 1
    of_phrase = place - torch.where(starts, place, 0).cummax(1).values
    n_phrases, n_words = min(-(-positions // 2), phrases), min(positions, words)
    row, column = (is_word & (number < n_phrases) & (of_phrase < n_words)).nonzero(as_tuple=True)
    cells = row, number[row, column], of_phrase[row, column]
    found = place.new_zeros(batch, n_phrases, n_words)
    found[cells] = row * positions + column
    is_found = torch.zeros_like(found, dtype=torch.bool)
    is_found[cells] = True
    return found, is_found.sum(2)


class SpelledTexts(nn.Module):
    """The words of some texts and their characters, which are saved with the weights.

    Args:
        texts: Y texts.
        words: number of words of each that are read.
        characters: number C of characters of each word that are read.

    Attributes:
        words: rows of the spelling, padded with 0, int [Y, T].
        spelling: characters of the distinct words, uint8 [V, C]; row 0 has none.
    """

    words: Tensor
    spelling: Tensor

    def __init__(self, texts: Sequence[str], words: int, characters: int) -> None:
        super().__init__()
        row_of: dict[str, int] = {}
        rows = [[row_of.setdefault(word, len(row_of) + 1) for word in tokenize(text)[:words]] for text in texts]
        self.register_buffer("words", padded([np.array(of_text, np.int64) for of_text in rows]))
        self.register_buffer("spelling", spell(["", *row_of], characters))
        self.register_load_state_dict_pre_hook(resize_to_loaded)


def spell(words: Sequence[str], characters: int) -> Tensor:
    """Return the first characters of words as numbers, padded with 0: uint8 [V, C]."""
    spelling = np.zeros((len(words), characters), np.uint8)
    for row, word in zip(spelling, words, strict=True):
        numbers = [NUMBER_OF.get(character, UNKNOWN) for character in word[:characters]]
        row[: len(numbers)] = numbers
    return torch.from_numpy(spelling)


def _vocabulary_spelling(inputs: ModelInputs, characters: int) -> Tensor:
    """Return the characters of each row of the vocabulary, none for padding and the end of a phrase; uint8 [V, C].

    Without a vocabulary they are left to the weights that are loaded later.
    """
    if inputs.vocabulary is None:
        return torch.zeros(inputs.vocab_size, characters, dtype=torch.uint8)
    words = ["" if word == PHRASE_END else word for word in inputs.vocabulary]
    spelling = spell(["", *words, ""], characters)
    spelling[-1, 0] = UNKNOWN
    return spelling
