"""Learn on dev to calibrate the trained model, and thresholds of single codes; empty if neither is set."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path

from medcode import config, io


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    label_set: config.LabelSet
    calibration: config.CalibrationMethod
    thresholds: config.Thresholds
    evaluation: config.Batches
    training: config.Scoring


@stage(Parameters, inputs=Path, sentences=Path, subword=Path, model=Path, out=Path, metrics=Path)
def main(params: Parameters, model: Path, out: Path, metrics: Path, **paths: Path) -> None:
    if params.calibration == "none" and params.thresholds == "global":
        io.write_empty(out, "no calibration: params.yaml has calibration: none and thresholds: global")
        io.write_metrics(metrics, {})
        return
    from medcode.calibration import fitting  # torch takes seconds to load
    from medcode.engine import reproducibility
    from medcode.inference import calibration, saved_model

    reproducibility.prepare(params.training.threads, params.training.kernels)
    options = fitting.Options(params.calibration, params.thresholds)
    found, measured, lines = fitting.fit(model, paths, options, params.training, params.evaluation.batch_size)
    calibration.write(out, found, saved_model.digests(model))
    io.write_metrics(metrics, measured)
    for line in lines:
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
