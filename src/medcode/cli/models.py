"""`models`: lists the models with their papers and parameter counts, without data or weights."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medcode.config import ModelBlock

SMALL_LABEL_SET = 100
ENCODERS = ("bert-base-cased", "bert-base-uncased", "roberta-base", "roberta-base-pm")
QUICK, PUBLISHED = "quick", "published"
MIMIC3_LABELS = {
    "top50": {"icd": 50, "category": 40, "ccs": 38},
    "full": {"icd": 8_921, "category": 1_149, "ccs": 295},
}
MIMIC4_LABELS = {"icd9": 6_150, "icd10": 7_942}  # of models that have both heads; there are no 50 of each


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser("models", help="list the models with their parameter counts")
    parser.add_argument("--params", default="params.yaml", help="settings of the models (default: %(default)s)")
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
    parser.add_argument(
        "--recipe", help=f"which training of each model (default: {PUBLISHED}, or the first after quick)"
    )
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
    """Prints the list.

    Raises:
        UserError: an argument or params.yaml is wrong.
    """
    from medcode import models
    from medcode.errors import UserError, nearest

    if arguments.name is not None and arguments.name not in models.names():
        raise UserError(f"--name: there is no model '{arguments.name}'; {nearest(arguments.name, models.names())}")
    if arguments.vocabulary < 2:
        raise UserError(f"--vocabulary: at least 2 rows, PAD and UNK, found {arguments.vocabulary}")
    heads = parse_heads(arguments.labels)
    label_set = arguments.label_set or ("top50" if max(heads.values()) <= SMALL_LABEL_SET else "full")
    raw = changed(arguments.params, arguments.changes)
    names = [arguments.name] if arguments.name else with_recipe(raw, arguments)
    if arguments.format == "markdown":
        from medcode.cli.model_page import page

        print(page(names, raw, arguments), end="")
        return
    listed = [describe(name, raw, arguments, heads, label_set) for name in names]
    if arguments.format == "json":
        print(json.dumps(listed, indent=2))
        return
    width = max(len(item["name"]) for item in listed)
    print(f"{'model':<{width}}  {'parameters':>12}  {'trainable':>12}  description")
    for item in listed:
        print(
            f"{item['name']:<{width}}  {item['parameters']:>12,}  {item['trainable']:>12,}  "
            f"{item['description']} ({item['paper']})"
        )


def describe(
    name: str, raw: dict[str, Any], arguments: argparse.Namespace, heads: dict[str, int], label_set: str
) -> dict[str, Any]:
    """Builds a model without memory for its weights, and counts them."""
    import torch

    from medcode import models
    from medcode.errors import UserError, nearest
    from medcode.models.base import Basis, count_parameters

    block = block_of(name, raw, arguments, label_set)
    recipe = arguments.recipe or default_recipe(block)
    if recipe not in block.training:
        raise UserError(f"--recipe: {name} has no '{recipe}'; {nearest(recipe, block.training)}")
    options = models.configure(name, block.architecture, block.training[recipe], arguments.params)
    kind = models.find(name)
    if not heads.keys() & set(options.heads):  # the heads named are those of other models
        heads = {}
    usual = MIMIC3_LABELS[label_set] | MIMIC4_LABELS
    heads = {head: usual[head] for head in options.heads if head not in heads} | heads
    basis = Basis(arguments.vocabulary)
    if (size := kind.published_encoder(options)) is not None:
        from medcode.encoders.outline import PUBLISHED_SIZES

        basis = Basis(encoder=PUBLISHED_SIZES[arguments.encoder or size])
    with torch.device("meta"):
        counts = count_parameters(kind.build(options, basis, heads))
    summary = (sys.modules[kind.__module__].__doc__ or "").strip().splitlines()[0]
    return {
        "name": name,
        "paper": kind.paper,
        "description": summary.split(": ", 1)[-1].rstrip("."),
        "parameters": counts["total"],
        "trainable": counts["trainable"],
    }


def default_recipe(block: ModelBlock) -> str:
    """The recipe `published`; of a model that has none of that name, the first that is not ours."""
    return PUBLISHED if PUBLISHED in block.training else next(name for name in block.training if name != QUICK)


def with_recipe(raw: dict[str, Any], arguments: argparse.Namespace) -> list[str]:
    """The models that have the recipe asked for; all where none was.

    Raises:
        UserError: there is none.
    """
    from medcode import models
    from medcode.errors import UserError, nearest

    recipes = {name: block_of(name, raw, arguments, "top50").training for name in models.names()}
    names = [name for name, own in recipes.items() if arguments.recipe is None or arguments.recipe in own]
    if not names:
        known = {recipe for own in recipes.values() for recipe in own}
        raise UserError(f"--recipe: no model has '{arguments.recipe}'; {nearest(arguments.recipe, known)}")
    return names


def block_of(name: str, raw: dict[str, Any], arguments: argparse.Namespace, label_set: str) -> ModelBlock:
    """The block of a model in params.yaml, for a label set.

    Raises:
        UserError: there is no such block.
    """
    from medcode import config
    from medcode.errors import UserError

    params = config.build(config.Params, config.for_label_set(raw, label_set), arguments.params)
    if name not in params.models:
        raise UserError(f"{arguments.params}: models.{name}: missing; every model has a block")
    return params.models[name]


def parse_heads(text: str) -> dict[str, int]:
    """Reads `icd=50,ccs=38`."""
    from medcode.errors import UserError

    heads = {}
    for part in text.split(","):
        head, equals, number = part.partition("=")
        if not (head and equals and number.isdecimal() and int(number) > 0):
            raise UserError(f"--labels: expected HEAD=NUMBER,..., for instance icd=50,ccs=38, found '{text}'")
        heads[head.strip()] = int(number)
    return heads


def changed(path: str, changes: list[str]) -> dict[str, Any]:
    """Reads params.yaml and applies `--set` to the options and recipes of its models."""
    import yaml

    from medcode import config
    from medcode.errors import UserError, nearest

    raw = config.read_yaml(path)
    for change in changes:
        key, equals, value = change.partition("=")
        name, *rest = key.split(".")
        blocks = raw.get("models", {})
        if not equals or not rest:
            raise UserError(f"--set: expected MODEL.KEY=VALUE, for instance caml.filters=100, found '{change}'")
        if name not in blocks:
            raise UserError(f"--set: there is no model '{name}'; {nearest(name, blocks)}")
        section = blocks[name]
        for part in rest[:-1]:
            section = section.setdefault(part, {})
        section[rest[-1]] = yaml.safe_load(value)
    return raw
