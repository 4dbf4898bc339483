"""Parameter counts of every model equal those of its paper or its authors' code."""

from __future__ import annotations

import pytest
import torch
from small_models import every_model, settings

from medcode import models
from medcode.models.base import count_parameters
from medcode.models.catalog import MIMIC3_LABELS, MIMIC4_LABELS, PUBLISHED_SIZES, CountedEncoder, parameters
from medcode.models.inputs import ModelInputs

ROWS = 51_919  # of the word vectors of MIMIC-III

# Parameters in all with 51,919 embedding rows: {labels: count}, or {(labels, categories): count}.
PUBLISHED_COUNTS = {
    "attentive_lstm": {50: 303_250, 8_921: 2_086_321},
    "bert_hier": {50: 113_901_156, 8_921: 127_544_754},
    "bert_trun": {50: 108_348_722, 8_921: 115_170_521},
    "bigru": {50: 6_160_654, 3_681: 7_630_141, 6_150: 8_896_738, 7_942: 9_816_034, 8_921: 10_318_261},
    "bigru_label_attention": {50: 5_975_600, (50, 38): 6_021_276, 8_921: 16_638_542, (8_921, 295): 16_993_132},
    "c_memnn": {50: 54_262_159, 8_921: 59_256_532},
    "caml": {
        50: 5_247_050, (50, 38): 5_250_926, 3_681: 5_617_412, 6_150: 5_869_250, 7_942: 6_052_034,
        8_921: 6_151_892, 8_922: 6_151_994, 8_929: 6_152_708, 8_930: 6_152_810,
    },
    "cnn": {50: 5_417_450, 3_681: 7_236_581, 6_150: 8_473_550, 7_942: 9_371_342, 8_921: 9_861_821},
    "dcan": {50: 9_190_100, 8_921: 14_530_442},
    "dlac": {50: 148_598_714, 8_921: 160_743_113},
    "dr_caml": {50: 5_299_650, 8_921: 6_204_492},
    "fusion": {50: 8_313_424, 8_921: 13_653_766},
    "gatedcnn_nci": {50: 7_603_700},
    "gki_icd": {50: 125_116_466, 8_921: 138_751_193},
    "hypercore": {50: 5_337_301, 8_921: 6_228_672},
    "jams": {(6_150, 7_942): 6_665_342},
    "joint_laat": {(50, 40): 6_267_958, (8_921, 1_149): 25_521_970},
    "laat": {
        50: 6_094_606, 3_681: 13_888_829, 6_150: 17_683_682, 7_942: 20_437_986, 8_921: 21_942_709, 8_929: 21_955_005,
    },
    "marn": {50: 9_154_100, (50, 38): 9_199_776, 8_921: 19_817_042, (8_921, 295): 20_171_632},
    "msatt_kg": {50: 7_173_921, 8_921: 7_173_921},
    "msmn": {50: 6_483_741, 8_921: 6_545_757},
    "mt_ram": {50: 9_154_100, (50, 38): 9_199_776, 8_921: 19_817_042, (8_921, 295): 20_171_632},
    "multirescnn": {
        50: 6_584_400, (50, 38): 6_607_276, 8_921: 11_924_742, (8_921, 295): 12_102_332, 8_922: 11_925_344,
    },
    "plm_ca": {50: 125_078_785, 8_921: 131_891_713},
    "plm_icd": {
        50: 124_524_338, 3_681: 130_105_185, 6_150: 133_900_038, 7_942: 136_654_342, 8_921: 138_159_065,
    },
    "sentence_cls": {50: 177_301_298, 8_921: 184_123_097},
}  # fmt: skip

