"""Writing checkpoints, in the format a house releases or under our own names."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from torch import Tensor

from lab.files import write_json
from lab.model.checkpoint.companions import TokenIds, pass_on, require_tokenizer, write_generation
from lab.model.checkpoint.family import format_for
from lab.model.checkpoint.layout.entry import Entry
from lab.model.checkpoint.new_folder import new_folder, require_room
from lab.model.checkpoint.reader import Checkpoint
from lab.model.checkpoint.shards import Slot, write_shards
from lab.model.config import ModelConfig
from lab.model.decoder import Decoder

SHARD_BYTES = 5_000_000_000
OUR_CONFIG = "model.yaml"
"""Beside tensors under our own names: the model's configuration."""

Read = Callable[[str, torch.dtype], Tensor]
"""Our tensor of a name, in a type."""
Progress = Callable[[int, int], None]
"""Told of bytes written so far and in all."""


def export_released(
    model: Decoder,
    directory: str | Path,
    dtype: torch.dtype = torch.bfloat16,
    tokenizer: str | Path | None = None,
    token_ids: TokenIds | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write ``model`` as a new folder in the released format of its mechanisms; returns the folder.

    ``tokenizer`` is a folder whose tokenizer files and ``generation_config.json`` are copied; ``token_ids``
    (``bos_token_id``, ``eos_token_id``, ``pad_token_id``) go into ``config.json``, and into
    ``generation_config.json`` where none was copied. Weights are written in ``dtype``, selection biases in
    float32. The folder appears complete or not at all.

    Raises :class:`ConfigError` where no released format fits the model, the folder is not empty, or ``tokenizer``
    holds no tokenizer.
    """
    state, ids = model.state_dict(), token_ids or {}
    with new_folder(Path(directory)) as folder:
        write_released(folder, model.config, lambda name, _: state[name], dtype, ids, shard_bytes)
        if tokenizer is None:
            write_generation(folder, ids)
        else:
            require_tokenizer(Path(tokenizer))
            pass_on(Path(tokenizer), folder, ids)
    return Path(directory)


def write_released(
    folder: Path,
    config: ModelConfig,
    read: Read,
    dtype: torch.dtype,
    ids: TokenIds,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> None:
    """Write ``config.json`` and the weights that ``read`` gives in the released format of ``config``.

    Memory holds one entry of the layout at a time: one stack of experts at most.
    """
    family, values = format_for(config)
    write_json(folder / "config.json", {**values, **ids, "dtype": str(dtype).removeprefix("torch.")})
    entries = [entry for entry in family.entries(config) if not _is_default(entry, read)]
    slots = [
        Slot(tensor.name, entry.dtype(dtype), tensor.shape) for entry in entries for tensor in entry.stored
    ]
    _write(folder, slots, _stored_tensors(entries, read, dtype), shard_bytes, progress)


def write_ours(
    folder: Path,
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> None:
    """Write the weights of ``checkpoint`` under our own names, and the model's configuration as ``model.yaml``."""
    text = yaml.safe_dump(asdict(checkpoint.config), sort_keys=False, allow_unicode=True)
    (folder / OUR_CONFIG).write_text(text, encoding="utf-8")
    slots = [
        Slot(name, checkpoint.dtype_of(name, dtype), checkpoint.shapes[name]) for name in checkpoint.names()
    ]
    _write(folder, slots, checkpoint.tensors(dtype), shard_bytes, progress)


def _write(
    folder: Path,
    slots: list[Slot],
    tensors: Iterator[tuple[str, Tensor]],
    shard_bytes: int,
    progress: Progress | None,
) -> None:
    total, written = sum(slot.length for slot in slots), 0
    require_room(folder, total)

    def report(length: int) -> None:
        nonlocal written
        written += length
        if progress is not None:
            progress(written, total)

    write_shards(folder, slots, tensors, shard_bytes, report)


def _is_default(entry: Entry, read: Read) -> bool:
    """Whether a folder may do without the entry."""
    if entry.default is None:
        return False
    return all(bool((read(name, torch.float32) == entry.default).all()) for name in entry.ours)


def _stored_tensors(entries: list[Entry], read: Read, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    for entry in entries:
        tensors = entry.unload([read(name, dtype).detach().cpu() for name in entry.ours])
        for stored, tensor in zip(entry.stored, tensors, strict=True):
            assert math.prod(tensor.shape) == math.prod(stored.shape)
            yield stored.name, tensor.view(stored.shape)
