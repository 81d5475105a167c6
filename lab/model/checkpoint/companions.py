"""The small files beside the weights: tokenizer, generation settings, the numbers of special tokens."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.errors import ConfigError
from lab.files import write_json
from lab.model.checkpoint.shards import read_json

GENERATION = "generation_config.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
)
ID_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")

TokenIds = Mapping[str, int | list[int]]
"""Special tokens by key; a model may end with any of several."""


def token_ids(directory: Path) -> TokenIds:
    """What ``config.json`` and ``generation_config.json`` of a folder say; the latter where they differ."""
    ids: dict[str, int | list[int]] = {}
    for path in (directory / "config.json", directory / GENERATION):
        values = read_json(path) if path.is_file() else {}
        ids |= {key: values[key] for key in ID_KEYS if values.get(key) is not None}
    for key, value in ids.items():
        numbers = value if isinstance(value, list) else [value]
        if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
            raise ConfigError(
                f"checkpoint={directory} {key}={value} cannot be used: it must be a token's number."
            )
    return ids


def pass_on(source: Path, folder: Path, ids: TokenIds) -> None:
    """Copy tokenizer files and generation settings; where there are none of these, write those that ``ids`` say."""
    for name in (GENERATION, *TOKENIZER_FILES):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    write_generation(folder, ids)


def write_generation(folder: Path, ids: TokenIds) -> None:
    """Write ``generation_config.json`` unless it is there."""
    if not (folder / GENERATION).exists():
        write_json(folder / GENERATION, {"_from_model_config": True, **ids})


def require_tokenizer(source: Path) -> None:
    """Fail where a folder that should hold a tokenizer holds none."""
    if not any((source / name).is_file() for name in TOKENIZER_FILES):
        raise ConfigError(f"tokenizer={source} cannot be used: it must hold tokenizer.json or the like.")
