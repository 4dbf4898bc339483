"""MSMN: a BiLSTM that reads notes and the synonyms of codes, and an attention with a head for each synonym."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from medcode.config.models.msmn import MsmnConfig
from medcode.dataset.label_terms import terms_of_label, words_of_terms
from medcode.layers.dropout import Dropout
from medcode.layers.loaded_buffers import resize_to_loaded
from medcode.layers.masks import position_mask
from medcode.layers.rdrop import rdrop
from medcode.layers.recurrent import Recurrent
from medcode.layers.synonym_attention import SynonymAttention
from medcode.layers.word_embedding import PAD
from medcode.models.base import WordModel
from medcode.models.inputs import ModelInputs, TrainingOutput

# Terms that are read at a time, by their number and the number of words of the shortest ones.
AT_A_TIME, SHORT = 2_048, 4
OUTPUT_SCALE = 5.0  # with `matching_init: tied`, what words that equal a label's terms add to its logit


class Msmn(WordModel):
    """MSMN (Yuan et al. 2022, "Code Synonyms Do Matter: Multiple Synonyms Matching Network for Automatic ICD Coding";
    the authors' code).

        h = P BiLSTM(dropout(x)) + p,   t_yj = max_n of the same network on term j of label y
        a_yj = softmax_n((U t_yj + u) . tanh(W h_n + w)_j),   m_y = dropout(max_j sum_n a_yjn h_n)
        logit_y = (O t_y + o) . m_y + b . t_y + c   with t_y = max_j t_yj

    where (..)_j is part j of m equal ones, and the linear layer P is there only if its sizes differ. The terms of a
    label are its title and then its synonyms, from the start again until there are m. No weight belongs to a label, so
    other labels may be predicted than were trained.

        loss = mean of the cross entropies of two passes + rdrop_weight R-Drop(first pass, second pass)

    The vectors of terms are computed once for both passes.

    Args: see `WordModel`; config: layers, hidden, features D, terms m, and others (`MsmnConfig`);
        inputs: `titles`, `terms` and `tokenize`, needed only for training.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}, a mean over the m heads.

    Departures: the authors' synonyms are UMLS's; here they are those of the tables of codes and a user's own. Padding
        is left out of the maximum over the words of a term, unless `term_padding: included` or `match_released_code`
        say so. A term that several labels have, or one label several times, is read once, with one dropout;
        `match_released_code` reads each. Every term is read at every step, which takes memory for thousands of labels;
        a cache of vectors that are a few steps old is left out. The authors show no attention of a label; here it is
        the mean of its heads. `matching_init: tied` is ours. Weight decay is on biases too. A layer of the authors'
        code with weights of each label, which it never calls, is left out.
    """

    paper = "Yuan et al. 2022"
    Config = MsmnConfig

    def __init__(self, config: MsmnConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.encoder = StackedRecurrent(self.embedding_size, config)
        self.matching = SynonymAttention(config.features, config.terms)
        self.dropout = Dropout(config.dropout)
        self.term_dropout = nn.Dropout(config.dropout)  # alike in all processes, which share notes and not terms
        self.to_weight = nn.Linear(config.features, config.features)
        self.to_bias = nn.Linear(config.features, 1)
        self.terms = nn.ModuleDict({head: _terms(head, config, inputs) for head in inputs.heads})
        self._kept: tuple[object, dict[str, Tensor]] | None = None

    def before_training(self) -> None:
        """See `Model`."""
        if self.config.matching_init == "tied":
            self._start_tied()

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return self._logits(*self.encode(tokens, lengths), self.term_vectors())

    def training_forward(
        self, tokens: Tensor, lengths: Tensor, gold: dict[str, Tensor], epoch: Tensor
    ) -> TrainingOutput:
        """See `Model`; notes are read twice for R-Drop."""
        terms, weight = self.term_vectors(), self.config.rdrop_weight
        logits = [self._logits(*self.encode(tokens, lengths), terms) for _ in range(2 if weight else 1)]
        if not weight:
            return TrainingOutput(logits, {})
        divergences = [rdrop(logits[0][head], logits[1][head], self.config.rdrop) for head in gold]
        return TrainingOutput(logits, {"train_rdrop": weight * torch.stack(divergences).sum(0)})

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return features [B, N, D] and the mask of real positions, bool [B, N]; None where padding is not masked."""
        features = self.encoder(self.embedding(tokens), lengths, self.encoder.dropout)
        return features, self.real_positions(lengths, tokens.shape[1])

    def term_vectors(self) -> dict[str, Tensor]:
        """Return the vector of each term, {head: [Y, m, D]}.

        In evaluation they are computed once, and again after the weights have changed, in place or by a training, which
        calls `train`.
        """
        wanted = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.parameters())
        if self.training or wanted:
            return self._read_terms()
        state = self._state()
        if self._kept is None or self._kept[0] != state:
            with torch.no_grad():
                self._kept = state, self._read_terms()
        return self._kept[1]

    def train(self, mode: bool = True) -> Msmn:
        """Set training or evaluation mode, and forget the vectors of terms."""
        self._kept = None
        return super().train(mode)

    @torch.no_grad()
    def _start_tied(self) -> None:
        """Let a label begin with words like those of its terms: attend to them, and read them as evidence, in place."""
        training, states = self.training, []
        for table in self.eval().terms.values():
            for features, real in map(self._features, self._words(table)):
                states.append(features[real])
        words, terms = torch.cat(states), torch.cat([*self.term_vectors().values()])
        self.train(training)
        self.matching.start_tied(words, terms.flatten(0, 1))
        mean, center, labels = words.mean(0), terms.amax(1).mean(0), terms.amax(1)
        scale = OUTPUT_SCALE / ((labels - center).norm(dim=1).mean() * (words - mean).norm(dim=1).mean())
        self.to_weight.weight.copy_(scale * torch.eye(len(center)))
        self.to_weight.bias.copy_(-scale * center)
        self.to_bias.weight.copy_(-scale * mean)
        self.to_bias.bias.copy_(scale * mean @ center - OUTPUT_SCALE)

    def label_vectors(self) -> dict[str, Tensor]:
        """See `Model`."""
        return {head: self.to_weight(terms.amax(1)) for head, terms in self.term_vectors().items()}

    def label_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """See `Model`."""
        return self._weights(*self.encode(tokens, lengths), self.term_vectors(), labels)

    def forward_with_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See `Model`."""
        features, real, terms = *self.encode(tokens, lengths), self.term_vectors()
        return self._logits(features, real, terms), self._weights(features, real, terms, labels)

    def _logits(self, features: Tensor, real: Tensor | None, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        keys, logits = self.matching.keys(features), {}
        for head, of_head in terms.items():
            context = self.dropout(self.matching(keys, features, real, of_head))  # [B, Y, D]
            label = of_head.amax(1)  # [Y, D]
            logits[head] = (context * self.to_weight(label)).sum(2) + self.to_bias(label).squeeze(1)
        return logits

    def _weights(
        self, features: Tensor, real: Tensor | None, terms: dict[str, Tensor], labels: dict[str, Tensor] | None
    ) -> dict[str, Tensor]:
        keys = self.matching.keys(features)
        chosen = terms if labels is None else {head: terms[head][indices] for head, indices in labels.items()}
        return {head: self.matching.weights(keys, real, of_head) for head, of_head in chosen.items()}

    def _read_terms(self) -> dict[str, Tensor]:
        vectors = {}
        for head, table in self.terms.items():
            parts = [self._read(words) for words in self._words(table)]
            vectors[head] = torch.cat(parts)[table.places]
        return vectors

    def _words(self, table: TermTable) -> list[Tensor]:
        """Return the words of a table in parts, with padding where it takes part in the maximum, int [M, T] each."""
        pads = 1 if self.config.pads_terms else 0
        return [table.words[rows, : width + pads] for rows, width in table.parts]

    def _read(self, words: Tensor) -> Tensor:
        """Return the vectors of terms, int [M, T] -> [M, D]."""
        features, real = self._features(words)
        return (features if self.config.pads_terms else features.masked_fill(~real.unsqueeze(2), -torch.inf)).amax(1)

    def _features(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of the words of terms and which are real, int [M, T] -> [M, T, D], bool [M, T]."""
        lengths = (words != PAD).sum(1)
        x = self.term_dropout(self.embedding.table(words))
        features = self.encoder(x, lengths, self.encoder.term_dropout)
        return features, position_mask(lengths.clamp(min=1), words.shape[1])

    def _state(self) -> object:
        """Return what the vectors of terms in evaluation depend on, in a form that changes with it."""
        device = self.to_bias.weight.device.type
        tensors = [*self.parameters(), *self.buffers()]
        versions = [(x.data_ptr(), 0 if x.is_inference() else x._version) for x in tensors]
        return versions, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)


