"""Read and write data/encoder: an encoder in one format, independent of the files of its source.

config.json, tokenizer.json, specials.json (ids of special tokens); model.safetensors, unless the encoder is a new one;
masked_lm.safetensors where it has the head of a masked language model.
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
# Keys of a configuration that describe its files or its software, not the encoder.
LEFT_OUT = ("_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version")


def adopt(source: Path, target: str | os.PathLike) -> None:
    """Read an encoder with transformers and write the folder, without running code that comes with the encoder.

    Args:
        source: folder with config, tokenizer and weights, safetensors preferred.
        target: folder to write, atomically.

    Raises:
        UserError: transformers cannot read it, weights are missing, or its tokenizer lacks special tokens.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # unused weights are expected here
    logging.disable_progress_bar()
    options = {"trust_remote_code": False, "local_files_only": True}
    if not any(path for pattern in TOKENIZERS for path in source.glob(pattern)):  # else transformers makes one up
        raise UserError(f"{source}: holds no tokenizer ({', '.join(TOKENIZERS)})")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True, **options)
        module, report = AutoModel.from_pretrained(source, dtype="float32", output_loading_info=True, **options)
        definition = tokenizer.backend_tokenizer.to_str()
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{source}: not an encoder that transformers can read ({reason})") from error
    weights = _checkpoint_weights(source, module.state_dict(), report["missing_keys"])
    specials = {
        "begin": _first(tokenizer.cls_token_id, tokenizer.bos_token_id),
        "end": _first(tokenizer.sep_token_id, tokenizer.eos_token_id),
        "pad": _first(module.config.pad_token_id, tokenizer.pad_token_id),
        "mask": tokenizer.mask_token_id,
    }
    missing = [name for name in ("begin", "end", "pad") if specials[name] is None]
    if missing:
        raise UserError(f"{source}: its tokenizer has no special token for {', '.join(missing)}")
    config = {**module.config.to_dict(), "pad_token_id": specials["pad"]}
    write(target, config, definition, specials, weights, _language_head(source, options))


def _checkpoint_weights(source: Path, weights: dict[str, Tensor], initialized: Collection[str]) -> dict[str, Tensor]:
    """Drop randomly initialized weights that the checkpoint lacks.

    Raises:
        UserError: the checkpoint lacks weights other than those of the pooler.
    """
    missing = sorted(name for name in initialized if not name.startswith(POOLER))
    if missing:
        raise UserError(f"{source}: its weights lack {len(missing)} of the encoder's ({', '.join(missing[:3])}, ...)")
    return {name: tensor for name, tensor in weights.items() if name not in initialized}


def _first(*ids: int | None) -> int | None:
    return next((token_id for token_id in ids if token_id is not None), None)


def _language_head(source: Path, options: dict[str, bool]) -> dict[str, Tensor] | None:
    """Return the trained head of a masked language model; None where the checkpoint has none."""
    from transformers import AutoModelForMaskedLM

    if (source / HEAD).exists():  # the folder is one of ours
        return read_tensors(source / HEAD)
    try:
        model, report = AutoModelForMaskedLM.from_pretrained(
            source, dtype="float32", output_loading_info=True, **options
        )
    except (OSError, ValueError):  # an architecture without a masked language model
        return None
    return None if report["missing_keys"] else head_weights(model)


def head_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a masked language model that are not its encoder's; shared tensors appear once."""
    pointers, weights = {tensor.data_ptr() for tensor in model.base_model.state_dict().values()}, {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in pointers:
            weights[name] = tensor
            pointers.add(tensor.data_ptr())
    return weights


def write(
    target: str | os.PathLike,
    config: dict[str, Any],
    tokenizer: str,
    specials: dict[str, int | None],
    weights: dict[str, Tensor] | None,
    head: dict[str, Tensor] | None = None,
) -> None:
    """Write the folder, atomically.

    Args:
        target: folder to write.
        config: configuration of transformers, `model_type` included.
        tokenizer: content of a tokenizer.json.
        specials: ids of the special tokens begin, end, pad, mask.
        weights: weights of the encoder; None initializes them at random when a model is built.
        head: weights of the masked language model's head.
    """
    with io.atomic_folder(target) as folder:
        io.write_json(folder / "config.json", {key: x for key, x in config.items() if key not in LEFT_OUT})
        io.write_text(folder / "tokenizer.json", tokenizer)
        io.write_json(folder / "specials.json", specials)
        for name, tensors in ((WEIGHTS, weights), (HEAD, head)):
            if tensors:
                with io.atomic_write(folder / name) as file:
                    file.write(save_tensors({key: x.detach().cpu().contiguous() for key, x in tensors.items()}))


def encoder_to_train(encoder: Path, pretrained: Path) -> Path:
    """Return the folder of the encoder to build a model on: the further pretrained one where there is one."""
    return encoder if io.is_empty(pretrained) else pretrained


def read(folder: str | os.PathLike) -> Encoder:
    """Read an encoder from the folder.

    Raises:
        UserError: the folder is empty, or a file is missing or damaged.
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
    """Return the ids of the special tokens: begin, end, pad, mask."""
    return io.read_json(Path(folder) / "specials.json")


def read_tensors(path: Path) -> dict[str, Tensor] | None:
    """Return the tensors of a safetensors file; None where the file does not exist.

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
