"""A new encoder with subwords of the corpus and random weights, which runs the whole pipeline without downloads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from medcode.config import Scratch
from medcode.encoders import folder

# In the order of their ids, as in BERT.
PAD, UNKNOWN, BEGIN, END, MASK = SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUED = "##"


def make(target: str | os.PathLike, texts: Iterable[str], options: Scratch) -> None:
    """Write the folder of a new BERT encoder without weights, which are initialized at random for training.

    Args:
        target: folder to write, atomically.
        texts: training documents.
        options: sizes of the encoder.
    """
    tokenizer = train_tokenizer(texts, options.vocabulary_size)
    config = {
        "model_type": "bert",
        "vocab_size": tokenizer.get_vocab_size(),
        "num_hidden_layers": options.layers,
        "hidden_size": options.hidden,
        "num_attention_heads": options.attention_heads,
        "intermediate_size": options.feed_forward,
        "max_position_embeddings": options.positions,
        "pad_token_id": 0,
    }
    ids = [tokenizer.token_to_id(token) for token in (BEGIN, END, PAD, MASK)]
    specials = dict(zip(("begin", "end", "pad", "mask"), ids, strict=True))
    folder.write(target, config, tokenizer.to_str(), specials, None)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a lower-case WordPiece vocabulary, deterministically.

    Source: the WordPiece trainer of Hugging Face's tokenizers. By default it numbers characters in an order that
    differs from run to run, and breaks ties by these numbers; therefore they are set beforehand.
    """
    texts = list(texts)
    tokenizer = _tokenizer({UNKNOWN: 0})
    splits = (tokenizer.normalizer.normalize_str(text) for text in texts)
    characters = sorted({character for text in splits for character in text if not character.isspace()})
    alphabet = [*characters, *(CONTINUED + character for character in characters)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(vocab_size, len(SPECIALS) + len(alphabet)),
        special_tokens=[*SPECIALS, *alphabet],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_parts(texts), trainer, length=len(texts))
    trained = _tokenizer(tokenizer.get_vocab())
    trained.add_special_tokens(list(SPECIALS))
    return trained


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN, continuing_subword_prefix=CONTINUED))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _parts(texts: list[str], size: int = 256) -> Iterator[list[str]]:
    yield from (texts[start : start + size] for start in range(0, len(texts), size))
