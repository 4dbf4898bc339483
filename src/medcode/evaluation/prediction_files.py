"""Files of predicted codes in the form that organizers of shared tasks read: `document<TAB>code`, best code first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from medcode import io
from medcode.evaluation.official import DEPTH, Labels, ScoredDocuments


def write(
    folder: Path,
    labels: Labels,
    scored: ScoredDocuments,
    thresholds: Mapping[str, float],
    unseen: Mapping[str, Sequence[Sequence[str]]] | None = None,
    code_thresholds: Sequence[float] | None = None,
) -> dict[Path, int]:
    """Write two files for each code system: `SYSTEM.ranked.tsv` for MAP, and `SYSTEM.predicted.tsv` for F1.

    Args:
        folder: where to write; its other files are left.
        labels: records with system and code [Y].
        scored: probabilities of all documents of a split.
        thresholds: by system, the probability above which a code is predicted.
        unseen: codes of the candidates of each document, by system.
        code_thresholds: of each label [Y], in the place of those of the systems; None for the latter.

    Returns:
        The files with the number of their lines. A ranked file has the first `DEPTH` codes of each document, in the
        order by which metrics rank: among equal scores the later label comes first.
    """
    systems = np.array([label["system"] for label in labels])
    written = {}
    for system, threshold in thresholds.items():
        columns = np.flatnonzero(systems == system)
        of_labels = [labels[column]["code"] for column in columns.tolist()]
        of_candidates = (unseen or {}).get(system, [[]] * len(scored.documents))
        probabilities = scored.probabilities[:, columns]
        if system in scored.candidates:
            probabilities = np.concatenate([probabilities, scored.candidates[system].probabilities], axis=1)
        limits = np.full(probabilities.shape[1], threshold)
        if code_thresholds is not None:
            limits[: len(columns)] = np.asarray(code_thresholds)[columns]
        is_predicted = probabilities > limits.astype(probabilities.dtype)
        ranked: list[str] = []
        predicted: list[str] = []
        rows = zip(scored.documents, probabilities, is_predicted, of_candidates, strict=True)
        for document, row, of_row, further in rows:
            names = [*of_labels, *further]
            order = np.argsort(row, kind="stable")[::-1][:DEPTH]
            lines = [f"{document}\t{names[number]}\n" for number in order]
            ranked += lines
            predicted += [line for line, is_one in zip(lines, of_row[order], strict=True) if is_one]
        for name, lines in (("ranked", ranked), ("predicted", predicted)):
            path = folder / f"{system}.{name}.tsv"
            io.write_text(path, "".join(lines))
            written[path] = len(lines)
    return written
