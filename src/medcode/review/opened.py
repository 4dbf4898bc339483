"""Opened notes: their predictions with evidence, computed when a note is opened, and for the next one ahead."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from medcode.coder import Coder
from medcode.dataset.arrays import LINKED_HEADS
from medcode.inference.predict import PredictedCode, Prediction, UnreadableNote
from medcode.review.work_list import WorkList

KEPT = 64  # predictions
HEADS = ("icd", *LINKED_HEADS)  # those of codes; other heads predict groups of codes, which nobody assigns


class Summary(NamedTuple):
    """The number of codes that were predicted for a note, and their lowest probability."""

    codes: int
    lowest: float | None


class OpenedNotes:
    """Predictions of notes by their number. Threads may share it; each note is predicted once.

    Args:
        coder: the model.
        work_list: the notes.
        top, threshold: as for `Coder.predict`.

    Attributes:
        summaries: of each note that was predicted.
    """

    def __init__(
        self, coder: Coder, work_list: WorkList, top: int | None = None, threshold: float | None = None
    ) -> None:
        self._coder, self._work_list, self._top, self._threshold = coder, work_list, top, threshold
        self._futures: OrderedDict[int, Future[Prediction | UnreadableNote]] = OrderedDict()
        self._mutex = threading.Lock()
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self.summaries: dict[int, Summary] = {}

    def prediction(self, number: int) -> Prediction | UnreadableNote:
        """Return the prediction of a note, or why the model cannot read it.

        Raises:
            UserError: the file of the note has changed.
        """
        with self._mutex:
            future = self._futures.get(number)
            mine = future is None
            if future is None:
                future = self._futures[number] = Future()
            self._futures.move_to_end(number)
            while len(self._futures) > KEPT:
                self._futures.popitem(last=False)
        if mine:
            try:
                future.set_result(self._predict(number))
            except BaseException as error:
                with self._mutex:
                    self._futures.pop(number, None)
                future.set_exception(error)
        return future.result()

    def _predict(self, number: int) -> Prediction | UnreadableNote:
        text = self._work_list.text(number)
        (result,) = self._coder.try_predict([text], evidence=True, top=self._top, threshold=self._threshold)
        if not isinstance(result, UnreadableNote):
            result = replace(result, codes=[code for code in result.codes if code["head"] in HEADS])
        codes = predicted(result)
        self.summaries[number] = Summary(len(codes), min((code["probability"] for code in codes), default=None))
        return result

    def ahead(self, number: int) -> None:
        """Predict a note in a thread, if it is one of the list."""
        if 0 <= number < len(self._work_list):
            self._ahead.submit(self.prediction, number)

    def close(self) -> None:
        """End the thread; what waits is not begun."""
        self._ahead.shutdown(wait=False, cancel_futures=True)


def predicted(result: Prediction | UnreadableNote) -> list[PredictedCode]:
    """Return the codes of a prediction; none of a note that the model cannot read."""
    return [] if isinstance(result, UnreadableNote) else result.codes