# The same for variants: (model, options, labels, count).
PUBLISHED_VARIANTS = [
    ("bigru", {"bidirectional": True}, 50, 5_767_438),
    ("bigru_label_attention", {"bidirectional": False}, 50, 5_583_800),
    ("bigru_label_attention", {"bidirectional": False}, (50, 38), 5_606_676),
    ("bigru_label_attention", {"bidirectional": False, "ram": True}, (50, 38), 6_402_801),
    ("bigru_label_attention", {"ram": True}, 50, 9_154_100),
    ("bigru_label_attention", {"ram": True}, (50, 38), 9_199_776),
    ("bigru_label_attention", {"ram": True}, 8_921, 19_817_042),
    ("bigru_label_attention", {"ram": True}, (8_921, 295), 20_171_632),
    ("c_memnn", {"hops": 5}, 50, 54_262_159 + 21_651_627 - 21_323_815),
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
    ("dr_caml", {"match_released_code": True}, 8_921, 11_396_392),
    ("fusion", {"transformer": False}, 50, 6_585_000),
    ("fusion", {"transformer": False}, 8_921, 11_925_342),
    ("fusion", {"pooling": "max"}, 50, 8_313_424 - 600),
    ("gatedcnn_nci", {"hidden": 400, "kernel": 2}, 50, 7_604_100),
    ("gatedcnn_nci", {"hidden": 200, "kernel": 5}, 50, 7_603_300),
    ("hypercore", {"targets": "ancestors"}, 50, 5_332_701),
    ("hypercore", {"targets": "all"}, 8_921, 7_120_372),
    ("jams", {"backbone": "multirescnn"}, (6_150, 7_942), 15_023_592),
    ("jams", {"backbone": "laat"}, (6_150, 7_942), 29_891_560),
    ("laat", {"hidden": 512, "projection": 512}, 50, 8_307_982),
    ("gki_icd", {"output": "shared"}, 50, 125_078_785),
    ("plm_ca", {"output": "per_label"}, 50, 125_116_466),
    ("plm_ca", {"output": "per_label", "queries": "titles"}, 8_921, 138_751_193),
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
    ("plm_ca", "roberta-base", {}, 50, 125_276_161),
    ("plm_ca", "roberta-base", {}, 8_921, 132_089_089),
    ("plm_icd", "roberta-base", {}, 50, 124_721_714),
    ("plm_icd", "roberta-base", {}, 8_921, 138_356_441),
    ("sentence_cls", "roberta-base-pm", {}, 50, 123_896_114),
    ("sentence_cls", "roberta-base-pm", {}, 8_921, 130_717_913),
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


def count(
    name: str, labels: int | tuple[int, int], recipe: str | None = None, size: str | None = None, **changes
) -> dict[str, int]:
    icd, category = labels if isinstance(labels, tuple) else (labels, 0)
    model_config = settings(name, recipe, "top50" if icd <= 50 else "full", changes).config
    heads = {"icd": icd} | ({"category": category} if category else {})
    encoder = size or model_config.published_encoder
    text = {"encoder": PUBLISHED_SIZES[encoder]} if encoder else {"vocab_size": ROWS}
    with torch.device("meta"):
        return count_parameters(models.find(name)(model_config, ModelInputs(heads=heads, **text)))


# A model without a paper has no count to be compared with.
@pytest.mark.parametrize("name", [name for name in models.names() if models.find(name).paper is not None])
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
def test_counting_without_weights_gives_the_same_counts(name):
    chosen, usual = settings(name), MIMIC3_LABELS["top50"] | MIMIC4_LABELS
    first, *second = (usual[head] for head in chosen.config.heads)
    assert parameters(chosen, {}, "top50", ROWS) == count(name, (first, *second) if second else first)


@pytest.mark.parametrize("pooler", [True, False])
@pytest.mark.parametrize("size", sorted(PUBLISHED_SIZES))
def test_a_counted_encoder_has_as_many_parameters_as_a_real_one(size, pooler):
    outline = PUBLISHED_SIZES[size]
    assert {outline.config["model_type"] for outline in PUBLISHED_SIZES.values()} == {"bert", "longformer", "roberta"}
    counted = CountedEncoder(outline.config, outline.specials).module(0.1, pooler=pooler)
    with torch.device("meta"):
        real = outline.module(0.1, pooler=pooler)
    assert count_parameters(counted) == count_parameters(real)
    tables = [module.get_input_embeddings().weight.shape for module in (counted, real)]
    assert tables[0] == tables[1]
    assert counted.config.hidden_size == real.config.hidden_size
