"""What is found in a note: synonyms and mentions, and the best unseen codes."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from open_corpus import LABELS, OPTIONS, TITLES, TRAIN, UNSEEN, retriever, spans

from medcode.open_codes.codes import CodeList
from medcode.open_codes.matching import NoteFrequencies, TermIndex
from medcode.open_codes.retrieval import MENTION_FEATURES, TEXT_FEATURES, UNSEEN_FEATURES, Retriever
from medcode.open_codes.words import sentences

SYNONYMS = pd.DataFrame(
    [("icd10cm", UNSEEN[2], "Zoster", "inclusion_term"), ("icd10cm", UNSEEN[3], "Quinsy", "index")],
    columns=["system", "code", "synonym", "source"],
)
FIRST = LABELS[0]["code"]


def best(found, text: str) -> str:
    return found.codes.codes[found.retrieve(sentences(text)).numbers["icd10cm"][0]][1]


def test_the_described_code_is_first():
    found = retriever()
    for code in UNSEEN:
        assert best(found, f"No pain. There was {TITLES[code].lower()}s in 2020.") == code


def test_each_source_of_synonyms_can_be_left_out():
    both = retriever(synonyms=SYNONYMS)
    assert (best(both, "A zoster."), best(both, "A quinsy.")) == (UNSEEN[2], UNSEEN[3])
    index_only = retriever(OPTIONS.model_copy(update={"inclusion_terms": False}), synonyms=SYNONYMS)
    assert "zoster" not in index_only.terms.vocabulary and best(index_only, "A quinsy.") == UNSEEN[3]
    terms_only = retriever(OPTIONS.model_copy(update={"index": False}), synonyms=SYNONYMS)
    assert "quinsy" not in terms_only.terms.vocabulary and best(terms_only, "A zoster.") == UNSEEN[2]


def test_a_mention_counts_for_its_label_by_how_often_it_justifies_it():
    found = retriever(spans=spans(FIRST, "fever"))
    features = dict(zip([*TEXT_FEATURES, *MENTION_FEATURES], found.retrieve(sentences("Fever")).labels[0], strict=True))
    assert features["mention_whole"] == 1 and features["mention_covered"] == 1 and features["score"] == 0
    # Fever is in every second training note, and justifies the label in one of them.
    assert features["reliability"] == pytest.approx(1 / (len(TRAIN) / 2 + 1))
    assert not found.retrieve(sentences("Fever")).labels[1:].any()


def test_mentions_of_unseen_codes_or_of_other_notes_are_none():
    assert retriever(spans=spans(UNSEEN[0], "fever")).mentions is None
    assert retriever(spans=spans(FIRST, "fever").assign(admission_id="dev0")).mentions is None
    assert retriever(OPTIONS.model_copy(update={"mentions": False}), spans=spans(FIRST, "fever")).mentions is None


def test_a_mention_raises_the_unseen_codes_of_its_category():
    found = retriever(spans=spans(FIRST, "fever"))
    category = FIRST[:3]
    codes = [found.codes.codes[number][1] for number in found.retrieve(sentences("Fever")).numbers["icd10cm"]]
    of_category = {code for code in UNSEEN if code.startswith(category)}
    assert set(codes[: len(of_category)]) == of_category


def test_features_of_unseen_codes_fall_with_the_rank():
    found = retriever().retrieve(sentences("Burn of liver. Edema."))
    columns = dict(zip(UNSEEN_FEATURES, found.unseen["icd10cm"].T, strict=True))
    for name in ("score", "share_of_best", "rank"):
        assert (np.diff(columns[name]) <= 0).all(), name
    assert columns["share_of_best"][0] == 1


def test_a_note_is_scored_in_time():
    """A note of 1,500 words against 100,000 terms of eight words takes less than 0.2 s of CPU."""
    random = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(8_000)])
    shares = 1 / np.arange(5, len(words) + 5)  # as in titles, where the most frequent words are in every fifth

    def drawn(n: int) -> np.ndarray:
        return random.choice(words, n, p=shares / shares.sum())

    all_words = drawn(800_000).reshape(100_000, 8).tolist()
    terms = ((code, frozenset(of_code)) for code, of_code in enumerate(all_words))
    index = TermIndex.build(terms, 100_000, NoteFrequencies(0, Counter()))
    codes = [("icd10cm", f"A{code:05}") for code in range(100_000)]
    retriever = Retriever(CodeList(codes, [""] * 100_000, 1, np.zeros(100_000, np.float32)), index, index)
    notes = [[frozenset(drawn(12)) for _ in range(125)] for _ in range(3)]
    retriever.retrieve(notes[0])
    start = time.process_time()
    retriever.retrieve(notes[1])
    assert time.process_time() - start < 0.2
