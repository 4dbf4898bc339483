"""A review: what the page shows of the work list and of a note, and what it decides."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from medcode.codes import formatting
from medcode.errors import UserError
from medcode.evidence.page import segments
from medcode.evidence.spans import Span
from medcode.inference.predict import UnreadableNote
from medcode.review.decisions import Action, CodeDecision, NoteState, Verdict
from medcode.review.ledger import Ledger
from medcode.review.opened import OpenedNotes, predicted
from medcode.review.search import CodeSearch
from medcode.review.work_list import WorkList

Filter = Literal["all", "open", "done"]
# Characters that a page would not show, or that change the direction of others: the page shows a sign in their place.
_SHOWN = {number: 0x2400 + number for number in range(32) if chr(number) not in "\t\n\r"} | {127: 0x2421}
_SHOWN |= dict.fromkeys(
    (*range(128, 160), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD
)


class Undecided(UserError):
    """A note cannot be done while codes of it are undecided."""


class Session:
    """A work list, a model and a ledger, as the page sees them. Threads may share it.

    Args:
        work_list: the notes.
        opened: their predictions.
        ledger: of the decisions.
        search: in descriptions of codes.
    """

    def __init__(self, work_list: WorkList, opened: OpenedNotes, ledger: Ledger, search: CodeSearch) -> None:
        self.work_list, self.opened, self.ledger, self.search = work_list, opened, ledger, search
        self._mutex = threading.Lock()  # a decision is checked by what holds when it is written

    def progress(self) -> dict[str, int]:
        """Return how many notes there are, and how many of them are done."""
        return {"notes": len(self.work_list), "done_notes": len(self._done())}

    def _done(self) -> set[int]:
        notes = [note for note, state in list(self.ledger.state.notes.items()) if state.done]
        return {number for note in notes if (number := self.work_list.number_of(note)) is not None}

    def _listed(self, which: Filter, query: str) -> list[int]:
        """Return the numbers of the notes of a state whose ids have the letters of a query, in their order."""
        done, query = self._done(), query.casefold()
        numbers: Iterable[int] = sorted(done) if which == "done" else range(len(self.work_list))
        if which == "open":
            numbers = (number for number in numbers if number not in done)
        return [number for number in numbers if not query or query in self.work_list.ids[number].casefold()]

    def listed(self, which: Filter, query: str, offset: int, limit: int, around: int | None = None) -> dict[str, Any]:
        """Return a part of the work list: the notes of a state whose ids have the letters of a query.

        Args:
            which: the state.
            query: likewise.
            offset: number of notes before the part.
            limit: most notes.
            around: takes the part that has this note, or where it would be.
        """
        numbers = self._listed(which, query)
        if around is not None and numbers:
            offset = min(bisect.bisect_left(numbers, around), len(numbers) - 1) // limit * limit
        rows = [self._row(number) for number in numbers[offset : offset + limit]]
        return {**self.progress(), "found": len(numbers), "offset": offset, "rows": rows}

    def neighbor(self, number: int, which: Filter, query: str, back: bool = False) -> int | None:
        """Return the next note of the list, or the one before; None if there is no other.

        After the last comes the first.

        Args:
            number: of a note, which need not be in the list; -1 stands before the first.
            which, query: of the list, as for `listed`.
            back: take the one before.
        """
        others = [other for other in self._listed(which, query) if other != number]
        if not others:
            return None
        place = bisect.bisect_left(others, number)
        return others[place - 1] if back else others[place % len(others)]

    def _row(self, number: int) -> dict[str, Any]:
        """Return a row of the work list; what the model says is known of notes that were opened."""
        note = self.work_list.ids[number]
        state, summary = self.ledger.state.of(note), self.opened.summaries.get(number)
        of_ledger = [probability for _, probability in state.verdicts.values() if probability is not None]
        lowest = summary.lowest if summary is not None else min(of_ledger, default=None)
        codes = len(state.codes) if state.done or summary is None else summary.codes + self._added(state)
        known = state.done or summary is not None
        return {"number": number, "id": note, "done": state.done, "codes": codes if known else None, "lowest": lowest}

    @staticmethod
    def _added(state: NoteState) -> int:
        return sum(verdict == "add" for verdict, _ in state.verdicts.values())

    def note(self, number: int) -> dict[str, Any]:
        """Return a note with its codes and marked evidence, and begin to predict the next open one.

        Raises:
            UserError: the file of the note has changed.
        """
        result = self.opened.prediction(number)
        following = self.neighbor(number, "open", "")
        if following is not None:
            self.opened.ahead(following)
        text = self.work_list.text(number).translate(_SHOWN)
        spans = [[Span(*span) for span in code.get("spans", [])] for code in predicted(result)]
        about: dict[str, Any] = {"reason": str(result)}
        if not isinstance(result, UnreadableNote):
            about = {name: getattr(result, name) for name in ("words", "words_read", "unit")}
        return {**about, "segments": segments(text, spans), **self.codes(number)}

    def codes(self, number: int) -> dict[str, Any]:
        """Return what is decided on a note: predicted codes, then those that were added, with their verdicts."""
        note = self.work_list.ids[number]
        state, rows = self.ledger.state.of(note), []
        verdicts = dict(state.verdicts)
        for index, code in enumerate(predicted(self.opened.prediction(number))):
            verdict, _ = verdicts.pop((code["system"], code["code"]), (None, None))
            phrases = [span[2].translate(_SHOWN) for span in code.get("spans", [])]
            rows.append(self._code(code["system"], code["code"], code["probability"], verdict, index, phrases))
            rows[-1]["description"] = code["description"] or rows[-1]["description"]
        for (system, code_), (verdict, probability) in verdicts.items():
            rows.append(self._code(system, code_, probability, verdict, None, []))
        return {"number": number, "id": note, "done": state.done, "codes": rows, **self.progress()}

    def _code(
        self, system: str, code: str, probability: float | None, verdict: Verdict | None, index: int | None,
        phrases: list[str],
    ) -> dict[str, Any]:  # fmt: skip
        description = self.search.description(system, code)
        return {
            "system": system, "code": code, "description": description, "probability": probability,
            "verdict": verdict, "evidence": index, "phrases": phrases,
        }  # fmt: skip

    def decide(self, number: int, action: Action, codes: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Record a decision, and return what holds then, as `codes`.

        Raises:
            Undecided: the note cannot be done yet.
            UserError: a code to add is none of its system, one to accept or reject is not among the note's, or the
                ledger cannot be written.
        """
        self.opened.prediction(number)  # which may take seconds, before others have to wait
        with self._mutex:
            rows = {(row["system"], row["code"]): row for row in self.codes(number)["codes"]}
            if action == "done" or action == "reopen":
                undecided = sum(row["verdict"] is None for row in rows.values())
                if action == "done" and undecided:
                    raise Undecided(f"{undecided} of the codes {'is' if undecided == 1 else 'are'} undecided")
                decided = []
            else:
                decided = [_decided(action, system, code, rows) for system, code in dict.fromkeys(codes)]
                if not decided:
                    raise UserError("codes: at least one")
            self.ledger.decide(self.work_list.ids[number], action, decided, self.work_list.text(number))
            return self.codes(number)

    def undo(self) -> dict[str, Any] | None:
        """Take back the last decision; return what holds of its note, None if there is nothing to undo.

        Raises:
            UserError: the file of the note has changed, or the ledger cannot be written. Nothing is undone then.
        """
        with self._mutex:
            last = self.ledger.state.last
            if last is None:
                return None
            number = self.work_list.number_of(last.note)
            if number is not None:
                self.opened.prediction(number)  # before the undo: the answer must not fail behind it
            self.ledger.undo()
            return {"number": None, "id": last.note, **self.progress()} if number is None else self.codes(number)


def _decided(action: Action, system: str, code: str, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> CodeDecision:
    """Return a code to decide on, with the probability that it has among the codes of its note."""
    if action == "add":
        code = formatting.normalized(code, system)
    elif (system, code) not in rows:
        raise UserError(f"{system} {code[:12]} is not among the codes of this note")
    probability = rows.get((system, code), {}).get("probability")
    return CodeDecision(system=system, code=code, probability=None if probability is None else round(probability, 4))
