"""Safetensors files of a folder: headers first, numbers one tensor at a time, both ways.

The format is eight bytes of length, that many bytes of JSON, then the numbers, little-endian and row by row.
Reading and writing it here rather than through a memory map keeps memory at the tensor in hand, whatever the size
of a file.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.errors import ConfigError
from lab.files import write_json

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
"""Stored types that can be read; quantised ones cannot."""
TYPE_NAMES = {dtype: name for name, dtype in TYPES.items()}
UNSAFE = ("*.bin", "*.pt", "*.pth", "*.ckpt")
"""Weights in files that can run code when they are opened: never read."""


@dataclass(frozen=True)
class Place:
    """Where a tensor's numbers stand; ``is_listed`` where the folder's index, if any, says the same."""

    file: Path
    start: int
    length: int
    type_name: str
    shape: tuple[int, ...]
    is_complete: bool
    is_listed: bool = True

    def read(self) -> Tensor:
        """The tensor, as stored."""
        with self.file.open("rb") as file:
            file.seek(self.start)
            numbers = bytearray(self.length)
            if file.readinto(numbers) != self.length:
                raise ConfigError(f"{self.file} ends within a tensor: copy the file again.")
        return torch.frombuffer(numbers, dtype=TYPES[self.type_name]).view(self.shape)


@dataclass
class Inventory:
    """What the headers of a folder say: where each tensor stands, and which files cannot be used and why.

    ``lost`` are tensors that the index puts into one of those files; without an index ``lost_all`` may be set.
    """

    places: dict[str, Place] = field(default_factory=dict)
    bad_files: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    lost_all: bool = False


def take_inventory(directory: Path) -> Inventory:
    """Every tensor of the folder by name, from the headers alone."""
    listed = _index(directory)
    files = sorted(set(listed.values())) if listed is not None else [SINGLE]
    inventory = Inventory()
    for name in files:
        try:
            header = _header(directory / name)
        except _BadFile as error:
            inventory.bad_files.append(str(error))
            inventory.lost |= {tensor for tensor, file in (listed or {}).items() if file == name}
            inventory.lost_all = listed is None
            continue
        for tensor, place in header.items():
            at_home = listed is None or listed.get(tensor) == name
            once = tensor not in inventory.places
            inventory.places[tensor] = replace(place, is_listed=at_home and once)
    return inventory


def _index(directory: Path) -> dict[str, str] | None:
    """File by tensor; None where one file holds all."""
    path = directory / INDEX
    if not path.is_file():
        if not (directory / SINGLE).is_file() and (unsafe := _unsafe_files(directory)):
            raise ConfigError(
                f"checkpoint={directory} cannot be used: it holds {unsafe[0]}, which can run code when it is opened, "
                "and only safetensors files are read."
            )
        return None
    listed = read_json(path).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise ConfigError(f"{path} cannot be used: it must hold a weight_map.")
    if any(Path(name).name != name for name in listed.values()):
        raise ConfigError(f"{path} cannot be used: it must name files of its own folder.")
    return listed


def _unsafe_files(directory: Path) -> list[str]:
    return sorted(path.name for pattern in UNSAFE for path in directory.glob(pattern))


class _BadFile(Exception):
    """Why a file cannot be used, in a few words."""


def _header(path: Path) -> dict[str, Place]:
    if not path.is_file():
        raise _BadFile(f"{path.name} is not there")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            raise _BadFile(f"{path.name} ends within its header")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            return {name: _place(path, size, 8 + length, entry) for name, entry in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _BadFile(f"{path.name} is not a safetensors file") from error


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


@dataclass(frozen=True)
class Slot:
    """Room for one tensor in a file that is to be written."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def length(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_shards(
    folder: Path,
    slots: Sequence[Slot],
    tensors: Iterator[tuple[str, Tensor]],
    shard_bytes: int,
    report: Callable[[int], None],
) -> None:
    """Write ``tensors``, which come in the order of ``slots``, into files of at most ``shard_bytes``.

    A larger tensor has a file of its own. Memory holds one tensor; ``report`` is told of every number of bytes
    that was written.
    """
    shards = _cut(slots, shard_bytes)
    count = len(shards)
    names = (
        [SINGLE] if count == 1 else [f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)]
    )
    for name, members in zip(names, shards, strict=True):
        _write_file(folder / name, members, tensors, report)
    if count > 1:
        weight_map = {
            slot.name: name for name, members in zip(names, shards, strict=True) for slot in members
        }
        total = sum(slot.length for slot in slots)
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        write_json(folder / INDEX, index)


def _cut(slots: Sequence[Slot], shard_bytes: int) -> list[list[Slot]]:
    shards: list[list[Slot]] = [[]]
    filled = 0
    for slot in slots:
        if shards[-1] and filled + slot.length > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(slot)
        filled += slot.length
    return shards


def _write_file(
    path: Path, slots: Sequence[Slot], tensors: Iterator[tuple[str, Tensor]], report: Callable[[int], None]
) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for slot in slots:
        start, end = end, end + slot.length
        entry = {"dtype": TYPE_NAMES[slot.dtype], "shape": list(slot.shape), "data_offsets": [start, end]}
        header[slot.name] = entry
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # numbers start at a multiple of eight bytes
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for slot in slots:
            name, tensor = next(tensors)
            assert (name, tuple(tensor.shape)) == (slot.name, slot.shape)
            file.write(
                tensor.detach().to(slot.dtype).contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data
            )
            report(slot.length)
