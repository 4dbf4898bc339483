"""Every model at a small size, which keeps a test under a second, with notes, descriptions and edges as inputs."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plain_encoder
import pytest
import torch
from scipy import sparse
from torch import Tensor

from medcode import config, models
from medcode.codes.tree import Node
from medcode.config.models import ModelConfig
from medcode.config.recipes import model_settings
from medcode.encoders.outline import Encoder
from medcode.engine.device_data import DeviceNotes
from medcode.layers.code_edges import Edges
from medcode.models.base import Model
from medcode.models.catalog import default_recipe
from medcode.models.inputs import ModelInputs
from medcode.text.tokenization import PHRASE_END

FOLDER = Path(__file__).resolve().parents[2] / "configs/models"
ROWS, SIZE, HEADS = 50, 8, {"icd": 7, "category": 3}
# Of the rows but padding and unknown words. One ends a phrase, for models that read phrases.
VOCABULARY = [PHRASE_END if number == 38 else f"word{number * number}" for number in range(ROWS - 2)]

# Sizes that keep a model under a second; without an entry a model is tested at its published size.
SMALL = {
    "attentive_lstm": {"character_size": 6, "hidden": 8, "characters": 9, "words": 40},
    "bert_hier": {"chunk": 8, "upper_heads": 2, "upper_feed_forward": 16},
    "bert_trun": {"chunk": 64},
    "bigru": {"width": 16},
    "bigru_label_attention": {"hidden": 8},
    "c_memnn": {"text_size": "corpus", "title_size": 6, "slot_size": 9, "gate_size": 5, "stop_words": "kept"},
    "caml": {"filters": 8},
    "dcan": {"hidden": 8, "projection": 8},
    "dlac": {"chunk": 8, "title_size": 6},
    "dr_caml": {"filters": 8},
    "fusion": {"filters": 4, "kernels": [3, 5], "attention_heads": 2, "feed_forward": 16, "positions": 10},
    "gatedcnn_nci": {"hidden": 8},
    "hypercore": {"hyperbolic_size": 4, "poincare_epochs": 1, "poincare_negatives": 2},
    "jams": {
        "backbones": {
            "bert_hier": {
                "head": "label_attention", "attention_over": "chunks", "chunk": 8, "upper_layers": 1,
                "upper_heads": 2, "upper_feed_forward": 16,
            },
            "bigru_label_attention": {"hidden": 8, "bidirectional": True},
            "caml": {"filters": 8, "kernel": 10},
            "dcan": {"levels": 2, "hidden": 8, "projection": 8, "kernel": 2},
            "dr_caml": {"filters": 8, "kernel": 10, "description_weight": 1.0, "separate_description_table": False},
            "fusion": {
                "kernels": [3, 5], "filters": 4, "pooling": "soft", "window": 2, "transformer": True, "positions": 10,
                "attention_heads": 2, "feed_forward": 16, "attention": "code", "block_local": False,
            },
            "laat": {"rnn": "lstm", "hidden": 8, "projection": 6},
            "mt_ram": {"hidden": 8, "bidirectional": True, "ram": True},
            "multirescnn": {"filters": 4, "kernels": [3, 5], "variant": "edin"},
            "plm_icd": {"chunk": 8, "variant": "edin"},
        },
    },
    "joint_laat": {"hidden": 8, "projection": 8, "level_projection": 4},
    "laat": {"hidden": 8, "projection": 8},
    "marn": {"hidden": 8},
    "msatt_kg": {"filters": 8, "blocks": 2},
    "msmn": {"layers": 1, "hidden": 6, "features": 8, "terms": 4, "term_words": 3},
    "mt_ram": {"hidden": 8},
    "multirescnn": {"filters": 4, "kernels": [3, 5, 25]},
    "gki_icd": {"chunk": 8},
    "plm_ca": {"chunk": 8},
    "plm_icd": {"chunk": 8},
    "sentence_cls": {"chunk": 64},
}  # fmt: skip

# Options of a model that change what it computes; the contract holds for each.
VARIANTS = {
    "attentive_lstm": [{"selection": "hard"}],
    "bert_hier": [{"head": "fcn"}, {"attention_over": "tokens"}, {"upper_layers": 2}],
    "bert_trun": [{"head": "label_attention"}],
    "bigru": [{"bidirectional": True}, {"pooling": "max"}],
    "bigru_label_attention": [{"ram": True}],
    "c_memnn": [
        {"state": "averaged"},
        {"state": "last"},
        {"addressing": "softmax"},
        {"retrieval": "all"},
        {"title_size": "corpus"},
    ],
    "caml": [{"ram": True}, {"ram": True, "ram_position": "branches"}],
    "dcan": [{"levels": 1}, {"kernel": 3}],
    "dlac": [{"chunks": "averaged"}],
    "dr_caml": [{"separate_description_table": True}],
    "fusion": [
        {"pooling": "max"},
        {"attention": "document"},
        {"transformer": False},
        {"positions": 0},
        {"window": 3},
    ],
    "gatedcnn_nci": [{"label_vectors": "learned"}, {"trellis_init": "identity"}],
    "hypercore": [
        {"targets": "ancestors"},
        {"projected_queries": True},
        {"graph_layers": 1},
        {"convolution_init": "identity"},
    ],
    "jams": [
        {"backbone": "bert_hier"},
        {"backbone": "bigru_label_attention"},
        {"backbone": "dcan"},
        {"backbone": "dr_caml"},
        {"backbone": "fusion"},
        {"backbone": "laat"},
        {"backbone": "mt_ram"},
        {"backbone": "multirescnn"},
        {"backbone": "plm_icd"},
        {"renormalized": True},
        {"symmetric": True},
    ],
    "laat": [{"rnn": "gru"}],
    "msatt_kg": [{"titles": "mean"}, {"decision": "top_t"}, {"convolution_init": "tied"}],
    "msmn": [
        {"layers": 2, "hidden": 4},
        {"terms": 1},
        {"term_padding": "masked"},
        {"matching_init": "tied"},
        {"rdrop_weight": 0.0},
        {"rdrop": "bernoulli"},
    ],
    "mt_ram": [{"ram_combine": "add"}, {"ram_position": "branches"}],
    "multirescnn": [{"variant": "edin"}, {"ram": True}],
    "gki_icd": [{"output": "shared"}],
    "plm_ca": [{"output": "per_label"}, {"output": "per_label", "queries": "titles"}],
    "plm_icd": [{"variant": "edin"}],
}

every_model = pytest.mark.parametrize("name", models.names())
every_variant = pytest.mark.parametrize(
    ("name", "variant"),
    [(name, variant) for name in models.names() for variant in [{}, *VARIANTS.get(name, [])]],
    ids=lambda value: ",".join(f"{key}={x}" for key, x in value.items()) if isinstance(value, dict) else value,
)


@functools.cache
def file(name: str) -> dict:
    """Return the content of a model's configuration file."""
    return config.read_yaml(FOLDER / f"{name}.yaml")


