"""Subword tokenization of notes."""

from __future__ import annotations

import json

import numpy as np
import plain_encoder
import pytest

from medcode.encoders import scratch
from medcode.encoders.subwords import SubwordTokenizer, tokenize_into_subwords
from medcode.encoders.texts import texts_of
from medcode.errors import UserError
from medcode.text.tokenization import text_of
from medcode.text.tokenized_notes import SUBWORD_IDS, TokenizedNotes
from medcode.text.tokens import tokenized

WORDS = ["fever", "and", "chills"]


def test_documents_become_ids_in_their_order(tmp_path):
    documents = [("7", "fever and fever"), ("3", ""), ("9", "chills rigors")]
    subwords = tokenize_into_subwords(documents, SubwordTokenizer(plain_encoder.tokenizer(WORDS)))
    subwords.write(tmp_path / "subword", SUBWORD_IDS)
    read = TokenizedNotes.read(tmp_path / "subword", SUBWORD_IDS)
    assert [read.document(number).tolist() for number in range(3)] == [[0, 1, 0], [], [2, 3]]
    assert read.admissions == ["7", "3", "9"]
    assert read.spans(["9", "7"]).tolist() == [[3, 5], [0, 3]]
    assert read.ids.dtype == np.int32


def test_many_documents_and_none():
    tokenizer = SubwordTokenizer(plain_encoder.tokenizer(WORDS))
    many = tokenize_into_subwords(((str(number), "and " * (number % 7)) for number in range(1_500)), tokenizer)
    assert np.diff(many.offsets).tolist() == [number % 7 for number in range(1_500)]
    assert tokenize_into_subwords([], tokenizer).offsets.tolist() == [0]


def test_missing_documents_and_inconsistent_files_are_reported(tmp_path):
    tokenizer = SubwordTokenizer(plain_encoder.tokenizer(WORDS))
    subwords = tokenize_into_subwords([("7", "fever")], tokenizer)
    with pytest.raises(UserError, match="the tokenized notes lack admission '8'"):
        subwords.spans(["7", "8"])
    subwords.write(tmp_path / "subword", SUBWORD_IDS)
    (tmp_path / "subword/admissions.txt").write_text("7\n8\n")
    with pytest.raises(
        UserError, match=r"subword_ids\.npy, .* do not belong together; make it again \(dvc repro subword\)"
    ):
        TokenizedNotes.read(tmp_path / "subword", SUBWORD_IDS)


def test_truncation_and_special_tokens_of_the_tokenizer_are_disabled():
    definition = json.loads(plain_encoder.tokenizer(WORDS))
    definition["truncation"] = {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    definition["padding"] = {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "fever",
    }  # fmt: skip
    assert SubwordTokenizer(json.dumps(definition))(["and and and chills"])[0].tolist() == [1, 1, 1, 2]


def test_special_tokens_in_notes_are_read_as_text():
    tokenizer = scratch.train_tokenizer(["fever [and] chills pad sep cls mask"] * 9, 200)
    specials = {tokenizer.token_to_id(token) for token in scratch.SPECIALS} - {tokenizer.token_to_id("[UNK]")}
    (ids,) = SubwordTokenizer(tokenizer.to_str())(["fever [PAD] chills [SEP] [CLS] [MASK]"])
    assert len(ids) and not specials & set(ids.tolist())


def test_text_of_returns_the_words_or_the_raw_note(tmp_path):
    note = "Fever, 38.5 C; chills"
    assert text_of(note, "words", "caml") == "fever c chills"
    assert text_of(note, "raw", "caml") == note
    tokenized([("5", note)]).write(tmp_path / "tokens")
    assert list(texts_of("words", tmp_path / "tokens", tmp_path / "absent.parquet")) == [("5", "fever c chills")]


def test_the_tokenizer_knows_the_id_of_the_unknown_subword():
    assert SubwordTokenizer(plain_encoder.tokenizer(WORDS)).unknown == 3
