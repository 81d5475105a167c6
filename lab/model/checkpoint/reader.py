"""Loading a released checkpoint."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lab.errors import ConfigError
from lab.model.checkpoint.family import detect
from lab.model.checkpoint.hub_config import HubConfig
from lab.model.checkpoint.layout.entry import Entry
from lab.model.checkpoint.shards import TYPES, Place, places, read_json
from lab.model.config import ModelConfig
from lab.model.decoder import Decoder

NAMES_SHOWN = 20
"""Names of one kind of fault in a message; the rest are counted."""


@dataclass(frozen=True)
class ReleasedCheckpoint:
    """An opened folder: configuration and tensor headers are read and checked, no numbers yet."""

    directory: Path
    format: str
    config: ModelConfig
    entries: tuple[Entry, ...]
    places: Mapping[str, Place]

    def tensors(self, dtype: torch.dtype = torch.float32) -> Iterator[tuple[str, Tensor]]:
        """Our tensors by name, one entry of the layout at a time; memory stays at the largest of them."""
        shapes = {name: tuple(tensor.shape) for name, tensor in skeleton(self.config).state_dict().items()}
        for entry in self.entries:
            wanted = [shapes[name] for name in entry.ours]
            if all(tensor.name in self.places for tensor in entry.stored):
                tensors = entry.load(lambda name: self.places[name].read(), wanted, dtype)
            else:
                assert entry.default is not None
                tensors = [torch.full(shape, entry.default, dtype=entry.dtype(dtype)) for shape in wanted]
            yield from zip(entry.ours, tensors, strict=True)


def open_released(directory: str | Path) -> ReleasedCheckpoint:
    """Open a folder with ``config.json`` and safetensors shards in one of the released formats.

    Raises one :class:`ConfigError` that lists every missing, extra, misshapen, wrongly typed and truncated
    tensor.
    """
    directory = Path(directory)
    if not (directory / "config.json").is_file():
        raise ConfigError(f"checkpoint={directory} is not a released checkpoint: it must hold config.json.")
    hub = HubConfig(read_json(directory / "config.json"), str(directory / "config.json"))
    family = detect(hub)
    config = family.read(hub)
    entries = tuple(family.entries(config))
    found = places(directory)
    _check(directory, entries, found)
    return ReleasedCheckpoint(directory, family.name, config, entries, found)


def load_released(directory: str | Path, dtype: torch.dtype = torch.float32) -> Decoder:
    """The model of a released folder, on the CPU in ``dtype``, in evaluation mode; see :func:`open_released`.

    Beside the model itself, memory holds one stack of experts at most.
    """
    checkpoint = open_released(directory)
    model = skeleton(checkpoint.config)
    tied = model.head.weight is model.embedding.weight
    for name, tensor in checkpoint.tensors(dtype):
        _put(model, name, tensor)
    if tied:
        model.head.weight = model.embedding.weight
    left = [name for name, tensor in model.state_dict().items() if tensor.is_meta]
    assert not left, f"the layout of {checkpoint.format} lacks {left}"
    return model.eval()


def skeleton(config: ModelConfig) -> Decoder:
    """The model without storage for its numbers."""
    with torch.device("meta"):
        return Decoder(config)


def _put(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Give a parameter or buffer of a skeleton its numbers, keeping what is noted on the parameter."""
    path, _, last = name.rpartition(".")
    module = model.get_submodule(path)
    if last in module._buffers:
        setattr(module, last, tensor)
        return
    before = getattr(module, last)
    parameter = nn.Parameter(tensor, requires_grad=before.requires_grad)
    parameter.__dict__.update(before.__dict__)
    setattr(module, last, parameter)


def _check(directory: Path, entries: tuple[Entry, ...], found: Mapping[str, Place]) -> None:
    """Hold the headers to the layout."""
    expected = {tensor.name: (tensor, entry) for entry in entries for tensor in entry.stored}
    faults: dict[str, list[str]] = {
        "missing": [n for n, (_, entry) in expected.items() if n not in found and entry.default is None],
        "not of this architecture": [name for name in found if name not in expected],
        "of the wrong shape": [],
        "of a type that cannot be read": [],
        "truncated": [],
    }
    for name, (tensor, _) in expected.items():
        place = found.get(name)
        if place is None:
            continue
        same_size = math.prod(place.shape) == math.prod(tensor.shape)
        if not (same_size if tensor.any_shape else place.shape == tensor.shape):
            faults["of the wrong shape"].append(f"{name} {list(place.shape)} for {list(tensor.shape)}")
        elif place.type_name not in TYPES:
            faults["of a type that cannot be read"].append(f"{name} {place.type_name}")
        elif not place.is_complete:
            faults["truncated"].append(name)
    told = "; ".join(f"{kind}: {_shown(names)}" for kind, names in faults.items() if names)
    if told:
        raise ConfigError(f"checkpoint={directory} cannot be used, tensors are {told}.")


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
