"""A model in one folder with all that belongs to it, as `publish` writes models/current and `keep` copies it.

Besides the model there are `open`, its scorer of unseen codes, `calibration`, and `metrics`, what was measured of it.
The first two are left empty where there is nothing.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from medcode import io
from medcode.errors import UserError
from medcode.inference import calibration, saved_model

OPEN, CALIBRATION, METRICS = "open", "calibration", "metrics"


@dataclass(frozen=True)
class Parts:
    """A trained model and what belongs to it.

    Attributes:
        model: folder of the model, all seeds of it.
        open: folder of the scorer of unseen codes; may be left empty.
        calibration: folder of the calibration; may be left empty.
        train, test, baseline: files of what was measured of it, and of the linear model beside it.
    """

    model: Path
    open: Path
    calibration: Path
    train: Path
    test: Path
    baseline: Path

    @classmethod
    def of(cls, folder: Path) -> Parts:
        """Return the parts of a published or kept model."""
        measured = (folder / METRICS / f"{name}.json" for name in ("train", "test", "baseline"))
        return cls(folder, folder / OPEN, folder / CALIBRATION, *measured)

    def check(self) -> None:
        """Read all parts, as those who use the model will.

        Raises:
            UserError: a part is missing, damaged, or of another model.
        """
        heads = {}
        for trained in saved_model.load_all(self.model):  # every seed
            heads = trained.model.heads
        models = saved_model.digests(self.model)
        calibration.read(self.calibration, models, heads)
        if not io.is_empty(self.open):
            values = io.read_json(self.open / "open.json")
            if not isinstance(values, dict) or values.get("models") != models:
                raise UserError(f"{self.open}: made for another model than this one; {calibration.AGAIN}")
        self._check_measures()

    def _check_measures(self) -> None:
        measured, *_ = (io.read_json(path) for path in (self.train, self.test, self.baseline))
        metadata = saved_model.describe(self.model)
        found = [measured.get(key) for key in ("model", "label_set", "corpus", "recipe")]
        expected = [metadata.name, metadata.label_set, metadata.provenance.corpus, metadata.provenance.recipe]
        if found != expected:
            raise UserError(
                f"{self.train}: of another model ({', '.join(map(str, found))}) than {self.model} "
                f"({', '.join(map(str, expected))}); run dvc repro"
            )


def publish(parts: Parts, folder: Path) -> None:
    """Copy a trained model and what belongs to it to a folder that may be in use, and is replaced in one step.

    Raises:
        UserError: a part is missing, damaged, or of another model; the old folder is unchanged.
    """
    parts.check()
    with io.exchanged_folder(folder) as target:
        copy_files(parts.model, target)
        copy_files(parts.open, target / OPEN)
        copy_files(parts.calibration, target / CALIBRATION)
        (target / METRICS).mkdir()
        for file in (parts.train, parts.test, parts.baseline):
            _copy_file(file, target / METRICS / file.name)


def copy_files(source: Path, target: Path) -> None:
    """Copy the files of a folder into another one, each safe on the disk.

    Raises:
        UserError: the source is missing, or a file cannot be read or written.
    """
    try:
        shutil.copytree(source, target, copy_function=_copy_file, dirs_exist_ok=True)
    except OSError as error:
        raise UserError(f"{source}: cannot be copied to {target} ({error.strerror or error})") from error


def _copy_file(source: str | Path, target: str | Path) -> None:
    # Without the permissions of the source, which is read-only where DVC links it to its cache.
    try:
        with open(source, "rb") as file, io.atomic_write(target) as written:
            shutil.copyfileobj(file, written)
    except OSError as error:
        raise io.unreadable(source, error) from error
