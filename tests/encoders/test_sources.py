"""Sources of encoders, and error messages where one is missing. No test needs a network."""

from __future__ import annotations

import importlib.util
import json

import httpx2
import pytest

from medcode.config import EncoderSource, build
from medcode.encoders import sources
from medcode.errors import UserError

HUB = EncoderSource(hub="someone/some-encoder", revision="abc")


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """Set up an empty cache and a hub that does not answer."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def cached(tmp_path, *files: str, revision: str = "abc") -> None:
    """Write Hugging Face's cache as a download leaves it."""
    repository = tmp_path / "cache/models--someone--some-encoder"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / revision).write_text("0123")
    (repository / "snapshots/0123").mkdir(parents=True)
    for file in files:
        (repository / "snapshots/0123" / file).write_text("{}")


def test_a_cached_encoder_needs_no_network(tmp_path):
    cached(tmp_path, "config.json", "vocab.txt", "model.safetensors")
    assert sources.find("it", HUB) == tmp_path / "cache/models--someone--some-encoder/snapshots/0123"


@pytest.mark.parametrize("files", [(), ("config.json", "vocab.txt")])
def test_a_missing_encoder_is_reported_with_a_remedy(tmp_path, files):
    if files:
        cached(tmp_path, *files)
    with pytest.raises(UserError) as mistake:
        sources.find("it", HUB)
    message = str(mistake.value)
    assert message.startswith(
        "encoder it: someone/some-encoder is not in the cache of Hugging Face and cannot be fetched"
    )
    assert "hf download someone/some-encoder --revision abc" in message and "encoders.local.folder" in message
    assert "\n" not in message


def test_a_connection_error_is_reported_in_one_line(monkeypatch):
    """A connection error that is not an OSError gives the same message, also where offline mode is not set."""
    from huggingface_hub import constants

    def nobody_answers(*_: object, **__: object) -> None:
        raise httpx2.ConnectError("[Errno -2] Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.list_repo_files", nobody_answers)
    with pytest.raises(UserError, match=r"cannot be fetched \(\[Errno -2\] Name or service not known\); "):
        sources.find("it", HUB)


def test_an_installed_package_is_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "weighty"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('run')")
    (package / "model/config.json").write_text("{}")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert sources.find("it", EncoderSource(package="weighty", folder="model")) == package / "model"
    with pytest.raises(UserError, match=r"weighty/other: holds no config\.json; is encoders\.it\.folder right\?"):
        sources.find("it", EncoderSource(package="weighty", folder="other"))


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(UserError, match="encoder it: the Python package no_such_encoder is not installed; pip install"):
        sources.find("it", EncoderSource(package="no_such_encoder", folder="model"))


def test_a_folder_is_used_directly_or_reported_missing(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert sources.find("it", EncoderSource(folder=str(tmp_path))) == tmp_path
    with pytest.raises(UserError, match=r"local: no folder: holds no config\.json; set encoders\.local\.folder"):
        sources.find("local", EncoderSource())
    with pytest.raises(UserError, match=r"holds no config\.json; unpack https://host/it\.tar\.gz there"):
        sources.find("it", EncoderSource(folder=str(tmp_path / "no"), url="https://host/it.tar.gz"))


@pytest.mark.parametrize(
    "raw",
    [
        {"hub": "a/b", "package": "c"},
        {"hub": "a/b", "folder": "c"},
        {"folder": "a", "scratch": {"vocabulary_size": 100}},
    ],
)
def test_an_encoder_has_exactly_one_source(raw):
    if "scratch" in raw:
        raw["scratch"] |= {"layers": 1, "hidden": 2, "attention_heads": 1, "feed_forward": 2, "positions": 8}
    with pytest.raises(UserError, match=r"encoders\.it: expected one place: hub, package \(with its folder\), folder"):
        build(EncoderSource, json.loads(json.dumps(raw)), "params.yaml", "encoders.it")


def test_attention_heads_must_divide_the_width():
    sizes = {"vocabulary_size": 100, "layers": 1, "hidden": 9, "attention_heads": 2, "feed_forward": 2, "positions": 8}
    with pytest.raises(UserError, match=r"encoders\.it\.scratch: hidden: expected a multiple of attention_heads \(2\)"):
        build(EncoderSource, {"scratch": sizes}, "params.yaml", "encoders.it")
