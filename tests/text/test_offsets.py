"""Places of tokens in the original note."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from medcode.encoders import scratch
from medcode.encoders.subwords import SubwordTokenizer
from medcode.text.offsets import in_note, sentence_tokens, span_tokens, token_offsets, word_offsets
from medcode.text.sentences import sentence_spans
from medcode.text.tokenization import RULES, text_of, tokenize

NOTE = "Fiebre [**2150-3-4**] 38.5\r\nÉtiología_x: ÇA; İstanbul \U0001f600 2 g"
PIECES = ["fever", "Ñandú", "İ", "é", "\U0001f600", "[**Hosp 3**]", "12", "_", ".", " ", "\n", "\r\n", "\u00a0", "ﬁ"]
texts = st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(max_size=50)
rules = st.sampled_from(sorted(RULES))


@functools.cache
def tokenizer(kind: str, text: str) -> SubwordTokenizer:
    """Return a tokenizer of lower-case word pieces, as BERT's, bytes, as RoBERTa's, or of a unigram model."""
    corpus = [NOTE, "fever fiebre ñandú hospital and etiologia"] * 5
    if kind == "bert":
        return SubwordTokenizer(scratch.train_tokenizer(corpus, 90).to_str(), text)
    if kind == "unigram":
        unigram = Tokenizer(models.Unigram())
        unigram.normalizer, unigram.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
        special = {"special_tokens": ["<unk>"], "unk_token": "<unk>"}
        unigram.train_from_iterator(corpus, trainers.UnigramTrainer(vocab_size=60, show_progress=False, **special))
        return SubwordTokenizer(unigram.to_str(), text)
    of_bytes = Tokenizer(models.BPE())
    of_bytes.normalizer = normalizers.NFC()
    of_bytes.pre_tokenizer, of_bytes.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    of_bytes.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    return SubwordTokenizer(of_bytes.to_str(), text)


kinds = pytest.mark.parametrize("kind", ["bert", "bytes", "unigram"])


@given(texts, rules)
@example(NOTE, "caml")
def test_slices_of_words_give_the_words(note, rule):
    offsets = word_offsets(note, rule)
    assert offsets.dtype == np.int64 and offsets.shape == (len(tokenize(note, rule)), 2)
    assert [note[start:end].lower() for start, end in offsets] == tokenize(note, rule)
    assert token_offsets([note], rule)[0].tolist() == offsets.tolist()


@kinds
@pytest.mark.parametrize("text", ["words", "raw"])
@given(note=texts, rule=rules)
@example(note=NOTE, rule="caml")
def test_subwords_are_as_many_as_their_offsets_which_ascend_within_the_note(kind, text, note, rule):
    subwords = tokenizer(kind, text)
    (ids,) = subwords([text_of(note, text, rule)])
    (offsets,) = token_offsets([note], rule, subwords)
    assert offsets.shape == (len(ids), 2) and offsets.dtype == np.int64
    assert (offsets[:, 0] <= offsets[:, 1]).all() and (np.diff(offsets, axis=0) >= 0).all()
    assert not len(ids) or (offsets.min() >= 0 and offsets.max() <= len(note))


@kinds
@given(note=texts, rule=rules)
@example(note=NOTE, rule="caml")
def test_subwords_of_words_cover_exactly_the_characters_of_the_words(kind, note, rule):
    covered = {
        place for start, end in token_offsets([note], rule, tokenizer(kind, "words"))[0] for place in range(start, end)
    }
    words = {place for start, end in word_offsets(note, rule) for place in range(start, end)}
    # Others than BERT's begin with the blank before a word, which stands for what lies between two words in the note.
    assert words == covered if kind == "bert" else words <= covered


@pytest.mark.parametrize("text", ["words", "raw"])
def test_subwords_have_the_text_that_they_have_in_the_note(text):
    note, subwords = NOTE.replace("\u0130stanbul", "hospital").replace("\U0001f600", ""), tokenizer("bert", text)
    (offsets,) = token_offsets([note], "caml", subwords)
    (ids,) = subwords([text_of(note, text, "caml")])
    definition = Tokenizer.from_str(subwords.definition)
    pieces = [definition.id_to_token(int(number)).removeprefix("##") for number in ids]
    assert "fiebre" in pieces and len(pieces) > 10
    for piece, (start, end) in zip(pieces, offsets, strict=True):
        assert piece in (definition.normalizer.normalize_str(note[start:end]), "[UNK]")


def test_a_word_with_another_length_in_lower_case_is_not_divided():
    words = "i̇stanbul"  # nine characters for the eight of İstanbul
    parts = np.array([[0, 2], [2, 9], [10, 11]])
    assert tokenize("x İstanbul b", "caml")[1] == words
    assert in_note(parts, "İstanbul, b", "caml").tolist() == [[0, 8], [0, 8], [10, 11]]


@given(texts, rules)
def test_tokens_of_sentences_follow_each_other_and_are_all_tokens(note, rule):
    offsets, sentences = word_offsets(note, rule), sentence_spans(note)
    slices = sentence_tokens(offsets, sentences)
    assert slices[0, 0] == 0 and slices[-1, 1] == len(offsets)
    assert slices[1:, 0].tolist() == slices[:-1, 1].tolist()
    assert (slices[:, 0] < slices[:, 1]).all() or not len(offsets)
    for first, behind in slices:
        (here,) = {
            number
            for token in range(first, behind)
            for number, (start, end) in enumerate(sentences)
            if start <= offsets[token, 0] and offsets[token, 1] <= end
        } or {None}
        assert (here is None) == (not len(offsets))


def test_a_blank_that_a_subword_begins_with_divides_nothing():
    # "One." and " Two" as bytes: the second begins with the blank between two sentences.
    assert sentence_tokens(np.array([[0, 3], [3, 4], [4, 8]]), sentence_spans("One. Two")).tolist() == [[0, 2], [2, 3]]
    assert sentence_tokens(np.array([[0, 1], [1, 3]]), []).tolist() == [[0, 2]]


@given(texts, rules, st.data())
def test_tokens_of_spans_say_whether_characters_overlap(note, rule, data):
    offsets = word_offsets(note, rule)
    start = data.draw(st.integers(0, len(note)))
    end = data.draw(st.integers(start, len(note))) + 1
    ((first, behind),) = span_tokens(offsets, np.array([start]), np.array([end]))
    for a in range(len(offsets)):
        for b in range(a + 1, len(offsets) + 1):
            assert (a < behind and b > first) == (start < offsets[b - 1, 1] and end > offsets[a, 0])
