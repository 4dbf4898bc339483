"""Optional initialization of label vectors and output biases from label descriptions and training frequencies.

Descriptions can be training documents too (recipe keys `label_init`, `label_biases`, `description_documents`). All of
it helps where training documents are few.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from medcode.config import Recipe
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.engine.batches import scoring_batches
from medcode.engine.device_data import DeviceNotes
from medcode.engine.transfer import to_device
from medcode.errors import UserError
from medcode.layers.word_embedding import PAD
from medcode.models.base import LabelAttentionHeads, Model
from medcode.text.tokenization import text_of
from medcode.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from medcode.encoders.subwords import SubwordTokenizer

# The attention score of words that equal a label's description, and what they add to its logit. Chosen on CodiEsp's dev
# documents, for words and subwords alike.
QUERY_SCALE, OUTPUT_SCALE = 20.0, 5.0
# The scale of output vectors where no softmax stands between label and words, whose products are summed over the whole
# document (GatedCNN-NCI). Chosen on the embedded corpus' dev documents.
INTERACTION_SCALE = 0.075
AT_A_TIME = 256
# Training documents, and their number in a batch, that batch normalization is estimated on.
STATISTICS_DOCUMENTS, STATISTICS_BATCH = 128, 16

# The description of each label, by head: ids of its words or subwords without the unknown ones, int64 [T]; T may be 0.
Descriptions = dict[str, list[np.ndarray]]


def initialize(model: Model, recipe: Recipe, data: Inputs, descriptions: Descriptions) -> None:
    """Initialize a model in place: what it starts from itself, then label vectors and output biases by the recipe.

    Args:
        model: on its device, with the random weights of its class.
        recipe: `label_init` and `label_biases`.
        data: with the training split.
        descriptions: of the labels; read if label vectors start from them.

    Raises:
        UserError: the model does not have the weights that would be set.
    """
    model.before_training()
    if recipe.label_init == "descriptions":
        estimate_batch_statistics(model, data, recipe.max_tokens)
        start_from_descriptions(model, descriptions)
    if recipe.label_biases == "log_odds":
        for head in model.heads:
            documents = int(data.splits["train"].targets[head].is_coded.sum())
            start_from_frequencies(model, head, data.example_counts(head), documents)


def start_from_frequencies(model: Model, head: str, counts: np.ndarray, documents: int) -> None:
    """Set each output bias to the log odds of its label among the training documents, log (n + 1/2) / (N - n + 1/2).

    Args:
        counts: n of each label, [Y].
        documents: N.

    Raises:
        UserError: the model has no output bias of each label.
    """
    n = torch.from_numpy(counts).double()
    bias, factor = _output_bias(model, head)
    with torch.no_grad():
        bias.copy_(torch.log((n + 0.5) / (documents - n + 0.5)) / factor)


def _output_bias(model: Model, head: str) -> tuple[Tensor, float]:
    """Return the output biases of a head, and the factor with which they enter the logits."""
    if (backbone := getattr(model, "backbone", None)) is not None:  # its one head has the labels of all heads
        (attention,) = backbone.attention.values()
        biases = dict(zip(model.heads, attention.output.bias.split(list(model.heads.values())), strict=True))
        return biases[head], 1.0
    if (interaction := getattr(model, "interaction", None)) is not None:
        projection = interaction[head].projection.weight
        if (projection != 1).any():  # a random sum may be near zero
            raise UserError(
                f"recipe: label_biases: log_odds goes with label_init: descriptions in {type(model).__name__}, which "
                "projects the biases; set both, or neither"
            )
        return interaction[head].output.bias, float(projection.numel())
    attention, output = getattr(model, "attention", None), getattr(model, "output", None)
    layer = output[head] if output is not None else getattr(attention[head], "output", None) if attention else None
    if layer is None or len(layer.bias) != model.heads[head]:  # PLM-CA may have one bias for all labels
        raise UserError(
            f"recipe: label_biases: log_odds is for models whose logits have a bias for each label, but "
            f"{type(model).__name__} has none with these options; set label_biases: random"
        )
    return layer.bias, 1.0


@torch.no_grad()
def estimate_batch_statistics(model: Model, data: Inputs, max_tokens: int) -> None:
    """Set the running statistics of batch normalization to those of training documents, in place.

    They begin at mean 0 and variance 1. With these the model would encode descriptions otherwise than it encodes the
    documents of its first step, so that what starts from descriptions would fit no document.

    Args:
        model: on its device, with its initial weights. Left in training mode. Unchanged without batch normalization.
        data: its first training documents are read, without their labels.
        max_tokens: truncates each document to so many tokens.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    if not norms:
        return
    offsets = data.splits["train"].offsets[:STATISTICS_DOCUMENTS]
    notes = DeviceNotes(data.tokens, offsets, max_tokens, next(model.parameters()).device)
    momenta = [norm.momentum for norm in norms]
    model.eval()  # without dropout
    for norm in norms:
        norm.train()
    for n_batches, batch in enumerate(scoring_batches(notes.lengths, STATISTICS_BATCH, padding=True), 1):
        for norm in norms:
            norm.momentum = 1 / n_batches  # the mean over the batches
        model(*notes.gather(to_device(batch.documents, notes.device), batch.length))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train()


