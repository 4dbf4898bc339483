"""`new-model`: write the three files of a new model: a small model that trains and satisfies the model contract."""

from __future__ import annotations

import argparse
import keyword
import re
from pathlib import Path

OPTIONS = "src/medcode/config/models"
NETWORK = "src/medcode/models"
RECIPES = "configs/models"

OPTIONS_TEXT = '''"""Options of {class_name}."""

from __future__ import annotations

from typing import ClassVar

from medcode.config.models.base import ModelConfig
from medcode.config.section import Width


class {class_name}Config(ModelConfig):
    """Options of {class_name}: `hidden` is the number of features of each word."""

    shares_features: ClassVar[bool] = True

    hidden: Width
'''

NETWORK_TEXT = '''"""{class_name}: one linear layer on each word, and label attention on its features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.{name} import {class_name}Config
from medcode.layers.label_attention import label_attention_heads
from medcode.models.base import LabelAttentionModel
from medcode.models.inputs import ModelInputs


class {class_name}(LabelAttentionModel):
    """{class_name}, a model of no publication.

        h_n = tanh(W dropout(x_n) + b)
        a_y = softmax_n(u_y . h_n),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args: see `WordModel`; config: hidden, the number of rows of W.

    Shapes: int [B, N], int [B] -> {{head: [B, Y]}}; attention {{head: [B, Y, N]}}.
    """

    paper = None
    Config = {class_name}Config

    def __init__(self, config: {class_name}Config, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.projection = nn.Linear(self.embedding_size, config.hidden)
        self.attention = label_attention_heads(config.hidden, self.heads)

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        features = torch.tanh(self.projection(self.embedding(tokens)))  # [B, N, D]
        return features, self.real_positions(lengths, tokens.shape[1])
'''

RECIPES_TEXT = """# {class_name}: a model of no publication
# dvc exp run -S model={name}
options:
  hidden: 100
recipes:
  quick:
    learning_rate: 0.003
    batch_size: 16
    epochs: 10
    patience: 3
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("new-model", help="write the three files of a new model, to be filled in")
    parser.add_argument("name", help="lower case, digits and underscores: the name of the files")
    parser.add_argument("--root", type=Path, default=Path(), help="the project (default: the working directory)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the files and print their paths.

    Raises:
        UserError: the name is not a valid module name or is taken, or the project is missing.
    """
    for path in write(arguments.root, arguments.name):
        print(path)


def write(root: Path, name: str) -> list[Path]:
    """Write the files of a model: its options, its network and its recipes.

    Args:
        root: the project.
        name: name of the model.

    Returns:
        The paths of the files.

    Raises:
        UserError: see `run`; no file is written.
    """
    from medcode import io
    from medcode.errors import UserError

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(
            f"new-model: '{name}' is not a valid module name: lower case, digits and underscores, a letter first"
        )
    for folder in (OPTIONS, NETWORK, RECIPES):
        if not (root / folder).is_dir():
            raise UserError(f"{root / folder}: no such folder; run this in the folder of the project")
    files = {
        root / OPTIONS / f"{name}.py": OPTIONS_TEXT,
        root / NETWORK / f"{name}.py": NETWORK_TEXT,
        root / RECIPES / f"{name}.yaml": RECIPES_TEXT,
    }
    for path in files:
        if path.exists() or path.with_suffix("").is_dir():
            raise UserError(f"{path}: already exists; choose another name")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    for path, text in files.items():
        io.write_text(path, text.format(name=name, class_name=class_name))
    return list(files)
