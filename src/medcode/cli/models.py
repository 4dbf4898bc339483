"""`models`: list the models with their papers and parameter counts, without data or weights."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

SMALL_LABEL_SET = 100
ENCODERS = ("bert-base-cased", "bert-base-uncased", "roberta-base", "roberta-base-pm")


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("models", help="list the models with their parameter counts")
    parser.add_argument(
        "--models",
        type=Path,
        default=Path("configs/models"),
        metavar="FOLDER",
        help="the files of the models (default: %(default)s)",
    )
    parser.add_argument("--kept", action="store_true", help="list the trained models that `medcode keep` has named")
    parser.add_argument("--name", help="show one model")
    parser.add_argument("--vocabulary", type=int, default=51_919, help="embedding rows, PAD and UNK included")
    parser.add_argument(
        "--encoder",
        choices=ENCODERS,
        help="size of the encoder of models on one (default: as they were published)",
    )
    parser.add_argument(
        "--labels",
        default="icd=50",
        help="labels of each head, e.g. icd=50,ccs=38 (default: %(default)s); a head that a model needs and that is "
        "not named has as many as in MIMIC-III, icd9 and icd10 as in MIMIC-IV",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="MODEL.KEY=VALUE",
        dest="changes",
        help="change an option, e.g. caml.filters=100; repeatable",
    )
    parser.add_argument("--recipe", help="which training of each model (default: published, or the first after quick)")
    parser.add_argument(
        "--label-set",
        choices=("top50", "full"),
        help=f"which settings to take (default: top50 up to {SMALL_LABEL_SET} labels, else full)",
    )
    parser.add_argument(
        "--format",
        choices=("table", "json", "markdown"),
        default="table",
        help="markdown: docs/MODELS.md, both label sets",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the list.

    Raises:
        UserError: an argument or a model's file is wrong.
    """
    if arguments.kept:
        from medcode.cli.keep import listed

        print(listed())
        return
    from medcode.config import models
    from medcode.errors import UserError, nearest
    from medcode.models.catalog import NOT_PUBLISHED, ModelFile, describe

    if arguments.name is not None and arguments.name not in models.names():
        raise UserError(f"--name: there is no model '{arguments.name}'; {nearest(arguments.name, models.names())}")
    if arguments.vocabulary < 2:
        raise UserError(f"--vocabulary: at least 2 rows, PAD and UNK, found {arguments.vocabulary}")
    heads = parse_heads(arguments.labels)
    label_set = arguments.label_set or ("top50" if max(heads.values()) <= SMALL_LABEL_SET else "full")
    contents = with_recipe(read_files(arguments.models, arguments.name, arguments.changes), arguments.recipe)
    files = [ModelFile(name, content, arguments.models, arguments.recipe) for name, content in contents.items()]
    if arguments.format == "markdown":
        from medcode.cli.model_page import page

        print(page(files, arguments.vocabulary, arguments.encoder), end="")
        return
    sizes = heads, label_set, arguments.vocabulary, arguments.encoder
    descriptions = [describe(file, *sizes) for file in files]
    if arguments.format == "json":
        print(json.dumps(descriptions, indent=2))
        return
    width = max(len(item["name"]) for item in descriptions)
    print(f"{'model':<{width}}  {'parameters':>12}  {'trainable':>12}  description")
    for item in descriptions:
        print(
            f"{item['name']:<{width}}  {item['parameters']:>12,}  {item['trainable']:>12,}  "
            f"{item['description']} ({item['paper'] or NOT_PUBLISHED})"
        )


def read_files(folder: Path, only: str | None, changes: list[str]) -> dict[str, dict[str, Any]]:
    """Read the files of all models, or of one, and apply `--set`.

    Raises:
        UserError: the folder or a file is missing, a file is no mapping, a change is malformed or names no model.
    """
    import yaml

    from medcode import config
    from medcode.config import models
    from medcode.errors import UserError, nearest

    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; run this in the project's folder or name it with --models")
    if_missing = "every model has one; name another folder with --models"
    chosen = [only] if only else models.names()
    files = {name: config.read_yaml(folder / f"{name}.yaml", if_missing) for name in chosen}
    for change in changes:
        key, equals, value = change.partition("=")
        name, *path = key.split(".")
        if not equals or not path:
            raise UserError(f"--set: expected MODEL.KEY=VALUE, for instance caml.filters=100, found '{change}'")
        if name not in models.names():
            raise UserError(f"--set: there is no model '{name}'; {nearest(name, models.names())}")
        section = files.get(name, {}).setdefault("options", {})
        for part in path[:-1]:
            section = section.setdefault(part, {})
        section[path[-1]] = yaml.safe_load(value)
    return files


def with_recipe(files: dict[str, dict[str, Any]], recipe: str | None) -> dict[str, dict[str, Any]]:
    """Return the models that have a recipe; without a recipe, all models.

    Raises:
        UserError: no model has the recipe.
    """
    from medcode.errors import UserError, nearest

    recipes = {name: file.get("recipes") or {} for name, file in files.items()}
    chosen = {name: file for name, file in files.items() if recipe is None or recipe in recipes[name]}
    if not chosen:
        names = {name for model_recipes in recipes.values() for name in model_recipes}
        raise UserError(f"--recipe: no model has '{recipe}'; {nearest(str(recipe), names)}")
    return chosen


def parse_heads(text: str) -> dict[str, int]:
    """Parse `icd=50,ccs=38`."""
    from medcode.errors import UserError

    heads = {}
    for part in text.split(","):
        head, equals, number = part.partition("=")
        if not (head and equals and number.isdecimal() and int(number) > 0):
            raise UserError(f"--labels: expected HEAD=NUMBER,..., for instance icd=50,ccs=38, found '{text}'")
        heads[head.strip()] = int(number)
    return heads
