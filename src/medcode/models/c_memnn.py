"""C-MemNN: a memory network with a page for every label, whose older states are condensed; a reconstruction."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from medcode.config.models.c_memnn import CMemNNConfig
from medcode.dataset.title_words import known_words, padded
from medcode.layers.dropout import Dropout
from medcode.layers.loaded_buffers import resize_to_loaded
from medcode.layers.word_embedding import PAD
from medcode.models.base import WordModel
from medcode.models.inputs import ModelInputs, TrainingOutput
from medcode.text.stop_words import STOP_WORDS

ABOVE = "category", "block"  # levels of the tree whose titles are part of a page


class Reading(NamedTuple):
    """What a head reads of its memory.

    Attributes:
        logits: [B, Y].
        scores: of the slots at every hop, K times [B, Y].
        found: which slots are read, bool [B, Y].
    """

    logits: Tensor
    scores: list[Tensor]
    found: Tensor


class CMemNN(WordModel):
    """C-MemNN (Prakash et al. 2017, "Condensed Memory Networks for Clinical Diagnostic Inferencing"), a reconstruction
    from the paper: no authors' code is public, and the labels of the paper are not ICD codes.

        u = B sum(x) / sqrt(n),   m_y = A sum(page of y) / sqrt(n_y),   c_y = C sum(title of y) / sqrt(n_y')
        a_y = sigmoid(v . tanh(U u + M m_y + b) + b'),   o = sum_y a_y c_y
        u <- u + o,   s <- [u; D s],   K times from s = u
        logit = W dropout(s) + b

    where D halves its input. Slots whose page shares no word with the note have a weight of 0.

    Args: see `WordModel`; config: hops K, and others (`CMemNNConfig`). Dropout is that before the output;
        inputs: `titles`, `terms`, `tree` and `tokenize`, needed only for training.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}. The order of the words does not matter.

    Departures: the paper has pages of Wikipedia about diagnoses, and predicts the names of diagnoses in notes without
        them. Here the page of a code is its title, its synonyms, and the titles of its category and block; its title is
        the value. The list of stop words, widths of the gate and of D, the root of the number of words, one set of
        weights for all hops, and a loss of the addressing over the slots that were read are ours. The prose of the
        paper once halves both parts of the condensed state; its equation, which is taken here, halves the older one.
    """

    paper = "Prakash et al. 2017"
    Config = CMemNNConfig

    ignored: Tensor

    def __init__(self, config: CMemNNConfig, inputs: ModelInputs) -> None:
        if config.text_size != "corpus":  # the table of notes starts at random, with its own width
            inputs = replace(inputs, vectors=torch.randn(inputs.vocab_size, config.text_size))
        super().__init__(config, inputs)
        self.embedding.dropout = nn.Identity()
        rows, size, slot_size = inputs.vocab_size, self.embedding_size, config.slot_size
        table = self.embedding.table.weight.detach()
        self.pages = _table(rows, config.text_size, table)
        self.titles = _table(rows, config.title_size, table)
        self.from_note = nn.Linear(size, slot_size, bias=False)
        self.from_page = nn.Linear(size, slot_size, bias=False)
        self.from_title = nn.Linear(self.titles.embedding_dim, slot_size, bias=False)
        self.addressing = Gate(slot_size, config.gate_size) if config.addressing == "gated" else None
        self.condense = nn.ModuleList()
        width = slot_size
        for _ in range(config.hops if config.state == "condensed" else 0):
            self.condense.append(nn.Linear(width, width // 2, bias=False))
            width = slot_size + width // 2
        self.dropout = Dropout(config.dropout)
        self.output = nn.ModuleDict({head: nn.Linear(width, labels) for head, labels in inputs.heads.items()})
        self.register_buffer("ignored", _stop_words(config, inputs))
        self.memory = nn.ModuleDict({head: _memory(head, inputs) for head in inputs.heads})

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return {head: reading.logits for head, reading in self.read(tokens).items()}

    def training_forward(
        self, tokens: Tensor, lengths: Tensor, gold: dict[str, Tensor], epoch: Tensor
    ) -> TrainingOutput:
        """See `Model`; adds the loss of the addressing, averaged over hops and the slots that were read."""
        readings = self.read(tokens)
        error = torch.zeros(len(tokens), device=tokens.device)
        for head, labels in gold.items():
            for scores in readings[head].scores:
                error = error + self._addressing_loss(scores, readings[head].found, labels) / self.config.hops
        logits = {head: reading.logits for head, reading in readings.items()}
        return TrainingOutput([logits], {"train_addressing_loss": self.config.addressing_weight * error})

    def read(self, tokens: Tensor) -> dict[str, Reading]:
        """Read the memory of every head: int [B, N] -> {head: reading}."""
        vectors, words = self.embedding(tokens), self._kept(tokens)
        total = vectors.masked_fill((words == PAD).unsqueeze(2), 0).sum(1)
        note = self.from_note(total / root_of_words(words))  # [B, D]
        return {head: self._hops(note, words, head) for head in self.heads}

    def _hops(self, note: Tensor, words: Tensor, head: str) -> Reading:
        pages, titles = self._kept(self.memory[head].pages), self._kept(self.memory[head].titles)
        keys = self.from_page(sum_of_words(self.pages, pages) / root_of_words(pages))  # [Y, D]
        values = self.from_title(sum_of_words(self.titles, titles) / root_of_words(titles))
        found = self._found(words, pages)
        states, condensed, scores = [note], note, []
        for hop in range(self.config.hops):
            scores.append(states[-1] @ keys.T if self.addressing is None else self.addressing(states[-1], keys))
            states.append(states[-1] + self.weights(scores[-1], found).to(values.dtype) @ values)
            if self.config.state == "condensed":
                condensed = torch.cat([states[-1], self.condense[hop](condensed)], dim=1)
        if self.config.state == "averaged":
            condensed = torch.stack([state / 2**age for age, state in enumerate(reversed(states))]).sum(0)
        elif self.config.state == "last":
            condensed = states[-1]
        return Reading(self.output[head](self.dropout(condensed)), scores, found)

    def weights(self, scores: Tensor, found: Tensor) -> Tensor:
        """Return the weights of slots, 0 for those that are not read: [B, Y], bool [B, Y] -> fp32 [B, Y]."""
        scores = scores.float()
        if self.addressing is not None:
            return scores.sigmoid() * found
        return scores.masked_fill(~found, torch.finfo(scores.dtype).min).softmax(1) * found

    def _found(self, words: Tensor, pages: Tensor) -> Tensor:
        """Return which slots are read, bool [B, Y]: those that share a word with the note, or all."""
        if self.config.retrieval == "all":
            return torch.ones(len(words), len(pages), dtype=torch.bool, device=words.device)
        present = torch.zeros(len(words), len(self.ignored), dtype=torch.bool, device=words.device)
        present.scatter_(1, words, True)
        present[:, PAD] = False
        return present[:, pages].any(2)

    def _addressing_loss(self, scores: Tensor, found: Tensor, gold: Tensor) -> Tensor:
        """Return the cross entropy of the slots that were read against those of gold labels, [B]."""
        scores, gold = scores.float(), gold.float() * found
        if self.addressing is not None:
            losses = nn.functional.binary_cross_entropy_with_logits(scores, gold, reduction="none") * found
            return losses.sum(1) / found.sum(1).clamp(min=1)
        logs = scores.masked_fill(~found, torch.finfo(scores.dtype).min).log_softmax(1)
        return -(logs * gold).sum(1) / gold.sum(1).clamp(min=1)

    def _kept(self, words: Tensor) -> Tensor:
        return words.masked_fill(self.ignored[words], PAD)


class Gate(nn.Module):
    """Score of every slot by itself: a layer with tanh on a state and a slot, and a linear one.

    Source: Prakash et al. 2017, "Condensed Memory Networks for Clinical Diagnostic Inferencing", addressing of memory.

    Args:
        size: D of states and slots.
        hidden: width of the layer.

    Shapes: states [B, D], slots [Y, D] -> [B, Y], before the sigmoid.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * size, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, states: Tensor, slots: Tensor) -> Tensor:
        of_state, of_slot = self.hidden.weight.split(states.shape[1], dim=1)
        hidden = (states @ of_state.T).unsqueeze(1) + slots @ of_slot.T + self.hidden.bias  # [B, Y, hidden]
        return self.score(hidden.tanh()).squeeze(2)


