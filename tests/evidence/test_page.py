"""The page of a note: complete, escaped, without anything from elsewhere."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medcode.evidence.page import render, segments
from medcode.evidence.spans import Span

NOTE = 'Fever <script>alert("x")</script> & chills\n\nİ \U0001f600 heart failure'
CODES = [
    {"code": "428.0", "description": "Heart <failure>", "probability": 0.9, "spans": [["heart failure", 0.8]]},
    {"code": "780.6", "description": "Fever", "probability": 0.5, "spans": [["Fever", 1.0], ["failure", 0.2]]},
    {"code": "486", "description": "Pneumonia", "probability": 0.4, "spans": []},
]
for code in CODES:
    code["spans"] = [[NOTE.index(text), NOTE.index(text) + len(text), text, share] for text, share in code["spans"]]


class Marks(HTMLParser):
    """The text of the note and its marks: text and codes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside, self.text, self.marks, self.tags = False, "", [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside |= tag == "section"
        if tag == "mark":
            self.marks.append([dict(attributes)["data-codes"].split(), ""])

    def handle_endtag(self, tag):
        self.inside &= tag != "section"

    def handle_data(self, data):
        self.text += data if self.inside else ""
        if self.inside and self.marks and self.get_starttag_text().startswith("<mark"):
            self.marks[-1][1] += data


def test_the_page_holds_the_note_and_marks_the_words_of_each_code():
    page = render(NOTE, "caml", "attention_x_gradient", CODES)
    parsed = Marks(page)
    assert parsed.text == NOTE
    assert [codes for codes, _ in parsed.marks] == [["1"], ["0"], ["0", "1"]]
    assert parsed.tags.count("script") == 1 and "<script>alert" not in page and "Heart &lt;failure&gt;" in page
    assert "no words stand out" in page and "“heart failure” 80 %" in html.unescape(page)


def test_the_page_takes_nothing_from_elsewhere_and_can_be_used_by_keyboard_and_on_paper():
    page = render(NOTE, "caml", "exact", [])
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|src=", page)
    assert "default-src 'none'" in page and "@media print" in page and "max-width: 45rem" in page
    assert "no code is above the threshold" in page


@given(
    st.text(max_size=40), st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=3), max_size=4)
)
def test_segments_join_to_the_note_and_know_the_codes_of_every_character(text, places):
    spans = [[Span(min(a, b, len(text)), min(max(a, b), len(text)), "", 0.5) for a, b in of_code] for of_code in places]
    parts = segments(text, spans)
    assert "".join(part.text for part in parts) == text
    place = 0
    for part in parts:
        for character in range(place, place + len(part.text)):
            covering = [n for n, of in enumerate(spans) if any(s.start <= character < s.end for s in of)]
            assert part.codes == covering
        place += len(part.text)


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that opens the page of a note in a window of a width."""
    file = tmp_path / "page.html"
    file.write_text(render(NOTE, "caml", "exact", CODES), encoding="utf-8")
    pages = []

    def open_page(width: int = 1366):
        pages.append(browser.new_page(viewport={"width": width, "height": 900}))
        pages[-1].goto(file.as_uri())
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


def test_a_browser_shows_the_words_of_a_code_that_has_the_focus(opened):
    page = opened()
    page.locator("button").nth(1).focus()
    page.wait_for_selector("mark.chosen")
    assert page.locator("mark.chosen").all_text_contents() == ["Fever", "failure"]


@pytest.mark.parametrize("width", [400, 1366])
def test_the_page_fits_a_telephone_and_a_laptop(opened, tmp_path, width):
    page = opened(width)
    page.screenshot(path=tmp_path / "shot.png")
    dark = sum(Image.open(tmp_path / "shot.png").convert("L").histogram()[:128]) / (width * 900)
    assert 0.002 < dark < 0.3, "an empty page, or a black one"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
