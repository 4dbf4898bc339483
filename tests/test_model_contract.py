"""What every model keeps, whatever its architecture. A new model is picked up by itself."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import plain_encoder
import pytest
import torch
from torch import Tensor, nn

from medcode import config, model_folder, models
from medcode.encoders.outline import PUBLISHED_SIZES, Encoder
from medcode.encoders.pieces import PieceTokenizer
from medcode.layers import fused_attention
from medcode.layers.medical_code_attention import Edges
from medcode.models.base import Basis, Model, count_parameters
from medcode.training.optimisation import head_losses, weigh

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"
ROWS, SIZE, HEADS = 50, 8, {"icd": 7, "category": 3}
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}

# Sizes that keep a model under a second; without an entry a model is tested at its published size.
SMALL = {
    "bert_hier": {"chunk": 8, "upper_heads": 2, "upper_feed_forward": 16},
    "bert_trun": {"chunk": 64},
    "bigru": {"width": 16},
    "bigru_label_attention": {"hidden": 8},
    "caml": {"filters": 8},
    "dcan": {"hidden": 8, "projection": 8},
    "dr_caml": {"filters": 8},
    "fusion": {"filters": 4, "kernels": [3, 5], "attention_heads": 2, "feed_forward": 16, "positions": 10},
    "gatedcnn_nci": {"hidden": 8},
    "jams": {
        "backbones": {
            "caml": {"filters": 8, "kernel": 10},
            "dr_caml": {"filters": 8, "kernel": 10, "description_weight": 1.0, "separate_description_table": False},
            "laat": {"rnn": "lstm", "hidden": 8, "projection": 6},
            "multirescnn": {"filters": 4, "kernels": [3, 5], "variant": "edin"},
            "plm_icd": {"chunk": 8, "variant": "edin"},
        },
    },
    "joint_laat": {"hidden": 8, "projection": 8, "level_projection": 4},
    "laat": {"hidden": 8, "projection": 8},
    "marn": {"hidden": 8},
    "mt_ram": {"hidden": 8},
    "multirescnn": {"filters": 4, "kernels": [3, 5, 25]},
    "plm_icd": {"chunk": 8},
}

# Options of a model that change what it computes; the contract holds for each.
VARIANTS = {
    "bert_hier": [{"head": "fcn"}, {"attention_over": "tokens"}, {"upper_layers": 2}],
    "bert_trun": [{"head": "label_attention"}],
    "bigru": [{"bidirectional": False}],
    "bigru_label_attention": [{"ram": True}],
    "caml": [{"ram": True}, {"ram": True, "ram_position": "branches"}],
    "dcan": [{"levels": 1}, {"kernel": 3}],
    "dr_caml": [{"separate_description_table": True}],
    "fusion": [
        {"pooling": "max"},
        {"attention": "document"},
        {"transformer": False},
        {"positions": 0},
        {"window": 3},
    ],
    "gatedcnn_nci": [{"label_vectors": "learned"}],
    "jams": [
        {"backbone": "dr_caml"},
        {"backbone": "laat"},
        {"backbone": "multirescnn"},
        {"backbone": "plm_icd"},
        {"renormalised": True},
        {"symmetric": True},
    ],
    "laat": [{"rnn": "gru"}],
    "mt_ram": [{"ram_combine": "add"}, {"ram_position": "branches"}],
    "multirescnn": [{"variant": "edin"}, {"ram": True}],
    "plm_icd": [{"variant": "edin"}],
}

# Parameters that no loss reaches, and why.
WITHOUT_GRADIENT = {
    "queries.bias": "the bias of the queries shifts all scores of a label alike; kept to count as published",
    "pooler.dense.weight": "nothing reads BERT's pooler; kept to count as published",
    "pooler.dense.bias": "likewise",
}

# Options with which pads can make a difference at all.
PADS_MATTER = {"bert_trun": {"head": "label_attention"}}

# Learning rate of the notes learned by heart, where it is not 0.02.
LEARNING_RATE = {"bert_hier": 0.003, "bert_trun": 0.003, "plm_icd": 0.003}

# Parameters that are never trained, besides word vectors where they are static, and why.
NOT_TRAINED = {
    "positions.table": "sinusoids",
    "queries.weight": "the mean word vectors of descriptions (GatedCNN-NCI)",
}

# Parameters in all with 51,919 embedding rows: {labels: count}, or {(labels, categories): count}.
PUBLISHED_COUNTS = {
    "bert_hier": {50: 113_901_156, 8_921: 127_544_754},
    "bert_trun": {50: 108_348_722, 8_921: 115_170_521},
    "bigru": {50: 5_767_438, 3_681: 7_630_141, 6_150: 8_896_738, 7_942: 9_816_034, 8_921: 10_318_261},
    "bigru_label_attention": {50: 5_975_600, (50, 38): 6_021_276, 8_921: 16_638_542, (8_921, 295): 16_993_132},
    "caml": {
        50: 5_247_050, (50, 38): 5_250_926, 3_681: 5_617_412, 6_150: 5_869_250, 7_942: 6_052_034,
        8_921: 6_151_892, 8_922: 6_151_994, 8_929: 6_152_708, 8_930: 6_152_810,
    },
    "cnn": {50: 5_417_450, 3_681: 7_236_581, 6_150: 8_473_550, 7_942: 9_371_342, 8_921: 9_861_821},
    "dcan": {50: 9_190_100, 8_921: 14_530_442},
    "dr_caml": {50: 5_299_650, 8_921: 6_204_492},
    "fusion": {50: 8_313_424, 8_921: 13_653_766},
    "gatedcnn_nci": {50: 7_603_700},
    "jams": {(6_150, 7_942): 6_665_342},
    "joint_laat": {(50, 40): 6_267_958, (8_921, 1_149): 25_521_970},
    "laat": {
        50: 6_094_606, 3_681: 13_888_829, 6_150: 17_683_682, 7_942: 20_437_986, 8_921: 21_942_709, 8_929: 21_955_005,
    },
    "marn": {50: 9_154_100, (50, 38): 9_199_776, 8_921: 19_817_042, (8_921, 295): 20_171_632},
    "mt_ram": {50: 9_154_100, (50, 38): 9_199_776, 8_921: 19_817_042, (8_921, 295): 20_171_632},
    "multirescnn": {
        50: 6_584_400, (50, 38): 6_607_276, 8_921: 11_924_742, (8_921, 295): 12_102_332, 8_922: 11_925_344,
    },
    "plm_icd": {
        50: 124_524_338, 3_681: 130_105_185, 6_150: 133_900_038, 7_942: 136_654_342, 8_921: 138_159_065,
    },
}  # fmt: skip

# The same for variants: (model, options, labels, count).
PUBLISHED_VARIANTS = [
    ("bigru", {"bidirectional": False}, 50, 6_160_654),
    ("bigru_label_attention", {"bidirectional": False}, 50, 5_583_800),
    ("bigru_label_attention", {"bidirectional": False}, (50, 38), 5_606_676),
    ("bigru_label_attention", {"bidirectional": False, "ram": True}, (50, 38), 6_402_801),
    ("bigru_label_attention", {"ram": True}, 50, 9_154_100),
    ("bigru_label_attention", {"ram": True}, (50, 38), 9_199_776),
    ("bigru_label_attention", {"ram": True}, 8_921, 19_817_042),
    ("bigru_label_attention", {"ram": True}, (8_921, 295), 20_171_632),
    ("caml", {"ram": True}, 50, 5_269_392),
    ("caml", {"ram": True}, (50, 38), 5_273_268),
    ("caml", {"ram": True, "ram_combine": "add"}, (50, 38), 5_273_268),
    ("caml", {"ram": True, "ram_position": "branches"}, (50, 38), 5_273_268 + 22_342),
    ("dcan", {"levels": 1}, 50, 6_305_300),
    ("dcan", {"levels": 2}, 50, 7_747_700),
    ("dcan", {"levels": 4}, 50, 10_632_500),
    ("dcan", {"levels": 1}, 8_921, 11_645_642),
    ("dcan", {"levels": 2}, 8_921, 13_088_042),
    ("dcan", {"levels": 4}, 8_921, 15_972_842),
    ("dr_caml", {"separate_description_table": True}, 50, 10_491_550),
    ("dr_caml", {"faithful": True}, 8_921, 11_396_392),
    ("fusion", {"transformer": False}, 50, 6_585_000),
    ("fusion", {"transformer": False}, 8_921, 11_925_342),
    ("fusion", {"pooling": "max"}, 50, 8_313_424 - 600),
    ("gatedcnn_nci", {"hidden": 400, "kernel": 2}, 50, 7_604_100),
    ("gatedcnn_nci", {"hidden": 200, "kernel": 5}, 50, 7_603_300),
    ("jams", {"backbone": "multirescnn"}, (6_150, 7_942), 15_023_592),
    ("jams", {"backbone": "laat"}, (6_150, 7_942), 29_891_560),
    ("laat", {"hidden": 512, "projection": 512}, 50, 8_307_982),
    ("mt_ram", {"bidirectional": False}, (50, 38), 6_402_801),
    ("mt_ram", {"ram": False}, (50, 38), 6_021_276),
    ("multirescnn", {"ram": True}, 50, 7_380_525),
    ("multirescnn", {"ram": True}, (50, 38), 7_403_401),
    ("multirescnn", {"ram": True}, 8_921, 12_720_867),
    ("multirescnn", {"ram": True}, (8_921, 295), 12_898_457),
    ("multirescnn", {"variant": "edin"}, 50, 6_583_800),
    ("multirescnn", {"variant": "edin"}, 3_681, 8_769_662),
    ("multirescnn", {"variant": "edin"}, 6_150, 10_256_000),
    ("multirescnn", {"variant": "edin"}, 7_942, 11_334_784),
    ("multirescnn", {"variant": "edin"}, 8_921, 11_924_142),
]

# The same with encoders of other sizes: (model, encoder, options, labels, count).
PUBLISHED_ENCODERS = [
    ("bert_trun", "bert-base-uncased", {}, 50, 109_520_690),
    ("bert_trun", "bert-base-uncased", {}, 8_921, 116_342_489),
    ("bert_trun", "bert-base-cased", {"head": "label_attention"}, 50, 108_387_172),
    ("bert_trun", "bert-base-uncased", {"head": "label_attention"}, 50, 109_559_140),
    ("bert_trun", "bert-base-cased", {"head": "label_attention"}, 8_921, 122_030_770),
    ("bert_trun", "bert-base-uncased", {"head": "label_attention"}, 8_921, 123_202_738),
    ("bert_hier", "bert-base-cased", {"head": "fcn"}, 50, 113_862_706),
    ("bert_hier", "bert-base-uncased", {"head": "fcn"}, 50, 115_034_674),
    ("bert_hier", "bert-base-cased", {"head": "fcn"}, 8_921, 120_684_505),
    ("bert_hier", "bert-base-uncased", {"head": "fcn"}, 8_921, 121_856_473),
    ("bert_hier", "bert-base-uncased", {}, 50, 115_073_124),
    ("bert_hier", "bert-base-uncased", {}, 8_921, 128_716_722),
    ("bert_hier", "bert-base-cased", {"upper_layers": 2}, 50, 113_901_156 + 5_513_984),
    ("bert_hier", "bert-base-cased", {"attention_over": "tokens"}, 50, 108_387_172),
    ("plm_icd", "roberta-base", {}, 50, 124_721_714),
    ("plm_icd", "roberta-base", {}, 8_921, 138_356_441),
]

# Trainable parameters with the published recipe.
PUBLISHED_TRAINABLE = [
    ("cnn", "retrained", 50, 225_550),
    ("dcan", "published", 50, 3_998_200),
    ("fusion", "published", 50, 7_563_124),
    ("fusion", "published", 8_921, 12_903_466),
    ("laat", "published", 50, 902_706),
    ("bigru_label_attention", "published", 50, 783_700),
    ("mt_ram", "published", (50, 38), 4_007_876),
    ("marn", "published", (50, 38), 4_007_876),
]

every_model = pytest.mark.parametrize("name", models.names())
every_variant = pytest.mark.parametrize(
    ("name", "variant"),
    [(name, variant) for name in models.names() for variant in [{}, *VARIANTS.get(name, [])]],
    ids=lambda value: ",".join(f"{key}={x}" for key, x in value.items()) if isinstance(value, dict) else value,
)


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors as small as these are slowest on many threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@functools.cache
def params(label_set: str = "top50") -> config.Params:
    return config.build(config.Params, config.for_label_set(config.read_yaml(PARAMS), label_set), PARAMS)


def options(name: str, **changes) -> models.ModelConfig:
    block = params().models[name]
    architecture = block.architecture | SMALL.get(name, {})
    return models.configure(name, architecture, published(block)).model_copy(update=changes)


def published(block: config.ModelBlock) -> config.Recipe:
    """The published recipe of a model; JAMS has one for each backbone."""
    return block.training.get("published") or block.training[block.architecture["backbone"]]


def in_pieces(name: str) -> bool:
    return models.find(name).reads_pieces(options(name))


def encoder(name: str, configured: models.ModelConfig) -> Encoder | None:
    """A tiny encoder of the kind that a model was published with."""
    size = models.find(name).published_encoder(configured)
    return plain_encoder.tiny(size.split("-")[0], ROWS) if size else None


def build(name: str, seed: int = 0, heads: dict[str, int] | None = None, **changes) -> Model:
    torch.manual_seed(seed)
    heads, kind, configured = heads or HEADS, models.find(name), options(name, **changes)
    vectors = torch.randn(ROWS, SIZE)
    known = {"descriptions": descriptions(heads)} if kind.needs_descriptions else {}
    known |= {"edges": edges(heads)} if kind.needs_edges else {}
    return kind.build(configured, Basis(ROWS, vectors, encoder(name, configured)), heads, **known).eval()


def edges(heads: dict[str, int]) -> dict[str, Edges]:
    """A link from each label of a head to one or two of the other, every third of them approximate."""
    first, second = heads
    links = {}
    for head, other in ((first, second), (second, first)):
        own = torch.arange(heads[head]).repeat_interleave(2)
        pairs = torch.stack([own, (own + torch.arange(len(own)) % 2) % heads[other]]).unique(dim=1)
        links[head] = Edges(pairs[0], pairs[1], torch.where(pairs[0] % 3 == 0, 0.5, 1.0))
    return links


def descriptions(heads: dict[str, int]) -> dict[str, Tensor]:
    """Two to five words for each label."""
    generator = torch.Generator().manual_seed(2)
    words = {head: torch.randint(1, ROWS, (labels, 5), generator=generator) for head, labels in heads.items()}
    for own in words.values():
        for number, row in enumerate(own):
            row[2 + number % 4 :] = 0
    return words


def loss_by_document(model: Model, batch: tuple[Tensor, Tensor], gold: dict[str, Tensor]) -> Tensor:
    recipe = params().models["caml"].training["quick"]
    return weigh(head_losses(model(*batch), gold, recipe), model.head_weights)


def loss_of(model: Model, batch: tuple[Tensor, Tensor], gold: dict[str, Tensor]) -> Tensor:
    losses = loss_by_document(model, batch, gold)
    extra = model.regularisation(gold)
    return (losses if extra is None else losses + extra).mean()


def random_gold(notes: int, heads: dict[str, int]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {head: (torch.rand(notes, labels, generator=generator) < 0.4).float() for head, labels in heads.items()}


def notes(lengths: list[int], padded: int | None = None, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Random notes, the same for the same seed whatever they are padded to."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(len(lengths), padded or max(1, *lengths), dtype=torch.long)
    for row, length in enumerate(lengths):
        tokens[row, :length] = torch.randint(1, ROWS, (length,), generator=generator)
    return tokens, torch.tensor(lengths)


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], **tolerance) -> None:
    assert found.keys() == expected.keys()
    for head in expected:
        torch.testing.assert_close(found[head], expected[head], **(tolerance or TOLERANCE))


@every_variant
@pytest.mark.parametrize("lengths", [[1], [0], [33, 0, 5], [6, 6], [2, 3, 1]])
def test_logits_have_one_row_a_note_and_one_column_a_label(name, variant, lengths):
    logits = build(name, **variant)(*notes(lengths))
    assert {head: tuple(values.shape) for head, values in logits.items()} == {
        head: (len(lengths), labels) for head, labels in HEADS.items()
    }
    assert all(torch.isfinite(values).all() for values in logits.values())


@every_model
@pytest.mark.parametrize(("length", "labels"), [(1, 9_000), (6_000, 1)])
def test_the_shortest_and_longest_notes_and_the_fewest_and_most_labels(name, length, labels):
    model = build(name, heads=HEADS | {"icd": labels})
    with torch.inference_mode():
        logits = model(*notes([length]))["icd"]
    assert logits.shape == (1, labels)
    assert torch.isfinite(logits).all()


@every_variant
def test_padding_changes_nothing(name, variant):
    model, lengths = build(name, **variant), [17, 3, 0, 11]
    assert_close(model(*notes(lengths, padded=33)), model(*notes(lengths)))


@every_model
def test_without_the_mask_or_faithful_padding_does_change_scores(name):
    for changes in ({"mask_padding": False}, {"faithful": True}):
        model, lengths = build(name, **changes, **PADS_MATTER.get(name, {})), [17, 3]
        short, long = model(*notes(lengths))["icd"], model(*notes(lengths, padded=60))["icd"]
        assert (short - long).abs().max() > 1e-4


@every_variant
def test_every_word_matters(name, variant):
    model = build(name, **variant)
    tokens, lengths = notes([12])
    before = model(tokens, lengths)["icd"]
    for place in range(12):
        changed = tokens.clone()
        changed[0, place] = changed[0, place] % (ROWS - 1) + 1
        assert not torch.allclose(model(changed, lengths)["icd"], before, atol=1e-7), place


@every_model
def test_a_note_is_scored_alike_in_any_company_and_order(name):
    model = build(name)
    tokens, lengths = notes([9, 20, 1, 14])
    together = model(tokens, lengths)
    order = torch.tensor([2, 0, 3, 1])
    assert_close(model(tokens[order], lengths[order]), {head: x[order] for head, x in together.items()})
    for row, length in enumerate(lengths.tolist()):
        alone = model(tokens[row : row + 1, :length], lengths[row : row + 1])
        assert_close(alone, {head: x[row : row + 1] for head, x in together.items()})


@every_variant
def test_every_parameter_gets_a_gradient(name, variant):
    model = build(name, embedding="trained", **variant).train()
    loss_of(model, notes([20, 15, 30, 8]), random_gold(4, HEADS)).backward()
    for parameter_name, parameter in model.named_parameters():
        if any(parameter_name.endswith(ending) for ending in WITHOUT_GRADIENT):
            assert parameter.grad is None, f"{parameter_name} does get a gradient: strike it from the exceptions"
        elif not parameter.requires_grad:
            assert any(parameter_name.endswith(ending) for ending in NOT_TRAINED), parameter_name
        else:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name


@every_model
def test_static_vectors_are_not_trained(name):
    static, trained = (count_parameters(build(name, embedding=kind)) for kind in ("static", "trained"))
    assert static["total"] == trained["total"]
    model = build(name)
    if in_pieces(name):
        table = model.encoder.get_input_embeddings().weight
    else:
        (table,) = (own for part, own in model.named_parameters() if part.endswith("embedding.table.weight"))
        assert table.shape == (ROWS, SIZE)
    assert trained["trainable"] - static["trainable"] == table.numel()


@every_model
def test_it_overfits_eight_notes(name):
    model = build(name, dropout=0.0, embedding="trained").train()
    batch, gold = notes([25, 30, 12, 8, 20, 16, 28, 9]), random_gold(8, HEADS)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE.get(name, 0.02))
    for step in range(1, 151):
        optimiser.zero_grad()
        loss_by_document(model, batch, gold).mean().backward()
        optimiser.step()
        if step % 10 == 0:
            with torch.inference_mode():
                logits = model.eval()(*batch)
            model.train()
            if all(torch.equal(logits[head] > 0, gold[head].bool()) for head in HEADS):
                return
    pytest.fail("150 steps were not enough")


@every_model
def test_scoring_is_deterministic_and_training_is_by_seed(name):
    model, batch = build(name, dropout=0.5), notes([20, 9])
    assert_close(model(*batch), model(*batch), rtol=0, atol=0)
    model.train()
    torch.manual_seed(3)
    first = model(*batch)
    torch.manual_seed(3)
    assert_close(model(*batch), first, rtol=0, atol=0)
    assert not torch.equal(model(*batch)["icd"], first["icd"])


@every_model
def test_saved_and_loaded_it_scores_the_same(name, tmp_path):
    model, batch = build(name), notes([20, 9])
    words = [f"word{number}" for number in range(ROWS - 2)]
    trained = model_folder.TrainedModel(
        name=name,
        model=model,
        vocabulary=[] if in_pieces(name) else words,
        pieces=PieceTokenizer(plain_encoder.tokenizer(words), "raw") if in_pieces(name) else None,
        labels={head: [{"code": str(y)} for y in range(labels)] for head, labels in HEADS.items()},
        thresholds=dict.fromkeys(HEADS, 0.5),
        max_tokens=100,
        rule="caml",
        label_set="top50",
    )
    model_folder.save(tmp_path / "model", trained, {})
    loaded = model_folder.load(tmp_path / "model")
    assert_close(loaded.model(*batch), model(*batch), rtol=0, atol=0)
    assert loaded.vocabulary == trained.vocabulary
    assert loaded.labels == trained.labels
    if in_pieces(name):
        assert loaded.pieces.text == "raw"
        assert loaded.pieces(["word3 word1 unknown"])[0].tolist() == [3, 1, ROWS - 2]


@every_variant
def test_attention_sums_to_one_and_is_zero_on_pads(name, variant):
    model = build(name, **variant)
    if not model.has_label_attention():
        with pytest.raises(NotImplementedError):
            model.label_attention(*notes([3]))
        pytest.skip(f"{name} has no label attention")
    lengths = [13, 4, 0]
    tokens, real = notes(lengths, padded=30)
    for head, weights in model.label_attention(tokens, real).items():
        assert weights.shape[:2] == (3, HEADS[head])
        torch.testing.assert_close(weights.sum(2), torch.ones(3, HEADS[head]))
        for row, length in enumerate(lengths):
            alone = model.label_attention(tokens[row : row + 1, : max(1, length)], real[row : row + 1])[head][0]
            torch.testing.assert_close(weights[row, :, : alone.shape[1]], alone)
            assert (weights[row, :, alone.shape[1] :] == 0).all()
    chosen = {head: torch.tensor([labels - 1, 0]) for head, labels in model.heads.items()}
    for head, weights in model.label_attention(tokens, real, chosen).items():
        torch.testing.assert_close(weights, model.label_attention(tokens, real)[head][:, chosen[head]])


@every_variant
def test_streaming_label_attention_changes_no_logit_and_no_gradient(name, variant, monkeypatch):
    if not build(name, **variant).has_label_attention():
        pytest.skip(f"{name} has no label attention")
    results = []
    for limit in (sys.maxsize, 0):
        monkeypatch.setattr(fused_attention, "PLAIN_LABELS", limit)
        model = build(name, **variant)
        logits = model(*notes([13, 4, 0], padded=30))
        sum(values.sin().sum() for values in logits.values()).backward()
        results.append([*logits.values(), *(x.grad for x in model.parameters() if x.grad is not None)])
    for plain, streamed in zip(*results, strict=True):
        torch.testing.assert_close(streamed, plain, rtol=1e-4, atol=1e-5)


@every_model
def test_attention_has_as_many_positions_as_published(name):
    # N + 1 for an even kernel, ceil(N / 2) for pairs of words, chunks of 6, N and two special pieces.
    published = {"caml": 34, "dr_caml": 34, "fusion": 17, "jams": 34, "bert_hier": 6, "bert_trun": 35, "plm_icd": 35}
    positions, model = published.get(name, 33), build(name, **PADS_MATTER.get(name, {}))
    if model.has_label_attention():
        for head, weights in model.label_attention(*notes([33])).items():
            assert weights.shape == (1, HEADS[head], positions)


@every_model
def test_bf16_is_close_to_fp32(name):
    model, batch = build(name), notes([40, 25, 7])
    exact = model(*batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(*batch)
    for head, values in exact.items():
        torch.testing.assert_close(rough[head].float(), values, rtol=0.05, atol=0.05)


def count(
    name: str, labels: int | tuple[int, int], recipe: str | None = None, size: str | None = None, **changes
) -> dict[str, int]:
    icd, category = labels if isinstance(labels, tuple) else (labels, 0)
    block = params("top50" if icd <= 50 else "full").models[name]
    trained = block.training[recipe] if recipe else published(block)
    configured = models.configure(name, block.architecture | changes, trained)
    heads = {"icd": icd} | ({"category": category} if category else {})
    kind = models.find(name)
    encoded = size or kind.published_encoder(configured)
    basis = Basis(51_919, encoder=PUBLISHED_SIZES[encoded] if encoded else None)
    with torch.device("meta"):
        return count_parameters(kind.build(configured, basis, heads))


@every_model
def test_parameters_count_as_published(name):
    assert name in PUBLISHED_COUNTS, "state the count that the model must have"
    for labels, expected in PUBLISHED_COUNTS[name].items():
        assert count(name, labels)["total"] == expected


@pytest.mark.parametrize(("name", "changes", "labels", "expected"), PUBLISHED_VARIANTS)
def test_parameters_of_variants_count_as_published(name, changes, labels, expected):
    assert count(name, labels, **changes)["total"] == expected


@pytest.mark.parametrize(("name", "size", "changes", "labels", "expected"), PUBLISHED_ENCODERS)
def test_parameters_with_other_encoders_count_as_published(name, size, changes, labels, expected):
    assert count(name, labels, size=size, **changes)["total"] == expected


@pytest.mark.parametrize(("name", "recipe", "labels", "expected"), PUBLISHED_TRAINABLE)
def test_trainable_parameters_count_as_published(name, recipe, labels, expected):
    assert count(name, labels, recipe)["trainable"] == expected


@every_model
def test_it_says_where_it_was_published(name):
    kind = models.find(name)
    assert issubclass(kind, nn.Module) and kind.paper
    for part in ("Args:", "Shapes:", "Departures:"):
        assert part in kind.__doc__, f"{name}: the class docstring lacks {part}"
