"""What was decided on each note, by the decisions one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

Action = Literal["accept", "reject", "add", "done", "reopen"]
Verdict = Literal["accept", "reject", "add"]
Verdicts = dict[tuple[str, str], tuple[Verdict, float | None]]


class CodeDecision(BaseModel):
    """A code that is decided on, with its probability where the model predicted it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    code: str
    probability: float | None = None


@dataclass
class NoteState:
    """What holds for a note.

    Attributes:
        verdicts: of each code that was decided on, with its probability.
        done: whether the note is.
        text: digest of the text on which something was decided last; None if the ledger does not say.
    """

    verdicts: Verdicts = field(default_factory=dict)
    done: bool = False
    text: str | None = None

    @property
    def codes(self) -> list[tuple[str, str]]:
        """The codes that were accepted or added, in the order of the decisions."""
        return [code for code, (verdict, _) in self.verdicts.items() if verdict != "reject"]


class Step(NamedTuple):
    """A decision that can be undone: its number, its note, and what held of it before."""

    number: int
    note: str
    verdicts: Verdicts
    done: bool
    text: str | None


class State:
    """What holds for all notes.

    Attributes:
        notes: state of each note on which something was decided, by its id.
    """

    def __init__(self) -> None:
        self.notes: dict[str, NoteState] = {}
        self._steps: list[Step] = []

    @property
    def last(self) -> Step | None:
        """The last decision that holds."""
        return self._steps[-1] if self._steps else None

    def of(self, note: str) -> NoteState:
        """Return what holds for a note."""
        return self.notes.get(note) or NoteState()

    def decide(
        self, number: int, note: str, action: Action, codes: Sequence[CodeDecision], text: str | None = None
    ) -> None:
        """Take a decision into account."""
        state = self.notes.setdefault(note, NoteState())
        self._steps.append(Step(number, note, state.verdicts, state.done, state.text))
        state.text = text
        if action == "done" or action == "reopen":
            state.done = action == "done"
        else:  # a new dictionary: other threads may read the old one
            decided = {(code.system, code.code): (action, code.probability) for code in codes}
            state.verdicts = {**state.verdicts, **decided}

    def undo(self, number: int | None) -> None:
        """Take back the last decision.

        Raises:
            ValueError: it has another number.
        """
        if self.last is None or self.last.number != number:
            raise ValueError("it undoes another line than the last one that holds")
        step = self._steps.pop()
        state = self.notes[step.note]
        state.verdicts, state.done, state.text = step.verdicts, step.done, step.text
