"""Checkpoints from one format to the other: a house's released folder, and tensors under our own names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from lab.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from lab.errors import ConfigError
from lab.face import is_run, load_tokenizer, open_checkpoint
from lab.files import write_json
from lab.model.checkpoint.companions import pass_on, token_ids
from lab.model.checkpoint.family import format_for
from lab.model.checkpoint.new_folder import new_folder
from lab.model.checkpoint.reader import ReleasedCheckpoint, open_ours, open_released
from lab.model.checkpoint.writer import SHARD_BYTES, write_ours, write_released


@dataclass(frozen=True)
class Converted:
    """What was written: ``format`` is ``lab`` or the name of a released format."""

    target: Path
    format: str
    dtype: str
    files: int
    bytes: int


def convert(
    source: str | Path,
    target: str | Path,
    released: bool | None = None,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Converted:
    """Write the checkpoint in ``source`` as a new folder ``target``: weights, tokenizer and small files.

    ``source`` is a run folder, a released checkpoint or one under our own names. ``released`` asks for the format of
    a house (True) or for our own names (False), None for whichever of the two ``source`` is not. Weights get
    ``dtype``, None keeps theirs; selection biases stay float32. Files hold at most ``shard_bytes``; memory holds one
    stack of experts, whatever the size of the model. ``progress`` is told of bytes written and bytes in all. The
    target appears complete or not at all.

    Raises :class:`ConfigError` where ``source`` cannot be read, no released format fits it, or ``target`` holds
    anything and ``overwrite`` is false.
    """
    source, target = Path(source), Path(target)
    if source.resolve() == target.resolve():
        raise ConfigError(f"target={target} cannot be used: it is the source.")
    checkpoint = open_checkpoint(source)
    if released is None:
        released = not isinstance(checkpoint, ReleasedCheckpoint)
    written_as = format_for(checkpoint.config)[0].name if released else "lab"
    dtype = dtype or checkpoint.stored_dtype
    tokenizer = load_tokenizer(source) if is_run(source) else None
    ids = own_ids(tokenizer) if tokenizer else token_ids(source)
    with new_folder(target, overwrite) as folder:
        if tokenizer:
            write_own_tokenizer(tokenizer, folder, checkpoint.config.max_positions)
        pass_on(source, folder, ids)
        if released:
            write_released(folder, checkpoint.config, checkpoint.read, dtype, ids, shard_bytes, progress)
            open_released(folder)  # what cannot be opened again does not get its name
        else:
            write_ours(folder, checkpoint, dtype, shard_bytes, progress)
            open_ours(folder, checkpoint.config)
    files = [path for path in target.iterdir() if path.suffix == ".safetensors"]
    name = str(dtype).removeprefix("torch.")
    return Converted(target, written_as, name, len(files), sum(path.stat().st_size for path in files))


def own_ids(tokenizer: Tokenizer) -> dict[str, int | list[int]]:
    """The special tokens of a tokenizer that was trained here, under the keys of released folders."""
    numbers = {"bos": tokenizer.begin_id, "eos": tokenizer.end_id, "pad": tokenizer.pad_id}
    return {f"{key}_token_id": number for key, number in numbers.items()}


def write_own_tokenizer(tokenizer: Tokenizer, folder: Path, max_positions: int) -> None:
    """Write a tokenizer that was trained here so that ``transformers`` reads it and gives the same numbers."""
    tokenizer.save(folder)
    pad, begin, end = SPECIAL_TOKENS
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": end,
        "pad_token": pad,
        "model_max_length": max_positions,
        "split_special_tokens": True,  # the words "<|end|>" in a text are ordinary characters
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", settings)
