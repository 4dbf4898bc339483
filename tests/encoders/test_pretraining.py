"""Continued pretraining on a tiny encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medcode.config import Pretrain, Scratch
from medcode.encoders import folder, scratch
from medcode.encoders.pretraining import IGNORED, Pretrainer, blocks_of, collator
from medcode.encoders.subwords import SubwordTokenizer, read_tokenizer, tokenize_into_subwords
from medcode.errors import UserError
from medcode.text.tokenized_notes import TokenizedNotes

SIZES = Scratch(vocabulary_size=120, layers=1, hidden=16, attention_heads=2, feed_forward=32, positions=32)
OPTIONS = Pretrain(steps=60, learning_rate=0.01, batch_size=8, block_size=16, masked=0.15, background=True, seed=1)
NOTES = [f"the patient with {disease} was given {drug} daily" for disease, drug in
         (("asthma", "salbutamol"), ("gout", "allopurinol"), ("angina", "nitrates"))] * 20  # fmt: skip


@pytest.fixture
def source(tmp_path):
    scratch.make(tmp_path / "encoder", NOTES, SIZES)
    return tmp_path / "encoder"


@pytest.fixture
def subwords(source) -> TokenizedNotes:
    documents = [(str(number), note) for number, note in enumerate(NOTES)]
    return tokenize_into_subwords(documents, SubwordTokenizer(read_tokenizer(source)))


def test_documents_are_concatenated_and_split_into_equal_sequences():
    subwords = TokenizedNotes(np.arange(10, 31, dtype=np.int32), np.array([0, 7, 7, 21]), ["a", "b", "c"])
    blocks = blocks_of(subwords, np.array([2, 1, 0]), {"begin": 1, "end": 2}, 10)
    assert blocks.tolist() == [[1, *range(17, 25), 2], [1, *range(25, 31), 10, 11, 2]]
    assert blocks_of(subwords, np.array([1]), {"begin": 1, "end": 2}, 10).shape == (0, 10)


def collating(source, seed=0):
    return collator(read_tokenizer(source), folder.read_specials(source), 0.15, seed)


def test_subwords_are_masked_as_in_bert(source):
    specials = folder.read_specials(source)
    blocks = torch.full((400, 52), 70)
    blocks[:, 0], blocks[:, -2], blocks[:, -1] = specials["begin"], specials["end"], specials["pad"]
    copy = blocks.clone()
    batch = collating(source)(list(blocks))
    inputs, labels = batch["input_ids"], batch["labels"]
    assert torch.equal(blocks, copy)
    chosen = labels != IGNORED
    assert not chosen[:, [0, -2, -1]].any()
    assert (labels[chosen] == 70).all() and (inputs[~chosen] == blocks[~chosen]).all()
    assert chosen[:, 1:-2].float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert (inputs[chosen] == specials["mask"]).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert (inputs[chosen] == 70).float().mean().item() == pytest.approx(0.1, abs=0.02)
    random_tokens = inputs[chosen & (inputs != specials["mask"]) & (inputs != 70)]
    assert random_tokens.unique().numel() > 0.8 * folder.read(source).config["vocab_size"]


def test_unknown_subwords_are_masked_like_others(source):
    unknown = SubwordTokenizer(read_tokenizer(source)).unknown
    labels = collating(source)([torch.full((1000,), unknown)])["labels"]
    assert (labels == unknown).float().mean().item() == pytest.approx(0.15, abs=0.05)


def test_masking_follows_the_seed_and_differs_between_calls(source):
    blocks = [torch.arange(20, 100)] * 8
    first, again, other = collating(source), collating(source), collating(source, seed=1)
    calls = []
    for number, collate in enumerate((first, again, other)):
        torch.manual_seed(number)  # of torch's common generator nothing is taken
        calls.append([collate(blocks)["input_ids"] for _ in range(2)])
    assert all(torch.equal(*pair) for pair in zip(calls[0], calls[1], strict=True))
    assert not torch.equal(calls[0][0], calls[0][1]) and not torch.equal(calls[0][0], calls[2][0])


def test_pretraining_lowers_the_loss_and_writes_an_encoder(source, subwords, tmp_path):
    trainer = Pretrainer(source, OPTIONS, torch.device("cpu"), "fp32")
    train = blocks_of(subwords, np.arange(45), trainer.specials, OPTIONS.block_size)
    dev = blocks_of(subwords, np.arange(45, 60), trainer.specials, OPTIONS.block_size)
    losses = trainer.run(train, dev)
    assert losses["dev_loss_after"] < 0.6 * losses["dev_loss_before"]
    trainer.save(source, tmp_path / "pretrained")
    encoder = folder.read(tmp_path / "pretrained")
    trained = trainer.model.base_model.state_dict()
    assert encoder.weights.keys() == trained.keys()
    encoder.module(0.0, pooler=True)
    folder.adopt(tmp_path / "pretrained", tmp_path / "adopted")
    again = Pretrainer(tmp_path / "adopted", OPTIONS, torch.device("cpu"), "fp32")
    assert again._dev_loss(dev) == pytest.approx(losses["dev_loss_after"], rel=1e-5)


def test_pretraining_is_reproducible(source, subwords):
    options = OPTIONS.model_copy(update={"steps": 3})
    weights_of_runs = []
    for _ in range(2):
        trainer = Pretrainer(source, options, torch.device("cpu"), "fp32")
        blocks = blocks_of(subwords, np.arange(60), trainer.specials, options.block_size)
        trainer.run(blocks, blocks)
        weights_of_runs.append(trainer.model.state_dict())
    assert all(torch.equal(weights_of_runs[0][name], weights) for name, weights in weights_of_runs[1].items())


def test_too_little_text_is_reported(source, subwords):
    trainer = Pretrainer(source, OPTIONS, torch.device("cpu"), "fp32")
    with pytest.raises(UserError, match="pretrain: the training notes together are shorter than 16 subwords"):
        trainer.run(torch.empty(0, 16, dtype=torch.long), torch.empty(0, 16, dtype=torch.long))


def test_an_encoder_without_vectors_of_some_subwords_is_refused(source, subwords):
    trainer = Pretrainer(source, OPTIONS, torch.device("cpu"), "fp32")
    count = trainer.encoder.config["vocab_size"]
    trainer.encoder.config["vocab_size"] = count - 1
    blocks = blocks_of(subwords, np.arange(60), trainer.specials, OPTIONS.block_size)
    with pytest.raises(
        UserError, match=f"pretrain: the encoder has vectors of {count - 1} subwords, its tokenizer {count}"
    ):
        trainer.run(blocks, blocks)