class Memory(nn.Module):
    """The words of pages and titles, which are saved with the weights.

    Args:
        pages, titles: ids of words, padded, int [Y, T] and [Y, T'].
    """

    pages: Tensor
    titles: Tensor

    def __init__(self, pages: Tensor, titles: Tensor) -> None:
        super().__init__()
        self.register_buffer("pages", pages)
        self.register_buffer("titles", titles)
        self.register_load_state_dict_pre_hook(resize_to_loaded)


def _memory(head: str, inputs: ModelInputs) -> Memory:
    """Return the memory of a head; an empty one for a model whose saved weights are loaded later."""
    if inputs.titles is None or inputs.terms is None or inputs.tree is None or inputs.tokenize is None:
        empty = torch.zeros(inputs.heads[head], 1, dtype=torch.long)
        return Memory(empty, empty.clone())
    titles = inputs.titles[head]
    above = [[node.title for node in path[:-1] if node.level in ABOVE] for path in inputs.tree[head]]
    pages = [
        " ".join([title, *terms, *nodes]) for title, terms, nodes in zip(titles, inputs.terms[head], above, strict=True)
    ]
    words = ([known_words(ids, _no_words(inputs)) for ids in inputs.tokenize(texts)] for texts in (pages, titles))
    return Memory(*map(padded, words))


def _no_words(inputs: ModelInputs) -> tuple[int, int]:
    """Return the ids of padding and of unknown words."""
    return PAD, inputs.vocab_size - 1


def _stop_words(config: CMemNNConfig, inputs: ModelInputs) -> Tensor:
    """Return which words are left out, bool [V]; none for a model whose saved weights are loaded later."""
    ignored = torch.zeros(inputs.vocab_size, dtype=torch.bool)
    if config.stop_words == "removed" and inputs.tokenize is not None:
        for ids in inputs.tokenize(sorted(STOP_WORDS)):
            ignored[torch.from_numpy(known_words(ids, _no_words(inputs)))] = True
    return ignored


def _table(rows: int, size: int | Literal["corpus"], vectors: Tensor) -> nn.Embedding:
    """Return a table of word vectors that starts at random, or as the corpus's."""
    if size != "corpus":
        return nn.Embedding(rows, size, padding_idx=PAD)
    return nn.Embedding.from_pretrained(vectors.clone(), freeze=False, padding_idx=PAD)


def sum_of_words(table: nn.Embedding, words: Tensor) -> Tensor:
    """Return the sums of word vectors without a tensor of one vector a word: int [Y, T] -> [Y, E]."""
    return nn.functional.embedding_bag(words, table.weight, mode="sum", padding_idx=PAD)


def root_of_words(words: Tensor) -> Tensor:
    """Return the root of the number of words, at least 1: int [B, N] -> [B, 1]."""
    return (words != PAD).sum(1, keepdim=True).clamp(min=1).sqrt()