@torch.no_grad()
def start_from_descriptions(model: Model, descriptions: Descriptions) -> None:
    """Initialize the query and the output vector of each label from its description, in place.

    Labels without a description stay as they are.

    The model encodes the description as it encodes a document, with its initial weights. The mean of the attention keys
    becomes the query, the mean of the features the output vector. So from the first step the label attends to words
    like those of its description, whatever the encoder. The mean over all descriptions is subtracted first. Vectors are
    scaled so that words that match in full score QUERY_SCALE and add OUTPUT_SCALE. Keys that are a projection of the
    features (LAAT) are scaled to use the range of their tanh, else the queries would have to be too large to learn.

    Args:
        model: on its device, with its initial weights.
        descriptions: of the labels of every head of the model.

    Raises:
        UserError: the model has no label attention on features of words.
    """
    network, descriptions = _joined_heads(model, descriptions)
    heads = _layers_on_features(network)
    attends = isinstance(network, LabelAttentionHeads)
    device = next(model.parameters()).device
    model.eval()
    for head, attention in heads.items():
        of_head = descriptions[head]
        has_description = torch.tensor([len(ids) > 0 for ids in of_head], device=device)
        if not has_description.any():
            continue
        batches = _description_batches([ids for ids in of_head if len(ids)], device)
        if attends and hasattr(attention, "projection"):
            _scale_projection(network, attention.projection, batches)
        queries, outputs = _description_vectors(network, attention, batches)
        if network is not model:
            model.codes.set_vectors(has_description, QUERY_SCALE * queries)
        elif attends:
            attention.queries.weight[has_description] = QUERY_SCALE * queries
        else:  # its queries are the mean word vectors of the descriptions from the start
            attention.projection.weight.fill_(1.0)
        dimensions = torch.arange(outputs.shape[1], device=device)
        scale = OUTPUT_SCALE if attends else INTERACTION_SCALE
        attention.output.weight[has_description.nonzero(), dimensions] = scale * outputs
    model.train()


def _joined_heads(model: Model, descriptions: Descriptions) -> tuple[Model, Descriptions]:
    """Return the model with the features, and descriptions by its heads: JAMS joins the labels of its two into one."""
    if (backbone := getattr(model, "backbone", None)) is None:
        return model, descriptions
    (joined,) = backbone.heads
    return backbone, {joined: [ids for head in model.heads for ids in descriptions[head]]}


def _layers_on_features(model: Model) -> nn.ModuleDict | dict[str, nn.Module]:
    """Return the layers that compare labels with features, by head."""
    heads = model.attention if isinstance(model, LabelAttentionHeads) else getattr(model, "interaction", {})
    # By attribute, not by class: naming the layers would make every training depend on layers that its model lacks.
    if not heads or not all(hasattr(attention, "keys") for attention in heads.values()):
        raise UserError(
            "recipe: label_init: descriptions is for models with label attention, but "
            f"{type(model).__name__} has none with these options; set label_init: random"
        )
    return heads


