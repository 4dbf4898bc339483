"""Notes express codes by name or evidence, omit some, negate others, and have the expected length."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode import config
from medcode.corpora.synthetic import knowledge, marks, styles
from medcode.corpora.synthetic.grammar import Deck, Template, count_words, pick_weighted, poisson
from medcode.corpora.synthetic.layout import wrapped
from medcode.corpora.synthetic.notes import Notes
from medcode.corpora.synthetic.other_notes import OtherNotes
from medcode.corpora.synthetic.terminology import variants
from medcode.corpora.synthetic.world import World


@pytest.fixture(scope="module")
def options(root) -> config.Synthesize:
    return config.load_all(root / "params.yaml").synthesize


def summaries(options, style=styles.MIMIC3, number=300, **changes):
    options = options.model_copy(update=changes)
    world, notes = World(options), Notes(options, style)
    for k in range(number):
        admission = world.admission(k)
        yield admission, notes.summary(admission)


def parts(summary) -> list:
    return [part for part in (summary.report, summary.addendum, summary.interim) if part]


def full_text(summary) -> str:
    return " ".join(part.text for part in parts(summary))


@pytest.mark.parametrize("style", [styles.MIMIC3, styles.MIMIC4])
@pytest.mark.parametrize("mean", [200, 450, 1500])
def test_mean_length(options, style, mean):
    lengths = [count_words(full_text(summary)) for _, summary in summaries(options, style, mean_words=mean)]
    assert sum(lengths) / len(lengths) == pytest.approx(mean, rel=0.1)


def test_share_of_codes_without_evidence(options):
    for share in (0.0, 0.3):
        codes = hidden = 0
        for admission, summary in summaries(options, unmentioned_share=share):
            codes += len(admission.codes)
            hidden += len(summary.unmentioned)
        assert hidden / codes == pytest.approx(share, abs=0.03)


def test_codes_are_named_or_have_evidence(options):
    """Without omissions and misspellings, most codes are named in the note, and the others have evidence."""
    named = evident = codes = 0
    for admission, summary in summaries(options, unmentioned_share=0.0, misspelling_rate=0.0):
        text = " ".join(full_text(summary).split()).lower()
        for code in admission.codes:
            concept = knowledge.concept(code)
            is_named = any(" ".join(name.split()).lower() in text for name in concept.names)
            codes, named = codes + 1, named + is_named
            evident += not is_named and concept.has_evidence
    assert 0.7 < named / codes < 0.97
    assert named + evident == codes


@pytest.mark.parametrize("style", [styles.MIMIC3, styles.MIMIC4])
def test_spans_are_the_names_and_the_evidence_of_assigned_codes(options, style):
    named = spans = 0
    for admission, summary in summaries(options, style, misspelling_rate=0.0):
        for part in parts(summary):
            for code, start, end in part.spans:
                evidence = " ".join(part.text[start:end].split())
                concept = knowledge.concept(code)
                assert code in admission.codes and evidence
                is_named = evidence.lower() in {" ".join(name.split()).lower() for name in concept.names}
                assert is_named or concept.has_evidence
                spans, named = spans + 1, named + is_named
    assert 0.7 < named / spans < 0.97


def test_every_code_that_is_mentioned_has_a_span(options):
    for admission, summary in summaries(options):
        evident = {span.code for part in parts(summary) for span in part.spans}
        assert set(admission.codes) - set(summary.unmentioned) <= evident <= set(admission.codes)


def test_spans_move_with_misspelled_words(options):
    same = changed = 0
    for (_, plain), (_, misspelled) in zip(
        summaries(options, misspelling_rate=0.0), summaries(options, misspelling_rate=0.05), strict=True
    ):
        # Both have the same words up to the first misspelling, and the same evidence, since it is chosen before.
        assert [span.code for span in plain.report.spans] == [span.code for span in misspelled.report.spans]
        for before, after in zip(plain.report.spans, misspelled.report.spans, strict=True):
            old = plain.report.text[before.start : before.end].split()
            new = misspelled.report.text[after.start : after.end].split()
            assert len(old) == len(new)
            assert all(abs(len(a) - len(b)) <= 3 and a[0] == b[0] for a, b in zip(old, new, strict=True))
            same, changed = same + (old == new), changed + (old != new)
    assert same > changed > 100


@given(
    st.lists(
        st.tuples(st.text("ab \n", max_size=6), st.text("xyz é\n", max_size=6).map(lambda text: f"x{text}y")),
        max_size=8,
    )
)
def test_marks_become_spans(pieces):
    marked = "".join(before + marks.marked(evidence, f"{i}.1") for i, (before, evidence) in enumerate(pieces))
    text, spans = marks.unmarked(marked + "end")
    assert text == "".join(before + evidence for before, evidence in pieces) + "end"
    assert [(code, text[start:end]) for code, start, end in spans] == [
        (f"{i}.1", evidence) for i, (_, evidence) in enumerate(pieces)
    ]


def test_distractors_are_not_assigned(options):
    distractor_types, number = set(), 0
    for admission, summary in summaries(options):
        for distractor_type, code in summary.distractors:
            distractor_types.add(distractor_type)
            number += 1
            assert code not in admission.codes
            assert not any(knowledge.clusters(code) & knowledge.clusters(assigned) for assigned in admission.codes)
    assert distractor_types == {"negated", "ruled_out", "family", "past", "risk", "uncoded", "procedure"}
    assert number / 300 == pytest.approx(options.distractor_rate, rel=0.1)
    assert not any(summary.distractors for _, summary in summaries(options, number=50, distractor_rate=0.0))


def test_misspellings(options):
    plain = [full_text(s) for _, s in summaries(options, number=60, misspelling_rate=0.0)]
    wrong = [full_text(s) for _, s in summaries(options, number=60, misspelling_rate=0.05)]
    vocabulary = {word for text in plain for word in text.split()}
    unknown = [sum(word not in vocabulary for word in text.split()) / len(text.split()) for text in wrong]
    assert 0.015 < sum(unknown) / len(unknown) < 0.08


def test_styles_fill_every_slot():
    slots = set(styles.PRONOUNS["M"]) | {"age", "date", "year", "name", "Name", "background", "complaint"}
    used = set()

    def walk(tree):
        if isinstance(tree, Template):
            used.update(tree.slots)
        elif isinstance(tree, dict):
            for branch in tree.values():
                walk(branch)
        elif isinstance(tree, tuple | list):
            for branch in tree:
                walk(branch)

    walk([knowledge.phrases(), knowledge.filler(), knowledge.drugs()])
    for concept in knowledge.concepts().values():
        walk([concept.course, concept.results, concept.social])
        assert set(concept.drugs) <= set(knowledge.drugs()["drugs"])
    for style in (styles.MIMIC3, styles.MIMIC4):
        assert used <= slots | set(style.fixed)


def test_no_template_is_left_unfilled(options):
    for style in (styles.MIMIC3, styles.MIMIC4):
        for _, summary in summaries(options, style, 200):
            assert not set("{}|") & set(full_text(summary))


def test_other_notes(options):
    world, other_notes = World(options), OtherNotes(options, styles.MIMIC3)
    notes = [other_notes.note(world.admission(k), number) for k in range(60) for number in range(4)]
    assert len({category for category, _, _ in notes}) >= 5
    lengths = [count_words(text) for _, _, text in notes]
    assert 0.5 < sum(lengths) / len(lengths) / (options.mean_words / 7) < 1.5
    again = OtherNotes(options, styles.MIMIC3)
    assert [again.note(world.admission(59), number) for number in range(4)] == notes[-4:]


def test_template():
    draw = random.Random(0).random
    template = Template("{A|B {who}|C} took {#1.5-2.5} mg of {what}.")
    texts = {template.write(draw, {"who": ("x", "y"), "what": "tea"}) for _ in range(300)}
    assert {text.split(" took ")[0] for text in texts} == {"A", "B x", "B y", "C"}
    assert all(1.5 <= float(text.split()[-4]) <= 2.5 for text in texts)
    assert template.slots == {"who", "what"}


def test_deck_gives_each_item_once():
    draw = random.Random(1).random
    for size in range(1, 20):
        deck = Deck(draw, list(range(size)))
        assert sorted(iter(deck.next, None)) == list(range(size))


def test_distributions_have_the_expected_mean():
    draw = random.Random(2).random
    assert sum(poisson(draw, 3.0) for _ in range(4_000)) / 4_000 == pytest.approx(3.0, rel=0.05)
    assert poisson(draw, 0.0) == 0
    cumulative = list(itertools.accumulate([1, 0, 3]))
    counts = [0, 0, 0]
    for _ in range(4_000):
        counts[pick_weighted(draw, [0, 1, 2], cumulative)] += 1
    assert counts[1] == 0
    assert counts[2] / 4_000 == pytest.approx(0.75, abs=0.03)


def test_wrapping_keeps_words_and_width():
    text = "word " * 60 + "\n\nshort line\n" + "x" * 100
    assert wrapped(text).split() == text.split()
    assert all(len(line) <= 78 for line in wrapped(text).split("\n") if " " in line)


def test_variants_of_a_description():
    drop, words = knowledge._shortening()
    forms = variants("Fracture of femur, closed, without mention of complication", drop, words)
    assert "closed fracture of femur" in forms
    assert "fx of femur, closed" in forms
    assert variants("Unspecified glaucoma", drop, words)[0] == "glaucoma"
