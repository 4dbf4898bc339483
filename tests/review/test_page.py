"""The page in a browser: by the keyboard alone, on a laptop and a telephone, without errors, accessible."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import note_models
import pytest

from medcode.review.ledger import read

TEXTS = [note_models.note(number) for number in range(70)]
TEXTS[0] = (
    '<script>document.title = "hacked"</script><img src=x onerror=alert(1)> fever \x1b[31mchills \u202egnp.exe\u202c\n'
    * 3
)
TEXTS[1] = "12 34"
TOP = 3


@pytest.fixture
def address(tmp_path, recipe):
    """The address of a review of these notes."""
    notes = tmp_path / "notes.jsonl"
    lines = (json.dumps({"name": f"n{number}", "text": text}) + "\n" for number, text in enumerate(TEXTS))
    notes.write_text("".join(lines))
    model = note_models.saved(tmp_path / "model", recipe)
    command = [sys.executable, "-m", "medcode", "review", str(notes), "--id-column", "name", "--model", str(model)]
    process = subprocess.Popen([*command, "--top", str(TOP)], stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().strip().removeprefix("review: ")
    os.kill(process.pid, signal.SIGINT)
    process.wait(timeout=60)


class Page:
    """The page with what it complained of, driven by keys."""

    def __init__(self, browser, address: str, width: int) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._check(address))
        self.page.goto(address)
        self.page.wait_for_selector("#codes .code.selected, #none:not([hidden])")

    def _check(self, address: str):
        server = "/".join(address.split("/")[:3])
        return lambda request: None if request.url.startswith(server) else self.complaints.append(request.url)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def waits_for(self, expression: str) -> None:
        """Wait until an expression holds; Playwright cannot do it, since the page forbids `eval`."""
        end = time.monotonic() + 20
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(20)

    def says(self, message: str) -> None:
        self.waits_for(f"document.getElementById('message').textContent === {json.dumps(message)}")

    def shows(self, note: str) -> None:
        self.waits_for(f"document.getElementById('note-id').textContent === {json.dumps(note)}")

    def verdicts(self) -> list[str]:
        return self.page.eval_on_selector_all(".code", "items => items.map(item => item.dataset.verdict)")

    def codes(self) -> list[str]:
        return self.page.eval_on_selector_all(".code b", "items => items.map(item => item.textContent)")

    def axe(self) -> list[str]:
        from axe_playwright_python.sync_playwright import Axe

        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in Axe().run(self.page).response["violations"]]


def test_a_day_of_work_by_the_keyboard_alone(browser, address, tmp_path):
    view = Page(browser, address, 1400)
    view.shows("n0")
    # A hostile note is text, with signs for what would not be shown.
    assert view.page.inner_text("#note").startswith('<script>document.title = "hacked"</script><img src=x')
    assert view.page.eval_on_selector("#note", "note => note.querySelectorAll(':not(mark)').length") == 0
    assert "␛[31mchills" in view.page.inner_text("#note") and view.page.title() == "n0: Review"
    codes = view.codes()
    assert len(codes) == TOP and view.verdicts() == [""] * TOP

    # Selecting a code marks its evidence alone.
    for code in codes:
        view.waits_for(f"document.querySelector('.selected b').textContent === {json.dumps(code)}")
        chosen = "marks => marks.filter(mark => mark.classList.contains('chosen')).map(mark => mark.textContent)"
        marked = "".join(view.page.eval_on_selector_all("#note mark", chosen))
        phrases = view.page.eval_on_selector_all(".selected .phrases", "items => items.map(item => item.textContent)")
        assert ("no words stand out" in phrases[0]) == (marked == "") and all(
            phrase.strip("“”") in marked for phrase in phrases[0].split(" “") if marked
        )
        view.press("j")
    view.press("e", "k", "j")

    # Accept, reject, undo; a note with undecided codes cannot be done.
    view.press("a", "r")
    view.waits_for("document.getElementById('undecided').textContent === '1 undecided'")
    assert view.verdicts() == ["accept", "reject", ""]
    view.press("u")
    view.says("Undone in n0")
    assert view.verdicts() == ["accept", "", ""]
    view.press("d")
    view.waits_for("document.getElementById('problem').textContent.includes('undecided')")
    view.press("R")
    view.waits_for("document.getElementById('undecided').textContent === 'all decided'")

    # Add a code by the words of its description.
    left = next(code for code in note_models.CODES if code not in codes)
    view.press("+")
    view.page.keyboard.type(f"descr {left}")
    view.waits_for("document.querySelectorAll('#found li').length === 1")
    view.press("Enter")
    view.says(f"{left} added")
    assert view.codes() == [*codes, left] and view.verdicts() == ["accept", "reject", "reject", "add"]
    assert view.page.evaluate("document.activeElement.id") == "note"
    view.page.screenshot(path=tmp_path / "1400.png")
    view.press("d")
    view.says("n0 is done")
    view.shows("n1")
    assert "cannot read this note" in view.page.inner_text("#about")
    view.press("d")
    view.says("n1 is done")

    # Undo leads back to the note; the list is filtered and searched.
    view.press("u")
    view.shows("n1")
    view.waits_for("document.getElementById('note-state').textContent === ''")
    view.press("f")
    view.says("done notes: 1")
    assert view.page.eval_on_selector_all("[data-number]", "rows => rows.map(row => row.title)") == ["n0"]
    view.press("f", "/")
    view.page.keyboard.type("n69")
    view.waits_for("document.querySelectorAll('[data-number]').length === 1")
    view.press("Enter")
    view.shows("n69")
    view.press("/", "Escape", "p")
    view.shows("n68")
    view.press("n", "n")
    view.shows("n0")
    view.press("?")
    assert view.page.is_visible("#keys") and view.axe() == []
    view.press("Escape")

    # Keys can be switched off, and Tab reaches every button.
    view.press("?", "Space", "Escape", "r")
    assert not view.page.is_visible("#keys") and view.verdicts()[0] == "accept"
    reached = set()
    for _ in range(80):
        view.press("Tab")
        reached.add(view.page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {
        "note",
        "done",
        "undo",
        "next",
        "search",
        "query",
        "choose",
        "accept",
        "reject",
        "show-keys",
        "row",
    } <= reached

    # The ledger has it all; opening the page again goes on.
    state = read(tmp_path / "notes.review.jsonl")
    assert [code for _, code in state.of("n0").codes] == [codes[0], left] and state.of("n0").done
    assert not state.of("n1").done
    again = Page(browser, address, 1400)
    again.shows("n1")
    assert view.complaints == [] and again.complaints == []


@pytest.mark.slow
def test_the_page_is_accessible_and_fits(browser, address, tmp_path):
    view = Page(browser, address, 1400)
    view.press("a", "r")
    view.waits_for("document.getElementById('undecided').textContent === '1 undecided'")
    for width, scheme in itertools.product((1400, 900, 400), ("light", "dark")):
        view.page.set_viewport_size({"width": width, "height": 900})
        view.page.emulate_media(color_scheme=scheme)
        assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert view.axe() == []
        view.page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
        view.press("+")
        view.page.keyboard.type("description")
        view.waits_for("document.querySelectorAll('#found li').length > 1")
        view.press("ArrowDown")
        assert view.axe() == []
        view.press("Escape")
        if width < 992:
            view.press("/")
            assert view.page.is_visible("#list") and view.axe() == []
            view.press("Escape")
    assert view.complaints == []