def _description_batches(descriptions: list[np.ndarray], device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Return the descriptions as batches of tokens, int64 [Y, T], and lengths, int64 [Y]."""
    ids_of = [torch.from_numpy(ids) for ids in descriptions]
    tokens = pad_sequence(ids_of, batch_first=True, padding_value=PAD).to(device)
    lengths = torch.tensor([len(ids) for ids in descriptions], device=device)
    return list(zip(tokens.split(AT_A_TIME), lengths.split(AT_A_TIME), strict=True))


def _scale_projection(model: Model, projection: nn.Linear, batches: list[tuple[Tensor, Tensor]]) -> None:
    """Scale a projection in place so that its outputs on the descriptions have a root mean square of one."""
    squares, values = 0.0, 0
    for tokens, lengths in batches:
        features, real = model.features(tokens, lengths)
        projected = projection(features if real is None else features[real])
        squares, values = squares + projected.square().sum().item(), values + projected.numel()
    projection.weight.div_((squares / values) ** 0.5)


def _description_vectors(
    model: Model, attention: nn.Module, batches: list[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Return keys and features of Y descriptions, each a mean over the description's positions: [Y, keys], [Y, D]."""
    means, norms = [], []
    for tokens, lengths in batches:
        features, real = model.features(tokens, lengths)  # [Y, P, D]
        keys = attention.keys(features)
        weights = features.new_ones(features.shape[:2]) if real is None else real.float()
        weights = (weights / weights.sum(1, keepdim=True)).unsqueeze(1)  # [Y, 1, P]
        means.append([(weights @ values).squeeze(1) for values in (keys, features)])
        norms.append([(weights @ values.norm(dim=2, keepdim=True)).flatten() for values in (keys, features)])
    vectors = [torch.cat(batches) for batches in zip(*means, strict=True)]
    mean_norms = [torch.cat(batches).mean() for batches in zip(*norms, strict=True)]
    centered = [values - values.mean(0) if len(values) > 1 else values for values in vectors]
    keys, features = (
        nn.functional.normalize(values, dim=1) / norm for values, norm in zip(centered, mean_norms, strict=True)
    )
    return keys, features


def label_descriptions(data: Inputs, heads: Iterable[str], tokenizer: SubwordTokenizer | None = None) -> Descriptions:
    """Return the descriptions of the labels of some heads as ids, without padding and unknown words.

    Args:
        data: with descriptions, for a model on words.
        heads: names of the heads.
        tokenizer: tokenizes descriptions as notes, for a model on subwords; None for a model on words.
    """
    if tokenizer is None:
        unknown = Vocabulary(data.vocabulary).unknown
        return {
            head: [ids[(ids != PAD) & (ids != unknown)].astype(np.int64) for ids in data.descriptions[head]]
            for head in heads
        }
    texts = {
        head: [text_of(label["description"], tokenizer.text, data.rule) for label in data.labels[head]]
        for head in heads
    }
    return {
        head: [ids[ids != tokenizer.unknown].astype(np.int64) for ids in tokenizer(of_head)]
        for head, of_head in texts.items()
    }


def with_description_documents(data: Inputs, descriptions: Descriptions) -> Inputs:
    """Return inputs with the description of each label as one more training document, coded with that label alone.

    An empty description makes no document. In the other heads the document counts as uncoded.

    Args:
        data: its tokens are words or subwords, as the descriptions are.
        descriptions: of the labels of the heads to train.
    """
    tokens, train = [data.tokens], data.splits["train"]
    for head, of_head in descriptions.items():
        lengths = np.array([len(ids) for ids in of_head], dtype=np.int64)
        labels = np.flatnonzero(lengths)
        ends = sum(map(len, tokens)) + np.cumsum(lengths[labels])
        tokens.append(np.concatenate(of_head).astype(data.tokens.dtype))
        train = _joined(train, head, labels, np.stack([ends - lengths[labels], ends], axis=1))
    return replace(data, tokens=np.concatenate(tokens), splits=data.splits | {"train": train})


def _joined(train: Split, head: str, labels: np.ndarray, offsets: np.ndarray) -> Split:
    targets = {}
    for name, of_documents in train.targets.items():
        n_labels = of_documents.matrix.shape[1]
        of_descriptions = (
            Targets.of_single_labels(labels, n_labels) if name == head else Targets.uncoded(len(labels), n_labels)
        )
        targets[name] = of_documents.joined(of_descriptions)
    return Split(
        documents=[*train.documents, *(f"description of {head} {label}" for label in labels)],
        offsets=np.concatenate([train.offsets, offsets]),
        targets=targets,
        spans=train.spans,
        n_descriptions=train.n_descriptions + len(labels),
    )
