"""Record the machine and the commit of a study's training, and remove its model if nothing needs it any more."""

from __future__ import annotations

from shared import stage

import platform
import shutil
import subprocess
from pathlib import Path

import torch

from medcode import config, io
from medcode.engine import distributed


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    training: config.Machine


@stage(Parameters, out=Path, optional={"model": Path})
def main(params: Parameters, out: Path, model: Path | None) -> None:
    device = distributed.choose_device(params.training.device)
    io.write_json(
        out,
        {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})",
            "threads": params.training.threads,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "commit": commit(),
        },
    )
    if model is not None:
        shutil.rmtree(model)


def commit() -> str | None:
    """Return the revision of the code, with a + if there are uncommitted changes; None outside git."""
    revision = _git("rev-parse", "--short=10", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src", "stages", "configs", "params.yaml")
    return f"{revision}{'+' if changed else ''}" if revision else None


def _git(*command: str) -> str | None:
    try:
        process = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return process.stdout.strip() if process.returncode == 0 else None


if __name__ == "__main__":
    main()
