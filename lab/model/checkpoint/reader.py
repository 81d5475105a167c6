"""Opening checkpoints, released ones and our own: headers first, then one tensor at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lab.errors import ConfigError
from lab.model.checkpoint.family import detect
from lab.model.checkpoint.faults import require_sound
from lab.model.checkpoint.hub_config import HubConfig
from lab.model.checkpoint.layout.entry import Entry, Stored
from lab.model.checkpoint.shards import TYPES, Place, read_json, take_inventory
from lab.model.config import ModelConfig
from lab.model.decoder import Decoder


@dataclass
class Checkpoint(ABC):
    """An opened folder: configuration and tensor headers are read and checked, no numbers yet."""

    directory: Path
    config: ModelConfig
    places: Mapping[str, Place]

    def __post_init__(self) -> None:
        model = skeleton(self.config)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        if model.head.weight is model.embedding.weight:
            del self.shapes["head.weight"]
        self.float32_names = {name for name, _ in model.named_buffers()}

    @property
    @abstractmethod
    def stored_dtype(self) -> torch.dtype:
        """The type of the weights on disk, by the tensor that every checkpoint has."""

    @abstractmethod
    def read(self, name: str, dtype: torch.dtype) -> Tensor:
        """Our tensor ``name`` in ``dtype``; selection biases stay float32. Each call reads from disk."""

    def names(self) -> list[str]:
        """Our tensors in the order of :meth:`tensors`; a tied head is left out."""
        return list(self.shapes)

    def tensors(self, dtype: torch.dtype = torch.float32) -> Iterator[tuple[str, Tensor]]:
        """Our tensors by name, each read once; memory stays at one stack of experts."""
        for name in self.names():
            yield name, self.read(name, dtype)

    def dtype_of(self, name: str, dtype: torch.dtype) -> torch.dtype:
        """The type of our tensor ``name`` where weights have ``dtype``: buffers stay float32."""
        return torch.float32 if name in self.float32_names else dtype


@dataclass
class OurCheckpoint(Checkpoint):
    """A folder whose tensors have the names and shapes of our module."""

    @property
    def stored_dtype(self) -> torch.dtype:
        return TYPES[self.places["embedding.weight"].type_name]

    def read(self, name: str, dtype: torch.dtype) -> Tensor:
        return self.places[name].read().to(self.dtype_of(name, dtype))


@dataclass
class ReleasedCheckpoint(Checkpoint):
    """A folder in the released format called ``format``."""

    format: str
    entries: tuple[Entry, ...]

    @property
    def stored_dtype(self) -> torch.dtype:
        return TYPES[self.places["model.embed_tokens.weight"].type_name]

    def read(self, name: str, dtype: torch.dtype) -> Tensor:
        (entry,) = (entry for entry in self.entries if name in entry.ours)
        return dict(self._load(entry, dtype))[name]

    def names(self) -> list[str]:
        return [name for entry in self.entries for name in entry.ours]

    def tensors(self, dtype: torch.dtype = torch.float32) -> Iterator[tuple[str, Tensor]]:
        for entry in self.entries:
            yield from self._load(entry, dtype)

    def _load(self, entry: Entry, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
        wanted = [self.shapes[name] for name in entry.ours]
        if all(tensor.name in self.places for tensor in entry.stored):
            tensors = entry.load(lambda name: self.places[name].read(), wanted, dtype)
        else:
            assert entry.default is not None
            tensors = [torch.full(shape, entry.default, dtype=entry.dtype(dtype)) for shape in wanted]
        return zip(entry.ours, tensors, strict=True)


def open_released(directory: str | Path) -> ReleasedCheckpoint:
    """Open a folder with ``config.json`` and safetensors shards in one of the released formats.

    Raises one :class:`ConfigError` that lists every file and tensor that is missing or damaged.
    """
    directory = Path(directory)
    if not (directory / "config.json").is_file():
        raise ConfigError(f"checkpoint={directory} is not a released checkpoint: it must hold config.json.")
    hub = HubConfig(read_json(directory / "config.json"), str(directory / "config.json"))
    family = detect(hub)
    config = family.read(hub)
    entries = tuple(family.entries(config))
    inventory = take_inventory(directory)
    stored = [tensor for entry in entries for tensor in entry.stored]
    optional = [tensor.name for entry in entries if entry.default is not None for tensor in entry.stored]
    require_sound(directory, inventory, stored, optional)
    return ReleasedCheckpoint(directory, config, inventory.places, family.name, entries)


def open_ours(directory: str | Path, config: ModelConfig) -> OurCheckpoint:
    """Open a folder of safetensors under the names of our module, as a run writes them, for ``config``.

    Raises one :class:`ConfigError` that lists every file and tensor that is missing or damaged.
    """
    directory = Path(directory)
    inventory = take_inventory(directory)
    stored = [Stored(name, tuple(tensor.shape)) for name, tensor in skeleton(config).state_dict().items()]
    require_sound(directory, inventory, stored, ["head.weight"] if config.tied_embeddings else [])
    return OurCheckpoint(directory, config, inventory.places)


def load_released(directory: str | Path, dtype: torch.dtype = torch.float32) -> Decoder:
    """The model of a released folder; see :func:`open_released` and :func:`decoder_of`."""
    return decoder_of(open_released(directory), dtype)


def decoder_of(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> Decoder:
    """The model of an opened checkpoint, on the CPU in ``dtype``, in evaluation mode.

    Beside the model itself, memory holds one stack of experts at most.
    """
    model = skeleton(checkpoint.config)
    tied = model.head.weight is model.embedding.weight
    for name, tensor in checkpoint.tensors(dtype):
        _put(model, name, tensor)
    if tied:
        model.head.weight = model.embedding.weight
    left = [name for name, tensor in model.state_dict().items() if tensor.is_meta]
    assert not left, f"the layout lacks {left}"
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
