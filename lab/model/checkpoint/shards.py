"""Safetensors files of a folder: headers first, numbers one tensor at a time.

The format is eight bytes of length, that many bytes of JSON, then the numbers, little-endian and row by row.
Reading it here rather than through a memory map keeps memory at the tensor in hand, whatever the size of a
file.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.errors import ConfigError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
"""Stored types that can be read; quantised ones cannot."""


@dataclass(frozen=True)
class Place:
    """Where a tensor's numbers stand."""

    file: Path
    start: int
    length: int
    type_name: str
    shape: tuple[int, ...]
    is_complete: bool

    def read(self) -> Tensor:
        """The tensor, as stored."""
        with self.file.open("rb") as file:
            file.seek(self.start)
            numbers = bytearray(self.length)
            if file.readinto(numbers) != self.length:
                raise ConfigError(f"{self.file} ends within a tensor: copy the file again.")
        return torch.frombuffer(numbers, dtype=TYPES[self.type_name]).view(self.shape)


def places(directory: Path) -> dict[str, Place]:
    """Every tensor of the folder by name, from the headers alone."""
    if (directory / INDEX).is_file():
        listed = read_json(directory / INDEX).get("weight_map")
        if not isinstance(listed, dict):
            raise ConfigError(f"{directory / INDEX} cannot be used: it must hold a weight_map.")
        files = sorted(set(listed.values()))
        if any(Path(name).name != name for name in files):
            raise ConfigError(f"{directory / INDEX} cannot be used: it must name files of its own folder.")
    else:
        files = [SINGLE]
    absent = [name for name in files if not (directory / name).is_file()]
    if absent:
        raise ConfigError(f"checkpoint={directory} cannot be used: it has no {', '.join(absent)}.")
    found: dict[str, Place] = {}
    for name in files:
        found |= _header(directory / name)
    return found


def _header(path: Path) -> dict[str, Place]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            raise ConfigError(f"{path} ends within its header: copy the file again.")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            return {name: _place(path, size, 8 + length, entry) for name, entry in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} is not a safetensors file: its header cannot be read.") from error


def _place(path: Path, size: int, base: int, entry: dict[str, Any]) -> Place:
    """One tensor of a header; offsets count from ``base``."""
    (first, last), type_name, shape = entry["data_offsets"], entry["dtype"], tuple(entry["shape"])
    complete = 0 <= first <= last <= size - base
    if type_name in TYPES:
        complete &= last - first == math.prod(shape) * TYPES[type_name].itemsize
    return Place(path, base + first, last - first, type_name, shape, complete)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: it must be a JSON file ({error}).") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} cannot be used: it must hold a JSON object.")
    return values