class StackedRecurrent(nn.Module):
    """Layers of bidirectional LSTM with dropout between them, and a linear layer if the width is to be another.

    Args:
        inputs: E.
        config: layers, hidden, features D, layer_dropout.

    Shapes: [B, N, E], lengths [B] -> [B, N, D]. The last argument is the dropout between layers, of notes or of terms.
    """

    def __init__(self, inputs: int, config: MsmnConfig) -> None:
        super().__init__()
        widths = [inputs, *(2 * config.hidden for _ in range(config.layers - 1))]
        self.layers = nn.ModuleList(Recurrent("lstm", width, config.hidden, bidirectional=True) for width in widths)
        self.dropout, self.term_dropout = Dropout(config.layer_dropout), nn.Dropout(config.layer_dropout)
        width = 2 * config.hidden
        self.output = nn.Linear(width, config.features) if width != config.features else nn.Identity()

    def forward(self, x: Tensor, lengths: Tensor, dropout: Callable[[Tensor], Tensor]) -> Tensor:
        for number, layer in enumerate(self.layers):
            x, _ = layer(dropout(x) if number else x, lengths)
        return self.output(x)


class TermTable(nn.Module):
    """The words of the terms of labels, which are saved with the weights.

    Args:
        words: ids of the words of M terms, the shortest first, padded, int [M, T].
        places: rows of the m terms of each label, int [Y, m].

    Attributes:
        parts: rows of terms that are read at a time, and the number of words that the longest of them may have.
    """

    words: Tensor
    places: Tensor

    def __init__(self, words: Tensor, places: Tensor) -> None:
        super().__init__()
        self.register_buffer("words", words)
        self.register_buffer("places", places)
        self.parts = _parts(words)
        self.register_load_state_dict_pre_hook(resize_to_loaded)
        self.register_load_state_dict_post_hook(_divide_loaded)


