"""The table of metrics, one entry for each, in the order of test.json.

All code that computes, names or explains a metric reads it: metrics/test.json, the report page, the tables of the
studies and the leaderboard. Training reads only evaluation/monitor.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from medcode.evaluation import metrics, official, ranking
from medcode.evaluation.metrics import Counts, MacroF1
from medcode.evaluation.monitor import MONITORS, Scored

Needs = Literal["official", "auc", "ranking", "decisions"]

# What metrics are computed from, with the report page's heading. test.json has a section for each, but two for
# decisions, one for each threshold: `fixed` and `tuned`. Only the label set `full` has official measures.
NEEDS: dict[Needs, str] = {
    "official": "Official measures: every gold code counts, also one that no training document has",
    "decisions": "Predicted codes",
    "ranking": "Ranking of the codes of a note, without a threshold",
    "auc": "Area under the ROC curve, without a threshold",
}
THRESHOLDS = ("fixed", "tuned")
COLUMN_KS = (5, 8, 15)  # of the metrics at k that have a column in tables of studies
# Names of the headline metrics in the order of the leaderboard, which shows those at k for HEADLINE_KS. The first sorts
# its rows.
HEADLINE = ("f1_micro", "f1_macro", "auc_macro", "precision_at_{k}", "map")
HEADLINE_KS = (5, 8)
# Keys of metrics of decisions in the order of the report page. Others follow in the order of TABLE.
ROWS = (
    "f1.micro", "precision.micro", "recall.micro", "macro_f1.caml", "macro_f1.per_label_all",
    "macro_f1.per_label_present", "precision.macro", "recall.macro", "jaccard.micro", "jaccard.macro", "exact_match",
    "predicted_per_document",
)  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """A metric of test.json.

    Attributes:
        key: its key within its section of test.json, dotted where it is nested. `{k}` stands for each k of
            `evaluation.at` that the number of labels allows.
        function: computes it; one with `{k}` in its key takes k as well.
        needs: probabilities of all labels (auc), ranks of the gold labels (ranking), the codes that are predicted at a
            threshold (decisions), or every gold code of the split (official).
        title: its name on the report page; None leaves it out.
        explanation: its definition on the report page.
        column: its name in tables of studies and on the leaderboard; None if it has no column.
    """

    key: str
    function: Callable[..., float]
    needs: Needs
    title: str | None = None
    explanation: str = ""
    column: str | None = None

    @property
    def name(self) -> str:
        """Its name in recipes, learning curves and tables of studies."""
        key = self.key.replace(".", "_")
        return f"{self.needs}_{key}" if self.needs in ("auc", "official") else key

    @property
    def headline(self) -> bool:
        """Whether it is on the leaderboard."""
        return self.name in HEADLINE

    @property
    def row(self) -> int:
        """Its position among the metrics of decisions on the report page."""
        return ROWS.index(self.key) if self.key in ROWS else len(ROWS)

    @property
    def at_k(self) -> bool:
        """Whether it is a metric at k."""
        return "{k}" in self.key


def _predicted_per_document(labels: Counts, documents: Counts) -> float:
    return float(metrics.ratio(labels.predicted.sum(), len(documents.gold)))


TABLE = (
    Metric(
        "macro", MONITORS["auc_macro"].function, "auc", "Macro AUC",
        "Chance that a note with the code scores above one without, as a mean over codes.", column="AUC macro",
    ),
    Metric(
        "micro", MONITORS["auc_micro"].function, "auc", "Micro AUC",
        "The same over all decisions together.", column="AUC micro",
    ),
    Metric(
        "precision_at_{k}", lambda scored, k: ranking.precision_at(scored.ranking, k), "ranking", "Precision at {k}",
        "Share of right codes among the {k} with the highest scores.", column="P@{k}",
    ),
    Metric(
        "recall_at_{k}", lambda scored, k: ranking.recall_at(scored.ranking, k), "ranking", "Recall at {k}",
        "Share of the gold codes that are among the {k} with the highest scores.",
    ),
    Metric(
        "r_precision", MONITORS["r_precision"].function, "ranking", "R-precision",
        "Precision among as many codes as the note has gold ones.", column="R-precision",
    ),
    Metric(
        "map", MONITORS["map"].function, "ranking", "MAP",
        "Mean average precision: precision at the rank of each gold code, over the whole ranking.", column="MAP",
    ),
    # The headline: the page has each of its definitions.
    Metric("f1.macro", MONITORS["f1_macro"].function, "decisions", column="F1 macro"),
    Metric(
        "f1.micro", MONITORS["f1_micro"].function, "decisions", "Micro F1",
        "Harmonic mean of precision and recall over all decisions; frequent codes weigh most.", column="F1 micro",
    ),
    Metric(
        "macro_f1.caml", lambda scored: metrics.f1_macro(scored.labels, "caml"), "decisions", "Macro F1, caml",
        "Harmonic mean of macro precision and macro recall over all codes (Mullenbach et al. and most publications "
        "since).",
    ),
    Metric(
        "macro_f1.per_label_all", lambda scored: metrics.f1_macro(scored.labels, "per_label_all"), "decisions",
        "Macro F1, all codes", "Mean of each code's F1; a code absent from test counts 0.",
    ),
    Metric(
        "macro_f1.per_label_present", lambda scored: metrics.f1_macro(scored.labels, "per_label_present"), "decisions",
        "Macro F1, codes in test", "The same mean over the codes that occur in test (Edin et al., JAMS).",
    ),
    Metric(
        "precision.macro", lambda scored: metrics.precision_macro(scored.labels), "decisions", "Macro precision",
        "Mean of each code's precision; every code weighs the same.",
    ),
    Metric(
        "precision.micro", lambda scored: metrics.precision_micro(scored.labels), "decisions", "Micro precision",
        "Share of the predicted codes that are right.",
    ),
    Metric(
        "recall.macro", lambda scored: metrics.recall_macro(scored.labels), "decisions", "Macro recall",
        "Mean of each code's recall.",
    ),
    Metric(
        "recall.micro", lambda scored: metrics.recall_micro(scored.labels), "decisions", "Micro recall",
        "Share of the gold codes that are found.",
    ),
    Metric(
        "jaccard.macro", lambda scored: metrics.jaccard_macro(scored.labels), "decisions", "Macro Jaccard",
        "The same for each code, then the mean.",
    ),
    Metric(
        "jaccard.micro", lambda scored: metrics.jaccard_micro(scored.labels), "decisions", "Micro Jaccard",
        "Right codes among all predicted or gold; some publications say accuracy.",
    ),
    Metric(
        "exact_match", lambda scored: metrics.exact_match(scored.documents), "decisions", "Exact match",
        "Share of notes whose codes are all right and complete.", column="EMR",
    ),
    Metric(
        "predicted_per_document", lambda scored: _predicted_per_document(scored.labels, scored.documents), "decisions",
        "Predicted codes per note", "To compare with the gold codes per note.",
    ),
    Metric(
        "map", official.mean_average_precision, "official", "MAP",
        f"Mean average precision over the {official.DEPTH:,} codes with the highest scores.", column="MAP official",
    ),
    Metric(
        "f1", official.f1, "official", "F1", "Micro F1 at the threshold with the best official F1 on dev.",
        column="F1 official",
    ),
    Metric(
        "precision", official.precision, "official", "Precision", "Share of the predicted codes that are right.",
        column="P official",
    ),
    Metric(
        "recall", official.recall, "official", "Recall", "Share of all gold codes that are found.",
        column="R official",
    ),
)  # fmt: skip


def measure(scored: Scored | official.Task, needs: Needs, at: list[int]) -> dict[str, Any]:
    """Compute all metrics with the same needs, nested as in test.json.

    Args:
        scored: of one head; a task for official measures.
        needs: one of NEEDS.
        at: the k of metrics at k; one above the number of labels is left out.
    """
    ks = [k for k in at if k <= scored.gold.shape[1]]
    values: dict[str, Any] = {}
    for metric in TABLE:
        if metric.needs != needs:
            continue
        if metric.at_k:
            values |= {metric.key.format(k=k): metric.function(scored, k) for k in ks}
            continue
        *sections, key = metric.key.split(".")
        section = values
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = metric.function(scored)
    return values


def _k_in(pattern: str, text: str) -> str | None:
    """Return the k of a key or name, "" for a metric without one; None if the text does not match the pattern."""
    match = re.fullmatch(re.escape(pattern).replace(r"\{k\}", r"(?P<k>[1-9]\d*)"), text)
    return match.groupdict().get("k", "") if match else None


def entry(needs: Needs, key: str) -> tuple[Metric, str]:
    """Return the entry of a key of test.json, and its k as text, empty for a metric without one.

    Raises:
        KeyError: the table has no such metric.
    """
    for metric in TABLE:
        if metric.needs == needs and (k := _k_in(metric.key, key)) is not None:
            return metric, k
    raise KeyError(key)


def columns() -> dict[str, str]:
    """Return the metrics that have a column in tables of studies, {name: heading}."""
    headings: dict[str, str] = {}
    for metric in TABLE:
        if metric.column is not None:
            ks = COLUMN_KS if metric.at_k else (None,)
            headings |= {metric.name.format(k=k): metric.column.format(k=k) for k in ks}
    return headings


def headlines() -> list[str]:
    """List the names of the headline metrics, in the order of the leaderboard."""
    by_name = {metric.name: metric for metric in TABLE if metric.headline}
    return [name.format(k=k) for name in HEADLINE for k in (HEADLINE_KS if by_name[name].at_k else (None,))]


def path_in_test(name: str, threshold: str, macro_f1: MacroF1) -> tuple[str, ...]:
    """Return the path of a metric within a head's section of test.json.

    Args:
        name: of a metric of the table, with any k.
        threshold: of THRESHOLDS, for a metric of decisions.
        macro_f1: the definition that f1_macro takes, whatever the headline was.

    Raises:
        KeyError: the table has no such metric.
    """
    if name == "f1_macro":
        return threshold, "macro_f1", macro_f1
    for metric in TABLE:
        if (k := _k_in(metric.name, name)) is not None:
            section = threshold if metric.needs == "decisions" else metric.needs
            return section, *metric.key.format(k=k).split(".")
    raise KeyError(name)
