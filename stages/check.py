"""Check the parameters, and write the fingerprint of each stage's code, so that DVC knows which stages to rerun."""

from __future__ import annotations

from common import stage

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from medcode import io, workspace
from medcode.config import Params
from medcode.config.checking import (
    ALL_CODES,
    NO_SYNONYMS,
    NO_TITLES,
    check_corpus_folder,
    check_evidence,
    check_list,
    check_run,
)
from medcode.config.corpora import SYNTHETIC
from medcode.engine import torchrun
from medcode.errors import collect
from medcode.reruns.stages import choice, code_of, project


@stage(None, models=Path, raw=Path, lists=Path, official=Path, out=Path)
def main(params: Path, models: Path, raw: Path, lists: Path, official: Path, out: Path) -> None:
    show_to_git([params, *models.glob("*.yaml")])
    parameters, settings = check_run(params, models)
    if source := workspace.of_copy(Path(), os.environ):
        workspace.link(source, Path(), [str(path) for path in untracked(parameters, raw, lists, official)])
    collect(
        lambda: check_corpus_folder(params, raw),
        lambda: check_evidence(params, raw),
        lambda: check_list(params, "reference.titles", parameters.reference.titles, f"for none set {NO_TITLES}"),
        lambda: check_list(params, "reference.synonyms", parameters.reference.synonyms, f"for none set {NO_SYNONYMS}"),
        lambda: torchrun.check_meeting(parameters.training, os.environ),
        lambda: check_list(params, "open.codes", parameters.open.codes, f"for all codes set {ALL_CODES}"),
    )
    modules = choice(parameters.corpus, *settings)
    stages = Path(__file__).parent
    code = project(stages.parent)
    with io.atomic_folder(out) as folder:
        needs_tree = any(one.config.needs_tree or one.recipe.curriculum is not None for one in settings)
        needs = {"terms": settings[0].config.needs_terms, "tree": needs_tree}
        io.write_json(folder / "needs.json", needs)  # what `knowledge` looks up
        for path in sorted(stages.rglob("*.py")):
            io.write_json(folder / f"{path.stem}.json", code_of(code, [path.stem], modules))


def show_to_git(files: Iterable[Path]) -> None:
    """Give files a new modification time, so that git compares their content.

    `dvc exp run -S` restores a file and changes it within one second. If the change keeps the size and the run fails,
    git takes the file for unchanged, and neither shows nor reverts the change.
    """
    for file in files:
        with contextlib.suppress(OSError):  # a missing file is reported by its reader
            os.utime(file)


def untracked(params: Params, raw: Path, lists: Path, official: Path) -> list[Path]:
    """List what the run reads and neither git nor DVC has to track, below the project's folder."""
    paths = [official]
    own_lists = Path(params.reference.titles), Path(params.reference.synonyms), Path(params.open.codes)
    paths += [path for path in own_lists if not path.is_absolute() and ".." not in path.parts]
    if not params.corpus.startswith(SYNTHETIC):
        paths.append(raw / params.corpus)
    if params.split.published != "none":
        paths.append(lists / params.split.published)
    return paths


if __name__ == "__main__":
    main()