def settings(
    name: str, recipe: str | None = None, label_set: str = "top50", options: dict | None = None
) -> config.ModelSettings:
    """Return a model and a recipe, by default the published one, with some options changed, those of the recipe too."""
    content, changes = file(name), options or {}
    recipe = recipe or default_recipe(content["recipes"])
    chosen = content["recipes"][recipe]
    kept = {key: value for key, value in chosen.get("options", {}).items() if key not in changes}
    recipes = content["recipes"] | {recipe: chosen | {"options": kept}}
    changed = content | {"options": content["options"] | changes, "recipes": recipes}
    return model_settings(changed, f"{name}.yaml", name, recipe, label_set)


def options(name: str, **changes) -> ModelConfig:
    return settings(name, options=SMALL.get(name)).config.model_copy(update=changes)


def uses_subwords(name: str) -> bool:
    return options(name).uses_subwords


def encoder(model_config: ModelConfig) -> Encoder | None:
    """Return a tiny encoder of the architecture that a model was published with."""
    size = model_config.published_encoder
    return plain_encoder.tiny(size.split("-")[0], ROWS) if size else None


def build(name: str, seed: int = 0, heads: dict[str, int] | None = None, **changes) -> Model:
    torch.manual_seed(seed)
    heads, model_cls, model_config = heads or HEADS, models.find(name), options(name, **changes)
    vectors = torch.randn(ROWS, SIZE)
    text = {"vocab_size": ROWS, "vectors": vectors, "vocabulary": VOCABULARY}
    if model_config.uses_subwords:
        text = {"encoder": encoder(model_config)}
    model = model_cls(model_config, ModelInputs(heads=heads, **text, **label_inputs(model_config, heads))).eval()
    model.before_training()
    return model.eval()


