"""Tiny encoders, and an oracle of their states, for one chunk at a time and without transformers."""

from __future__ import annotations

import math

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn

from medcode.encoders.outline import Encoder
from medcode.layers.chunks import Specials

POSITIONS = 64


def tiny(model_type: str = "bert", vocabulary_size: int = 50, layers: int = 2) -> Encoder:
    """Return an encoder without weights; ids of its special tokens start at `vocabulary_size`."""
    pad = vocabulary_size + 2
    config = {
        "model_type": model_type,
        "vocab_size": vocabulary_size + 4,
        "hidden_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": POSITIONS + (0 if model_type == "bert" else pad + 1),
        "pad_token_id": pad,
        "initializer_range": 0.3,  # so that states differ between positions
    }
    if model_type == "longformer":
        config["attention_window"] = [4] * layers
    return Encoder(config, Specials(begin=vocabulary_size, end=vocabulary_size + 1, pad=pad))


def tokenizer(words: list[str]) -> str:
    """Return a tokenizer.json of whole words; the id of a word is its index in the list, and the last id is unknown."""
    vocabulary = {word: number for number, word in enumerate([*words, "[UNK]"])}
    word_tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    word_tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return word_tokenizer.to_str()


def states(encoder: nn.Module, ids: list[int]) -> Tensor:
    """Return the last states of BERT or RoBERTa, [N, D]. Source: Devlin et al. 2019, section 3; Vaswani et al. 2017."""
    w = dict(encoder.state_dict())
    config = encoder.config
    first = config.pad_token_id + 1 if config.model_type == "roberta" else 0
    table = {name: w[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")}
    x = torch.stack([table["word"][p] + table["position"][first + n] + table["token_type"][0]
                     for n, p in enumerate(ids)])  # fmt: skip
    x = _norm(x, w, "embeddings.LayerNorm", config.layer_norm_eps)
    for number in range(config.num_hidden_layers):
        layer = f"encoder.layer.{number}"
        attended = _attend(x, w, f"{layer}.attention", config.num_attention_heads)
        x = _norm(x + attended, w, f"{layer}.attention.output.LayerNorm", config.layer_norm_eps)
        wide = nn.functional.gelu(_linear(x, w, f"{layer}.intermediate.dense"))
        x = _norm(x + _linear(wide, w, f"{layer}.output.dense"), w, f"{layer}.output.LayerNorm", config.layer_norm_eps)
    return x


def _attend(x: Tensor, w: dict[str, Tensor], name: str, heads: int) -> Tensor:
    query, key, value = (_linear(x, w, f"{name}.self.{part}") for part in ("query", "key", "value"))
    width, context = x.shape[1] // heads, torch.zeros_like(x)
    for head in range(heads):
        columns = slice(head * width, (head + 1) * width)
        for place in range(len(x)):
            scores = torch.stack([query[place, columns] @ other / math.sqrt(width) for other in key[:, columns]])
            context[place, columns] = (scores.softmax(0).unsqueeze(1) * value[:, columns]).sum(0)
    return _linear(context, w, f"{name}.output.dense")


def _linear(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _norm(x: Tensor, w: dict[str, Tensor], name: str, epsilon: float) -> Tensor:
    centered = x - x.mean(1, keepdim=True)
    scaled = centered / torch.sqrt(centered.square().mean(1, keepdim=True) + epsilon)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]
