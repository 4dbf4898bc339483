"""GKI-ICD: PLM-CA that in training also reads a text written from the titles, synonyms and tree of a note's codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from medcode.codes.tree import Path
from medcode.config.models.gki_icd import GkiIcdConfig
from medcode.layers.chunks import cut_through, join
from medcode.layers.rdrop import cosine_distance, rdrop
from medcode.models.inputs import ModelInputs, TrainingOutput
from medcode.models.plm_ca import PlmCa


class GkiIcd(PlmCa):
    """GKI-ICD (Zhang et al. 2025, "A General Knowledge Injection Framework for ICD Coding"; the authors' code).

        network as PLM-CA with output: per_label and queries: titles; in training each note x has a guideline g
        loss = mean of the cross entropies of x and g, in each pass
             + similarity_weight (1 - mean_y cos(m_y(x), m_y(g)))     over the gold labels y of the note
             + rdrop_weight R-Drop(first pass of x, second pass of x) from the second epoch on

    A guideline is written anew for each batch from the gold labels of training notes alone (`GuidelineWriter`).

    Args: as PLM-CA; config: similarity_weight, rdrop_weight; rdrop, the distribution whose divergence it is; redraw,
        whether the second pass has another guideline;
        inputs: `titles`, `terms`, `tree` and `tokenize`, needed only for training.

    Shapes: as PLM-CA.

    Departures: padding is masked. `match_released_code` fills shorter notes of a batch with features of zero that take
        part in the attention, and takes the maximum over a title's padding too, as the authors' code. Notes and
        guidelines are separate calls, so that neither is padded to the length of the other. The authors' synonyms are
        UMLS's; here they are those of the tables of codes and a user's own. A part of a guideline without a title in
        the tables is left out. The similarity is a mean over the gold labels of each note; the authors' is over those
        of a batch, which is one note with their batch size. Their encoder keeps an unused pooler.
    """

    paper = "Zhang et al. 2025"
    Config = GkiIcdConfig

    def __init__(self, config: GkiIcdConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        for attention in self.attention.values():
            attention.sample_weights(0.02)
            nn.init.zeros_(attention.value.bias)
            nn.init.zeros_(attention.output.bias)
        self._tokenize, self._writer = inputs.tokenize, None
        if inputs.titles is not None and inputs.terms is not None and inputs.tree is not None:
            of_heads = (inputs.titles, inputs.terms, inputs.tree)
            titles, terms, paths = ([x for head in self.heads for x in of_head[head]] for of_head in of_heads)
            self._writer = GuidelineWriter(titles, terms, paths)

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        chunks = cut_through(tokens, lengths, self.config.chunk, self.outline.specials)
        features, real = join(self.run(chunks, chunks.real)[chunks.real], lengths + 2, tokens.shape[1] + 2)
        return features, real if self.config.masked else None

    def training_forward(
        self, tokens: Tensor, lengths: Tensor, gold: dict[str, Tensor], epoch: Tensor
    ) -> TrainingOutput:
        """See `Model`; notes and guidelines, each once or, for R-Drop, twice."""
        n_passes = 2 if self.config.rdrop_weight else 1
        guidelines = self.guidelines(gold)
        notes, further = [], []
        for number in range(n_passes):
            if number and self.config.redraw:
                guidelines = self.guidelines(gold)
            notes.append(self._contexts(tokens, lengths))
            further.append(self._contexts(*guidelines))
        logits = [
            {head: self.attention[head].logits(context) for head, context in contexts.items()}
            for contexts in (*notes, *further)
        ]
        penalties = {}
        if weight := self.config.similarity_weight:
            pairs = zip(notes, further, strict=True)
            distances = [cosine_distance(note[head], text[head], gold[head]) for note, text in pairs for head in gold]
            penalties["train_similarity"] = weight * torch.stack(distances).sum(0) / n_passes
        if weight := self.config.rdrop_weight:
            divergences = [rdrop(logits[0][head], logits[1][head], self.config.rdrop) for head in gold]
            penalties["train_rdrop"] = weight * (epoch > 1) * torch.stack(divergences).sum(0)
        return TrainingOutput(logits, penalties)

    def guidelines(self, gold: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return a guideline of each note of a batch, as tokens [B, N] and lengths [B].

        Args:
            gold: gold labels, {head: 0 or 1, [B, Y]}.

        Raises:
            ValueError: the model was built without the titles, terms or tree of its labels.
        """
        if self._writer is None or self._tokenize is None:
            raise ValueError("GKI-ICD was built without the titles, terms and tree that its training needs")
        labels = torch.cat([gold[head] for head in self.heads], dim=1)
        texts = [self._writer.write(row.nonzero().flatten().tolist()) for row in labels.cpu()]
        ids = [torch.from_numpy(tokens).long() for tokens in self._tokenize(texts)]
        lengths = torch.tensor([len(tokens) for tokens in ids], device=labels.device)
        padded = nn.functional.pad(pad_sequence(ids, batch_first=True), (0, 0 if lengths.any() else 1))
        return padded.to(labels.device), lengths

    def _contexts(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        features, real = self.features(tokens, lengths)
        return {head: attention.context(features, real) for head, attention in self.attention.items()}


class GuidelineWriter:
    """Writes the guideline of a note from its codes (Zhang et al. 2025).

    An expression of each code: the titles of its chapter, its block, its category where that is another code, and a
    term, which is a synonym drawn anew each time, or the title of a code without synonyms. The expressions are in
    random order, with points between them. Random numbers are those of torch on the CPU, so they follow the seed of
    the step.

    Args:
        titles: of each label, maybe empty.
        terms: synonyms of each label, maybe none.
        paths: nodes from the chapter of each label down to the label.
    """

    def __init__(self, titles: Sequence[str], terms: Sequence[Sequence[str]], paths: Sequence[Path]) -> None:
        self._terms = [of_label or [title] for of_label, title in zip(terms, titles, strict=True)]
        self._above = [
            [node.title for node in path[:-1] if node.level in ("chapter", "block", "category")] for path in paths
        ]

    def write(self, labels: Sequence[int]) -> str:
        """Return a guideline of some labels, in lower case; empty without a label."""
        expressions = [self._expression(labels[number]) for number in torch.randperm(len(labels)).tolist()]
        return ". ".join(expression for expression in expressions if expression)

    def _expression(self, label: int) -> str:
        terms = self._terms[label]
        term = terms[int(torch.randint(len(terms), ()))]
        return ", ".join(part for part in (*self._above[label], term) if part).lower()
