"""Continued pretraining of an encoder on the corpus, as a masked language model."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from medcode.config import Pretrain
from medcode.encoders import folder
from medcode.engine.precision import autocast
from medcode.errors import UserError
from medcode.text.tokenized_notes import TokenizedNotes

if TYPE_CHECKING:
    from transformers import DataCollatorForLanguageModeling

IGNORED = -100  # what cross entropy passes over, and the collator gives to pieces that are not asked for
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


def collator(
    definition: str, specials: dict[str, int | None], share: float, seed: int
) -> DataCollatorForLanguageModeling:
    """What hides pieces that are to be told from the others: of the chosen, 80 % by the mask, 10 % by any, 10 % not.

    It takes a list of sequences, int [N] each, and leaves them as they are. It returns `input_ids`, what the model
    sees, and `labels`, what it should say, `IGNORED` where nothing was chosen; both int [B, N]. Special pieces are
    never chosen. Two collators of one seed hide the same pieces, call by call.

    Source: Devlin et al. 2019, section 3.1, as transformers has it.

    Args:
        definition: content of a tokenizer.json.
        specials: numbers of the special pieces: begin, end, pad, mask.
        share: of the pieces that are chosen.
    """
    from tokenizers import Tokenizer
    from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_str(definition)
    roles = {"cls_token": "begin", "sep_token": "end", "pad_token": "pad", "mask_token": "mask"}
    pieces = {role: tokenizer.id_to_token(specials[name]) for role, name in roles.items()}
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **pieces)
    return DataCollatorForLanguageModeling(wrapped, mlm_probability=share, seed=seed)


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
        self.tokenizer = folder.read_tokenizer(source)
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
        masking = self._masking()
        warmup = max(1, round(WARMUP * options.steps))
        self.model.train()
        bar = tqdm(range(options.steps), desc="pretrain", unit="step", disable=None)
        for step in bar:
            falling = (options.steps - step) / max(1, options.steps - warmup)
            optimizer.param_groups[0]["lr"] = options.learning_rate * min((step + 1) / warmup, falling)
            chosen = torch.randint(len(train), (options.batch_size,), generator=generator)
            loss = self._loss(train[chosen], masking)
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

    def _masking(self) -> DataCollatorForLanguageModeling:
        made = collator(self.tokenizer, self.specials, self.options.masked, self.options.seed)
        pieces, vectors = len(made.tokenizer), self.encoder.config["vocab_size"]
        if pieces > vectors:
            raise UserError(f"pretrain: the encoder has vectors of {vectors} pieces, its tokenizer {pieces} pieces")
        return made

    def _loss(self, blocks: Tensor, masking: DataCollatorForLanguageModeling) -> Tensor:
        batch = masking(list(blocks))
        with autocast(self.device, self.precision):
            logits = self.model(input_ids=batch["input_ids"].to(self.device)).logits
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), batch["labels"].to(self.device).flatten())

    @torch.no_grad()
    def _dev_loss(self, dev: Tensor) -> float:
        """Mean over the first sequences of dev, masked alike each time."""
        self.model.eval()
        masking = self._masking()
        parts = dev[:DEV_BLOCKS].split(self.options.batch_size)
        losses = [self._loss(part, masking).item() * len(part) for part in parts]
        return sum(losses) / len(dev[:DEV_BLOCKS]) if len(dev) else math.nan
