"""Writing a model in the format its house releases."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lab.errors import ConfigError
from lab.model.checkpoint.family import format_for
from lab.model.checkpoint.layout.entry import Entry
from lab.model.checkpoint.shards import INDEX, SINGLE
from lab.model.decoder import Decoder

SHARD_BYTES = 5_000_000_000
PASSED_ON = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
)


def export_released(
    model: Decoder,
    directory: str | Path,
    dtype: torch.dtype = torch.bfloat16,
    tokenizer: str | Path | None = None,
    token_ids: Mapping[str, int | list[int]] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write ``model`` as a new folder in the released format of its mechanisms; returns the folder.

    ``tokenizer`` is a folder whose tokenizer files and ``generation_config.json`` are copied; ``token_ids``
    (``bos_token_id``, ``eos_token_id``, ``pad_token_id``) go into ``config.json``, and into
    ``generation_config.json`` where none was copied. Weights are written in ``dtype``, selection biases in
    float32. The folder appears complete or not at all.

    Raises :class:`ConfigError` where no released format fits the model, the folder exists, or ``tokenizer``
    holds no tokenizer.
    """
    directory = Path(directory)
    family, values = format_for(model.config)
    if directory.exists():
        raise ConfigError(f"directory={directory} exists: choose a new one, nothing is overwritten.")
    temporary = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        ids = dict(token_ids or {})
        _write_json(temporary / "config.json", {**values, **ids, "dtype": str(dtype).removeprefix("torch.")})
        if tokenizer is not None:
            _copy_tokenizer(Path(tokenizer), temporary)
        if not (temporary / "generation_config.json").exists():
            _write_json(temporary / "generation_config.json", {"_from_model_config": True, **ids})
        _write_shards(temporary, tuple(family.entries(model.config)), model.state_dict(), dtype, shard_bytes)
        for path in temporary.iterdir():
            _sync(path)
        os.rename(temporary, directory)
        _sync(directory.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return directory


def _copy_tokenizer(source: Path, folder: Path) -> None:
    found = [name for name in PASSED_ON if (source / name).is_file()]
    if not set(found) - {"generation_config.json"}:
        raise ConfigError(f"tokenizer={source} cannot be used: it must hold tokenizer.json or the like.")
    for name in found:
        shutil.copyfile(source / name, folder / name)


def _write_shards(
    folder: Path, entries: tuple[Entry, ...], ours: Mapping[str, Tensor], dtype: torch.dtype, shard_bytes: int
) -> None:
    """All tensors in as many files as ``shard_bytes`` asks for; memory holds one file's tensors."""
    written = [entry for entry in entries if not _is_default(entry, ours)]
    sizes = {
        t.name: math.prod(t.shape) * entry.dtype(dtype).itemsize for entry in written for t in entry.stored
    }
    shards = _shards(sizes, shard_bytes)
    names = [SINGLE] if len(shards) == 1 else [_shard_name(i, len(shards)) for i in range(len(shards))]
    tensors = _stored_tensors(written, ours, dtype)
    for file, members in zip(names, shards, strict=True):
        batch = dict(next(tensors) for _ in members)
        assert list(batch) == members
        save_file(batch, folder / file, metadata={"format": "pt"})
    if len(shards) > 1:
        weight_map = {name: file for file, members in zip(names, shards, strict=True) for name in members}
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
        _write_json(folder / INDEX, index)


def _is_default(entry: Entry, ours: Mapping[str, Tensor]) -> bool:
    """Whether a folder may do without the entry."""
    if entry.default is None:
        return False
    return all(bool((ours[name] == entry.default).all()) for name in entry.ours)


def _shards(sizes: Mapping[str, int], shard_bytes: int) -> list[list[str]]:
    """Tensor names in order, cut into files of at most ``shard_bytes``, larger tensors alone."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if shards[-1] and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def _shard_name(index: int, count: int) -> str:
    return f"model-{index + 1:05d}-of-{count:05d}.safetensors"


def _stored_tensors(
    entries: list[Entry], ours: Mapping[str, Tensor], dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    for entry in entries:
        tensors = entry.unload([ours[name].detach().cpu() for name in entry.ours])
        for stored, tensor in zip(entry.stored, tensors, strict=True):
            # a copy: files may not share memory, and a stack's slices do
            yield stored.name, tensor.to(entry.dtype(dtype), copy=True).contiguous()


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _sync(path: Path) -> None:
    """Make sure that the disk has it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
