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
from medcode.encoders.subwords import read_tokenizer
from medcode.engine.precision import autocast
from medcode.errors import UserError
from medcode.text.tokenized_notes import TokenizedNotes

if TYPE_CHECKING:
    from transformers import DataCollatorForLanguageModeling

IGNORED = -100  # label of subwords without a loss, for both cross entropy and the collator
WARMUP = 0.1  # share of the steps
WEIGHT_DECAY = 0.01
DEV_BLOCKS = 256


def blocks_of(notes: TokenizedNotes, documents: np.ndarray, specials: dict[str, int | None], size: int) -> Tensor:
    """Concatenate documents and split them into sequences of one length, each between special tokens.

    Source: Devlin et al. 2019; Liu et al. 2019 (RoBERTa) for sequences that cross the ends of documents.

    Args:
        notes: subwords of all documents.
        documents: indices of the documents to read.
        specials: ids of the special tokens begin and end.
        size: number of subwords of a sequence, special tokens included. An incomplete last sequence is dropped.

    Returns:
        int64 [sequences, size].
    """
    texts = [notes.document(number) for number in documents]
    subwords = np.concatenate(texts) if texts else np.empty(0, dtype=np.int32)
    inside = subwords[: len(subwords) - len(subwords) % (size - 2)].reshape(-1, size - 2).astype(np.int64)
    begin, end = (np.full((len(inside), 1), specials[name], dtype=np.int64) for name in ("begin", "end"))
    return torch.from_numpy(np.concatenate([begin, inside, end], axis=1))


def collator(
    definition: str, specials: dict[str, int | None], share: float, seed: int
) -> DataCollatorForLanguageModeling:
    """BERT masking: of the selected subwords 80 % become the mask token, 10 % a random subword, 10 % stay.

    The collator takes a list of sequences, int [N] each, and does not change them. It returns `input_ids` and `labels`,
    int [B, N] each; labels are `IGNORED` where no subword was selected. Special tokens are never selected. Two
    collators with the same seed mask the same subwords, call by call.

    Source: Devlin et al. 2019, section 3.1, as implemented in transformers.

    Args:
        definition: content of a tokenizer.json.
        specials: ids of the special tokens begin, end, pad, mask.
        share: probability that a subword is selected.
        seed: seed of the selection.
    """
    from tokenizers import Tokenizer
    from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_str(definition)
    roles = {"cls_token": "begin", "sep_token": "end", "pad_token": "pad", "mask_token": "mask"}
    special_tokens = {role: tokenizer.id_to_token(specials[name]) for role, name in roles.items()}
    fast_tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special_tokens)
    return DataCollatorForLanguageModeling(fast_tokenizer, mlm_probability=share, seed=seed)


class Pretrainer:
    """Trainer of a masked language model from an encoder's weights: AdamW, 10 % warm-up and linear decay.

    Args:
        source: data/encoder.
        options: steps, learning rate, batch size, share of masked subwords, seed.
        device: device of the training.
        precision: fp32, bf16 or auto, as in training.

    Raises:
        UserError: the encoder has no mask token, or its architecture has no masked language model.
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
            raise UserError("pretrain: the encoder's tokenizer has no mask token")
        self.tokenizer = read_tokenizer(source)
        if self.encoder.weights is not None:
            self.model.base_model.load_state_dict(self.encoder.weights, strict=False)  # all but the pooler
        head = folder.read_tensors(Path(source) / folder.HEAD)
        if head is not None:
            self.model.load_state_dict(head, strict=False)
        self.model.tie_weights()

    def run(self, train: Tensor, dev: Tensor) -> dict[str, float]:
        """Train, and return the loss per masked subword on dev, before and after.

        Raises:
            UserError: there is no sequence to train on, or the loss is not finite in the end.
        """
        if not len(train):
            raise UserError(
                f"pretrain: the training notes together are shorter than {self.options.block_size} subwords"
            )
        options, before = self.options, self._dev_loss(dev)
        optimizer = torch.optim.AdamW(self.model.parameters(), weight_decay=WEIGHT_DECAY)
        generator = torch.Generator().manual_seed(options.seed)
        masking = self._masking()
        warmup = max(1, round(WARMUP * options.steps))
        self.model.train()
        bar = tqdm(range(options.steps), desc="pretrain", unit="step", disable=None)
        for step in bar:
            decay = (options.steps - step) / max(1, options.steps - warmup)
            optimizer.param_groups[0]["lr"] = options.learning_rate * min((step + 1) / warmup, decay)
            rows = torch.randint(len(train), (options.batch_size,), generator=generator)
            loss = self._loss(train[rows], masking)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        after = self._dev_loss(dev)
        if not math.isfinite(after) and len(dev):
            raise UserError(f"pretrain: the loss is {after} in the end; a lower learning_rate may help")
        return {"dev_loss_before": before, "dev_loss_after": after}

    def save(self, source: str | os.PathLike, target: str | os.PathLike) -> None:
        """Write an encoder's folder with the new weights. The pooler, which is not trained, is copied."""
        base = {**(self.encoder.weights or {}), **self.model.base_model.state_dict()}
        head, tokenizer = folder.head_weights(self.model), read_tokenizer(source)
        folder.write(target, self.encoder.config, tokenizer, self.specials, base, head)

    def _masking(self) -> DataCollatorForLanguageModeling:
        masking = collator(self.tokenizer, self.specials, self.options.masked, self.options.seed)
        subwords, vectors = len(masking.tokenizer), self.encoder.config["vocab_size"]
        if subwords > vectors:
            raise UserError(f"pretrain: the encoder has vectors of {vectors} subwords, its tokenizer {subwords}")
        return masking

    def _loss(self, blocks: Tensor, masking: DataCollatorForLanguageModeling) -> Tensor:
        batch = masking(list(blocks))
        with autocast(self.device, self.precision):
            logits = self.model(input_ids=batch["input_ids"].to(self.device)).logits
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), batch["labels"].to(self.device).flatten())

    @torch.no_grad()
    def _dev_loss(self, dev: Tensor) -> float:
        """Return the mean loss over the first sequences of dev, with the same masking in every call."""
        self.model.eval()
        masking = self._masking()
        parts = dev[:DEV_BLOCKS].split(self.options.batch_size)
        losses = [self._loss(part, masking).item() * len(part) for part in parts]
        return sum(losses) / len(dev[:DEV_BLOCKS]) if len(dev) else math.nan
