"""data/encoder: one encoder in one form, whatever its files were called where it came from.

config.json, tokenizer.json, specials.json (numbers of special pieces) and, unless the encoder is a new one,
model.safetensors; masked_lm.safetensors where it has the head of a masked language model.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from medcode import io
from medcode.encoders.outline import POOLER, Encoder
from medcode.errors import UserError
from medcode.layers.chunks import Specials

WEIGHTS, HEAD = "model.safetensors", "masked_lm.safetensors"
TOKENIZERS = ("tokenizer.json", "vocab*", "*.model")
# What a configuration says of the files that it came with, and of no interest to a model.
LEFT_OUT = ("_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version")


def adopt(source: Path, target: str | os.PathLike) -> None:
    """Reads an encoder as transformers does and writes the folder; no code of the encoder's own is ever run.

    Args:
        source: a folder with config, tokenizer and weights, safetensors preferred.

    Raises:
        UserError: transformers cannot read it, weights are missing, or its tokenizer has no special pieces.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # what it would say of weights left out is no news here
    logging.disable_progress_bar()
    options = {"trust_remote_code": False, "local_files_only": True}
    if not any(found for pattern in TOKENIZERS for found in source.glob(pattern)):  # transformers would make one up
        raise UserError(f"{source}: holds no tokenizer ({', '.join(TOKENIZERS)})")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True, **options)
        module, report = AutoModel.from_pretrained(source, dtype="float32", output_loading_info=True, **options)
        definition = tokenizer.backend_tokenizer.to_str()
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{source}: not an encoder that transformers can read ({reason})") from error
    weights = _only_read(source, module.state_dict(), report["missing_keys"])
    specials = {
        "begin": _first(tokenizer.cls_token_id, tokenizer.bos_token_id),
        "end": _first(tokenizer.sep_token_id, tokenizer.eos_token_id),
        "pad": _first(module.config.pad_token_id, tokenizer.pad_token_id),
        "mask": tokenizer.mask_token_id,
    }
    lacking = [name for name in ("begin", "end", "pad") if specials[name] is None]
    if lacking:
        raise UserError(f"{source}: its tokenizer has no special piece for {', '.join(lacking)}")
    config = {**module.config.to_dict(), "pad_token_id": specials["pad"]}
    write(target, config, definition, specials, weights, _language_head(source, options))


def _only_read(source: Path, weights: dict[str, Tensor], drawn: Collection[str]) -> dict[str, Tensor]:
    """Weights without those that were drawn because the source lacks them: a pooler may, nothing else."""
    lacking = sorted(name for name in drawn if not name.startswith(POOLER))
    if lacking:
        raise UserError(f"{source}: its weights lack {len(lacking)} of the encoder's ({', '.join(lacking[:3])}, ...)")
    return {name: tensor for name, tensor in weights.items() if name not in drawn}


def _first(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)


def _language_head(source: Path, options: dict[str, bool]) -> dict[str, Tensor] | None:
    """The trained head of a masked language model, or None where the encoder came without."""
    from transformers import AutoModelForMaskedLM

    if (source / HEAD).exists():  # the folder is one of ours
        return read_tensors(source / HEAD)
    try:
        model, report = AutoModelForMaskedLM.from_pretrained(
            source, dtype="float32", output_loading_info=True, **options
        )
    except (OSError, ValueError):  # a kind of encoder that has none
        return None
    return None if report["missing_keys"] else own_weights(model)


def own_weights(model: nn.Module) -> dict[str, Tensor]:
    """Weights of a masked language model beside those of its encoder, each once however often it is used."""
    seen, own = {tensor.data_ptr() for tensor in model.base_model.state_dict().values()}, {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            own[name] = tensor
            seen.add(tensor.data_ptr())
    return own


def write(
    target: str | os.PathLike,
    config: dict[str, Any],
    tokenizer: str,
    specials: dict[str, int | None],
    weights: dict[str, Tensor] | None,
    head: dict[str, Tensor] | None = None,
) -> None:
    """Writes the folder, atomically.

    Args:
        config: of transformers, `model_type` included.
        tokenizer: content of a tokenizer.json.
        specials: begin, end, pad, mask.
        weights: None leaves them to be drawn.
        head: of a masked language model.
    """
    with io.atomic_folder(target) as folder:
        io.write_json(folder / "config.json", {key: x for key, x in config.items() if key not in LEFT_OUT})
        io.write_text(folder / "tokenizer.json", tokenizer)
        io.write_json(folder / "specials.json", specials)
        for name, tensors in ((WEIGHTS, weights), (HEAD, head)):
            if tensors:
                with io.atomic_write(folder / name) as file:
                    file.write(save_tensors({key: x.detach().cpu().contiguous() for key, x in tensors.items()}))


def further(encoder: Path, pretrained: Path) -> Path:
    """The folder to build a model on: that of the encoder pretrained further, where it was."""
    return encoder if io.is_empty(pretrained) else pretrained


def read(folder: str | os.PathLike) -> Encoder:
    """Reads an encoder from the folder.

    Raises:
        UserError: there is none in it, or a file is missing or damaged.
    """
    folder = Path(folder)
    if io.is_empty(folder):
        raise UserError(f"{folder}: holds no encoder; choose one, such as encoder: scratch-tiny, and run dvc repro")
    specials = read_specials(folder)
    return Encoder(
        config=io.read_json(folder / "config.json"),
        specials=Specials(specials["begin"], specials["end"], specials["pad"]),
        weights=read_tensors(folder / WEIGHTS),
    )


def read_specials(folder: str | os.PathLike) -> dict[str, int | None]:
    """Numbers of the special pieces: begin, end, pad, mask."""
    return io.read_json(Path(folder) / "specials.json")


def read_tokenizer(folder: str | os.PathLike) -> str:
    """Content of the folder's tokenizer.json.

    Raises:
        UserError: it is missing.
    """
    try:
        with open(Path(folder) / "tokenizer.json", encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError as error:
        raise UserError(f"{folder}: holds no tokenizer.json; make it again (dvc repro encoder)") from error


def read_tensors(path: Path) -> dict[str, Tensor] | None:
    """Tensors of a safetensors file; None where there is no such file.

    Raises:
        UserError: it is damaged.
    """
    try:
        with open(path, "rb") as file:
            return load_tensors(file.read())
    except FileNotFoundError:
        return None
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); make it again (dvc repro)") from error
