"""New encoders with a vocabulary of the corpus."""

from __future__ import annotations

import json
import random
import string
import subprocess
import sys

import torch

from medcode.config import Scratch
from medcode.encoders import folder, scratch
from medcode.encoders.subwords import SubwordTokenizer, read_tokenizer

SIZES = Scratch(vocabulary_size=200, layers=1, hidden=8, attention_heads=2, feed_forward=16, positions=32)


def texts() -> list[str]:
    draw = random.Random(1)
    words = ["".join(draw.choices(string.ascii_lowercase, k=draw.randint(1, 7))) for _ in range(300)]
    return [" ".join(draw.choices(words, k=40)) for _ in range(60)]


def test_models_can_be_built_on_a_scratch_encoder(tmp_path):
    scratch.make(tmp_path / "encoder", texts(), SIZES)
    assert sorted(file.name for file in (tmp_path / "encoder").iterdir()) == [
        "config.json", "specials.json", "tokenizer.json",
    ]  # fmt: skip
    encoder = folder.read(tmp_path / "encoder")
    assert encoder.weights is None and encoder.positions == 32
    subwords = SubwordTokenizer(read_tokenizer(tmp_path / "encoder"))(texts())
    assert max(ids.max() for ids in subwords) < encoder.config["vocab_size"] == 200
    module = encoder.module(0.0, pooler=False)
    assert module(input_ids=torch.from_numpy(subwords[0][:32]).long().unsqueeze(0)).last_hidden_state.shape == (
        1,
        32,
        8,
    )


def test_every_character_of_the_corpus_has_a_subword():
    tokenizer = scratch.train_tokenizer([*texts(), "Ärger über ß"], 10)
    (ids,) = SubwordTokenizer(tokenizer.to_str())(["arger uber ßzq"])
    assert tokenizer.token_to_id("[UNK]") not in ids.tolist()


def test_frequent_words_become_one_subword():
    tokenizer = scratch.train_tokenizer(["pneumonia of the left lung", "pneumonia again"] * 50, 200)
    assert tokenizer.encode("Pneumonia", add_special_tokens=False).tokens == ["pneumonia"]


def test_two_processes_make_the_same_subwords():
    code = (
        "import json, sys; from medcode.encoders import scratch; "
        "print(scratch.train_tokenizer(json.load(sys.stdin), 200).to_str(), end='')"
    )
    definitions = {scratch.train_tokenizer(texts(), 200).to_str() for _ in range(2)}
    definitions.add(subprocess.check_output([sys.executable, "-c", code], input=json.dumps(texts()), text=True))
    assert len(definitions) == 1
    assert len(json.loads(definitions.pop())["model"]["vocab"]) == 200
