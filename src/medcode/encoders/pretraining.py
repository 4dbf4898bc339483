"""Continued pretraining of an encoder on the corpus, as a masked language model."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from medcode.config import Pretrain
from medcode.encoders import folder
from medcode.engine.precision import autocast
from medcode.errors import UserError
from medcode.text.tokenized_notes import TokenizedNotes

IGNORED = -100  # what cross entropy passes over
WARMUP = 0.1  # share of the steps
WEIGHT_DECAY = 0.01
DEV_BLOCKS = 256


def blocks_of(pieces: TokenizedNotes, documents: np.ndarray, specials: dict[str, int | None], size: int) -> Tensor:
    """Documents one after the other, cut into sequences of one length, each between special pieces.

    Source: Devlin et al. 2019; Liu et al. 2019 (RoBERTa) for sequences that go on over the ends of documents.

    Args:
        pieces: of all documents.
        documents: numbers of those to read.
        specials: begin, end.
        size: pieces of a sequence, special ones included. What is left over at the end is dropped.

    Returns:
        int64 [sequences, size].
    """
    texts = [pieces.document(number) for number in documents]
    running = np.concatenate(texts) if texts else np.empty(0, dtype=np.int32)
    inside = running[: len(running) - len(running) % (size - 2)].reshape(-1, size - 2).astype(np.int64)
    begin, end = (np.full((len(inside), 1), specials[name], dtype=np.int64) for name in ("begin", "end"))
    return torch.from_numpy(np.concatenate([begin, inside, end], axis=1))


def mask_pieces(
    blocks: Tensor, share: float, mask: int, vocabulary: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Hides pieces that are to be told from the others: of the chosen, 80 % by the mask, 10 % by any piece, 10 % not.

    Source: Devlin et al. 2019, section 3.1.

    Args:
        blocks: sequences between two special pieces, which are never chosen, int [B, N].
        share: of the pieces that are chosen.
        mask: number of the piece that hides others.
        vocabulary: number of pieces.

    Returns:
        What the model sees, and what it should say, `IGNORED` where nothing was chosen; both int [B, N].
    """
    chosen = torch.rand(blocks.shape, generator=generator) < share
    chosen[:, [0, -1]] = False
    fate = torch.rand(blocks.shape, generator=generator)
    any_piece = torch.randint(vocabulary, blocks.shape, generator=generator)
    seen = torch.where(chosen & (fate < 0.8), mask, torch.where(chosen & (fate >= 0.9), any_piece, blocks))
    return seen, blocks.masked_fill(~chosen, IGNORED)


class Pretrainer:
    """Trains a masked language model from an encoder's weights, with AdamW, a warm-up of 10 % and linear decay.

    Args:
        source: data/encoder.
        options: steps, learning rate, batch size, share of masked pieces, seed.
        device: where to.
        precision: fp32, bf16 or auto, as in training.

    Raises:
        UserError: the encoder has no mask piece, or its kind no masked language model.
    """

    def __init__(self, source: str | os.PathLike, options: Pretrain, device: torch.device, precision: str) -> None:
        from transformers import AutoConfig, AutoModelForMaskedLM

        self.options, self.device, self.precision = options, device, precision
        self.encoder = folder.read(source)
        self.specials = folder.read_specials(source)
        torch.manual_seed(options.seed)
        try:
            self.model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(**self.encoder.config)).to(device)
        except ValueError as error:
            raise UserError(f"pretrain: {self.encoder.config['model_type']} has no masked language model") from error
        if self.specials["mask"] is None:
            raise UserError("pretrain: the encoder's tokenizer has no mask piece")
        if self.encoder.weights is not None:
            self.model.base_model.load_state_dict(self.encoder.weights, strict=False)  # all but the pooler
        head = folder.read_tensors(Path(source) / folder.HEAD)
        if head is not None:
            self.model.load_state_dict(head, strict=False)
        self.model.tie_weights()

    def run(self, train: Tensor, dev: Tensor) -> dict[str, float]:
        """Trains, and returns the loss per masked piece on dev before and after.

        Raises:
            UserError: there is not one sequence to train on.
        """
        if not len(train):
            raise UserError(f"pretrain: the training notes together are shorter than {self.options.pieces} pieces")
        options, before = self.options, self._dev_loss(dev)
        optimizer = torch.optim.AdamW(self.model.parameters(), weight_decay=WEIGHT_DECAY)
        generator = torch.Generator().manual_seed(options.seed)
        warmup = max(1, round(WARMUP * options.steps))
        self.model.train()
        bar = tqdm(range(options.steps), desc="pretrain", unit="step", disable=None)
        for step in bar:
            falling = (options.steps - step) / max(1, options.steps - warmup)
            optimizer.param_groups[0]["lr"] = options.learning_rate * min((step + 1) / warmup, falling)
            chosen = torch.randint(len(train), (options.batch_size,), generator=generator)
            loss = self._loss(train[chosen], generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        after = self._dev_loss(dev)
        if not math.isfinite(after) and len(dev):
            raise UserError(f"pretrain: the loss is {after} in the end; a lower learning_rate may help")
        return {"dev_loss_before": before, "dev_loss_after": after}

    def save(self, source: str | os.PathLike, target: str | os.PathLike) -> None:
        """Writes an encoder's folder with the new weights; the pooler, which has no part in this, stays as it was."""
        base = {**(self.encoder.weights or {}), **self.model.base_model.state_dict()}
        head, tokenizer = folder.own_weights(self.model), folder.read_tokenizer(source)
        folder.write(target, self.encoder.config, tokenizer, self.specials, base, head)

    def _loss(self, blocks: Tensor, generator: torch.Generator) -> Tensor:
        share, vocabulary = self.options.masked, self.encoder.config["vocab_size"]
        seen, said = mask_pieces(blocks, share, self.specials["mask"], vocabulary, generator)
        with autocast(self.device, self.precision):
            logits = self.model(input_ids=seen.to(self.device)).logits
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), said.to(self.device).flatten())

    @torch.no_grad()
    def _dev_loss(self, dev: Tensor) -> float:
        """Mean over the first sequences of dev, masked alike each time."""
        self.model.eval()
        generator = torch.Generator().manual_seed(self.options.seed)
        parts = dev[:DEV_BLOCKS].split(self.options.batch_size)
        losses = [self._loss(part, generator).item() * len(part) for part in parts]
        return sum(losses) / len(dev[:DEV_BLOCKS]) if len(dev) else math.nan
