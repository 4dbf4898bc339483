"""Look up the synonyms of the labels and their places in the tree of codes; empty for a training that needs neither."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.codes.tree import Tree
from medcode.dataset import knowledge


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads: none."""


@stage(Parameters, needs=Path, inputs=Path, descriptions=Path, synonyms=Path, hierarchy=Path, out=Path)
def main(params: Parameters, out: Path, inputs: Path, needs: Path, **tables: Path) -> None:
    wanted = io.read_json(needs)
    if not any(wanted.values()):
        io.write_empty(out, "training needs neither synonyms nor the tree of codes")  # alike for all such trainings
        return
    labels = {head: entry["labels"] for head, entry in io.read_json(inputs / "heads.json").items()}
    terms = paths = None
    if wanted["terms"]:
        terms = knowledge.terms_of(labels, io.read_table(tables["synonyms"]).to_pylist())
    if wanted["tree"]:
        rows = io.read_table(tables["descriptions"]).to_pylist()
        described = {(row["system"], row["code"]): row["description"] for row in rows}
        paths = knowledge.paths_of(labels, Tree(described, io.read_table(tables["hierarchy"]).to_pylist()))
    knowledge.write(out, terms, paths)


if __name__ == "__main__":
    main()
