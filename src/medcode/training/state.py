"""The progress and the result of a training."""

from __future__ import annotations

from dataclasses import dataclass, field

Row = dict[str, float]


@dataclass
class TrainState:
    """The progress of a training. With the weights and the optimizer, it is the checkpoint.

    Attributes:
        epoch: epochs that have ended.
        step_in_epoch: steps taken in the current epoch.
        global_step: steps taken since the beginning.
        loss_sums: sums over the steps of the current epoch: `train_loss`, `train_loss_<head>` for several heads, and
            `train_span_loss` with `span_weight`.
        history: the learning curve, a row for each epoch that has ended.
        best_epoch: the epoch whose weights to keep, counted from 1; 0 before the first that can be kept has ended.
        stopped: why training has ended; empty until then.
        processes: how many trained together last.
        times: what the current epoch has taken so far, `seconds` and `cpu_seconds`. No result depends on times.
        epoch_times: the same of each epoch that has ended.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    global_step: int = 0
    loss_sums: Row = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = ""
    processes: int = 1
    times: Row = field(default_factory=dict)
    epoch_times: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """The learning curve of a training, its best epoch (counted from 1), and why it ended."""

    history: list[Row]
    best_epoch: int
    stopped: str