def parts_of(lengths: Sequence[int]) -> list[tuple[slice, int]]:
    """Divide terms in ascending order of their lengths: those of up to 4 words, of up to 8, of up to 16, and so on."""
    parts, start, width = [], 0, SHORT
    while start < len(lengths):
        end = bisect_right(lengths, width)
        parts += [(slice(row, min(row + AT_A_TIME, end)), width) for row in range(start, end, AT_A_TIME)]
        start, width = end, 2 * width
    return parts


def _divide_loaded(table: TermTable, _: object) -> None:
    table.parts = _parts(table.words)


def _parts(words: Tensor) -> list[tuple[slice, int]]:
    if words.is_meta:  # parameters are counted, and no term is read
        return []
    return parts_of((words != PAD).sum(1).tolist())


def _terms(head: str, config: MsmnConfig, inputs: ModelInputs) -> TermTable:
    """Return the terms of a head; empty ones for a model whose saved weights are loaded later."""
    if inputs.titles is None or inputs.terms is None or inputs.tokenize is None:
        shape = inputs.heads[head], config.terms
        return TermTable(torch.zeros(1, 1, dtype=torch.long), torch.zeros(shape, dtype=torch.long))
    pairs = zip(inputs.titles[head], inputs.terms[head], strict=True)
    terms = [terms_of_label(title, synonyms, config.terms) for title, synonyms in pairs]
    return TermTable(*words_of_terms(terms, inputs.tokenize, config.term_words, once=not config.match_released_code))