def label_inputs(model_config: ModelConfig, heads: dict[str, int]) -> dict[str, Any]:
    """Return what a model needs of its labels and of the training documents, by the fields of `ModelInputs`."""
    makers = {
        "descriptions": descriptions,
        "titles": titles,
        "terms": terms,
        "tree": tree,
        "cooccurrence": cooccurrence,
        "edges": edges,
        "train_documents": lambda _: train_documents(),
    }
    needed = {need: make(heads) for need, make in makers.items() if getattr(model_config, f"needs_{need}")}
    return needed | {"tokenize": tokenize}


def tokenize(texts: Sequence[str]) -> list[np.ndarray]:
    """Split texts at blanks; the id of a word is a number that depends on its letters alone."""
    return [np.array([1 + zlib.crc32(word.encode()) % (ROWS - 1) for word in text.split()], np.int32) for text in texts]


def titles(heads: dict[str, int]) -> dict[str, list[str]]:
    """Return titles of two words; the last label of a head has none."""
    return {head: [f"disease {head}{number}" for number in range(labels - 1)] + [""] for head, labels in heads.items()}


def terms(heads: dict[str, int]) -> dict[str, list[list[str]]]:
    """Return no, one or two synonyms of each label."""
    return {
        head: [[f"synonym{n} of {number}" for n in range(number % 3)] for number in range(labels)]
        for head, labels in heads.items()
    }


def tree(heads: dict[str, int]) -> dict[str, list[tuple[Node, ...]]]:
    """Return paths in which two labels each have one category, and all one chapter without blocks.

    The first label is the category of the second.
    """

    def path(head: str, number: int) -> tuple[Node, ...]:
        category = f"{number // 2:03}"
        chapter = Node("chapter", "icd9cm", "001-139", f"chapter of {head}")
        above = chapter, Node("category", "icd9cm", category, f"category {number // 2}")
        code = Node("code", "icd9cm", f"{category}.{number % 2}", f"disease {head}{number}")
        return (*above, code) if number else above

    return {head: [path(head, number) for number in range(labels)] for head, labels in heads.items()}


def cooccurrence(heads: dict[str, int]) -> dict[str, sparse.csr_matrix]:
    """Return counts of labels in some random documents."""
    gold = {head: x.long().numpy() for head, x in random_gold(30, heads).items()}
    return {head: sparse.csr_matrix(x.T @ x) for head, x in gold.items()}


def edges(heads: dict[str, int]) -> dict[str, Edges]:
    """Return edges from each label of a head to one or two of the other; every third label has approximate ones."""
    first, second = heads
    links = {}
    for head, other in ((first, second), (second, first)):
        codes = torch.arange(heads[head]).repeat_interleave(2)
        pairs = torch.stack([codes, (codes + torch.arange(len(codes)) % 2) % heads[other]]).unique(dim=1)
        links[head] = Edges(pairs[0], pairs[1], torch.where(pairs[0] % 3 == 0, 0.5, 1.0))
    return links


def descriptions(heads: dict[str, int]) -> dict[str, Tensor]:
    """Return descriptions of two to five words for each label."""
    generator = torch.Generator().manual_seed(2)
    words = {head: torch.randint(1, ROWS, (labels, 5), generator=generator) for head, labels in heads.items()}
    for of_head in words.values():
        for number, row in enumerate(of_head):
            row[2 + number % 4 :] = 0
    return words


def train_documents() -> DeviceNotes:
    """Return 40 documents in which every word and many pairs of words occur, each in more than one."""
    random = np.random.default_rng(4)
    tokens = np.concatenate([random.permutation(np.arange(1, ROWS, dtype=np.int32)) for _ in range(40)])
    starts = np.arange(40) * (ROWS - 1)
    return DeviceNotes(tokens, np.stack([starts, starts + ROWS - 1], 1), ROWS, torch.device("cpu"))


def random_gold(notes: int, heads: dict[str, int]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {head: (torch.rand(notes, labels, generator=generator) < 0.4).float() for head, labels in heads.items()}


def notes(lengths: list[int], padded: int | None = None, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return random notes, the same for the same seed whatever their padding."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(len(lengths), padded or max(1, *lengths), dtype=torch.long)
    for row, length in enumerate(lengths):
        tokens[row, :length] = torch.randint(1, ROWS, (length,), generator=generator)
    return tokens, torch.tensor(lengths)
