"""The weights of a checkpoint folder as vectors in the residual stream, read tensor by tensor."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from lab.errors import ConfigError
from lab.independence.roles import FIXED, Role, role_of
from lab.model.checkpoint.reader import open_released
from lab.model.checkpoint.shards import TYPES, Place, take_inventory
from lab.trainer.checkpoint import newest_checkpoint

READ_TYPES = TYPES | {
    "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I8": torch.int8,
}
"""Types that can be compared: those of a quantised tensor without its scales, which row by row change nothing."""
HEAD = re.compile(r"(head|output|embed_out)\.weight$")


@dataclass
class Weights:
    """Tensors by name and shape, read one by one; ``vocabulary`` maps token strings to rows, where known.

    ``unusable`` says, tensor by tensor, what could not be read and why.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    fetch: Callable[[str], Tensor]
    vocabulary: Mapping[str, int] | None = None
    merges: tuple[str, ...] | None = None
    unusable: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.roles: dict[str, Role] = {name: role_of(name) for name in self.shapes}

    def read(self, name: str) -> Tensor | None:
        """The tensor, as stored if that is a float of 16 bits or more, else in float32.

        None, and a note in ``unusable``, where its numbers cannot be compared.
        """
        tensor = self.fetch(name)
        if tensor.dtype not in TYPES.values():
            tensor = tensor.float()
        if tensor.numel():
            low, high = (limit.item() for limit in tensor.aminmax())
            if not math.isfinite(low) or not math.isfinite(high):
                self.unusable[name] = "holds NaN or infinity"
                return None
            if low == high == 0:
                self.unusable[name] = "is all zeros"
                return None
        return tensor

    def size(self, module: str) -> int:
        """Numbers in the tensors of ``module``."""
        return sum(
            math.prod(shape) for name, shape in self.shapes.items() if self.roles[name].module == module
        )

    def width(self, module: str) -> int | None:
        """Width of the residual stream that ``module`` lives in; None where it cannot be told."""
        if module != "encoder":
            for name, shape in self.shapes.items():
                if self.roles[name].module == "embedding" and len(shape) == 2:
                    return shape[1]
        encoder = module == "encoder"
        sides = Counter(
            shape[-1]
            for name, shape in self.shapes.items()
            if len(shape) >= 2 and (self.roles[name].module == "encoder") == encoder
        )
        return sides.most_common(1)[0][0] if sides else None

    def vectors(self, module: str, writes: bool) -> Iterator[tuple[str, Tensor]]:
        """Every tensor of ``module``, as :meth:`read` gives it, as rows ``N D`` of the residual stream.

        Those of other widths are left out.
        """
        width = self.width(module)
        for name, shape in self.shapes.items():
            role = self.roles[name]
            if role.module != module or width is None or 0 in shape:
                continue
            transposed = is_transposed(shape, width, role)
            if transposed is None or transposed != writes:
                continue
            tensor = self.read(name)
            if tensor is not None:
                tensor = (tensor.transpose(-1, -2) if transposed else tensor).reshape(-1, width)
                yield name, tensor
                del tensor  # before the next is read

    def embedding_size(self) -> int:
        """Rows of the embedding; 0 where there is none."""
        name = self._embedding_name()
        return self.shapes[name][0] if name is not None else 0

    def embedding_rows(self, index: Tensor) -> Tensor | None:
        """Rows ``N D`` of the embedding in float32."""
        name = self._embedding_name()
        matrix = self.read(name) if name is not None else None
        return matrix[index].float() if matrix is not None else None

    def _embedding_name(self) -> str | None:
        for name, shape in self.shapes.items():
            if self.roles[name].module == "embedding" and len(shape) == 2 and not HEAD.search(name):
                return name
        return None


def is_transposed(shape: tuple[int, ...], width: int, role: Role) -> bool | None:
    """Whether columns rather than rows have ``width`` numbers; None where neither has."""
    rows_fit = bool(shape) and shape[-1] == width
    columns_fit = len(shape) >= 2 and shape[-2] == width
    if rows_fit and columns_fit:
        return role.writes
    return False if rows_fit else True if columns_fit else None


def open_pair(a: str, b: str) -> tuple[Weights, Weights]:
    """Two folders under names that they have in common.

    Tensors keep the names they have on disk where most of one folder's are in the other. Else those of a released
    family are renamed to ours, if its folder is whole, so that places can be compared across families.
    """
    one, other = open_weights(a, "a"), open_weights(b, "b")
    if 2 * len(one.shapes.keys() & other.shapes.keys()) >= min(len(one.shapes), len(other.shapes)):
        return one, other
    return _under_our_names(one), _under_our_names(other)


def _under_our_names(weights: Weights) -> Weights:
    try:
        checkpoint = open_released(weights.name)
    except ConfigError:  # ours already, of a family unknown here, or not whole: compared under its own names
        return weights
    return replace(
        weights, shapes=checkpoint.shapes, fetch=lambda name: checkpoint.read(name, checkpoint.stored_dtype)
    )


def open_weights(directory: str, key: str) -> Weights:
    """The weights of a run folder or of any folder of safetensors; ``key`` names the setting in errors."""
    folder = Path(directory)
    if not folder.is_dir():
        raise ConfigError(f"{key}={directory} cannot be used: it must be a folder with a checkpoint.")
    place = newest_checkpoint(folder) if (folder / "checkpoints").is_dir() else folder
    if place is None:
        raise ConfigError(f"{key}={directory} holds no valid checkpoint: let the run write one first.")
    inventory = take_inventory(place)
    unusable = dict.fromkeys(inventory.bad_files, "so its tensors are missing")
    unusable |= dict.fromkeys(inventory.lost, "is in a file that cannot be read")
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in inventory.places.items():
        if FIXED.search(name):
            continue
        if tensor.type_name not in READ_TYPES:
            unusable[name] = f"has the type {tensor.type_name}, and {', '.join(READ_TYPES)} are read"
        elif not tensor.is_complete or tensor.length != _bytes(tensor):
            unusable[name] = "is cut off"
        else:
            shapes[name] = tensor.shape
    if not shapes:
        faults = f" ({'; '.join(inventory.bad_files)})" if inventory.bad_files else ""
        raise ConfigError(
            f"{key}={directory} cannot be used: it must hold whole safetensors weights in "
            f"{', '.join(READ_TYPES)}{faults}."
        )
    vocabulary, merges = read_vocabulary(folder)
    places = inventory.places
    return Weights(directory, shapes, lambda name: _numbers(places[name]), vocabulary, merges, unusable)


def _bytes(place: Place) -> int:
    return math.prod(place.shape) * READ_TYPES[place.type_name].itemsize


def _numbers(place: Place) -> Tensor:
    """The tensor, as stored, in any of ``READ_TYPES``."""
    if place.type_name in TYPES:
        return place.read()
    with place.file.open("rb") as file:
        file.seek(place.start)
        numbers = bytearray(file.read(place.length))
    return torch.frombuffer(numbers, dtype=READ_TYPES[place.type_name]).view(place.shape)


def read_vocabulary(folder: Path) -> tuple[dict[str, int] | None, tuple[str, ...] | None]:
    """Token strings with their numbers, and merges by rank, from ``tokenizer.json`` or ``vocab.json``."""
    for file in ("tokenizer.json", "vocab.json"):
        try:
            content = json.loads((folder / file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        model = content.get("model", content) if isinstance(content, dict) else None
        if not isinstance(model, dict):
            continue
        vocabulary = model.get("vocab", content if file == "vocab.json" else None)
        if isinstance(vocabulary, list):  # unigram models list pairs of string and score
            if not all(isinstance(item, list) and item for item in vocabulary):
                continue
            vocabulary = {str(item[0]): number for number, item in enumerate(vocabulary)}
        if isinstance(vocabulary, dict) and vocabulary and all(map(_is_row, vocabulary.values())):
            return vocabulary, _merges(model.get("merges"))
    return None, None


def _is_row(number: object) -> bool:
    return isinstance(number, int) and number >= 0


def _merges(listed: object) -> tuple[str, ...] | None:
    """Merges by rank, whether stored as one string or two; None where there are none or they are something else."""
    if not isinstance(listed, list) or not all(isinstance(merge, str | list) for merge in listed):
        return None
    return tuple(merge if isinstance(merge, str) else " ".join(map(str, merge)) for merge in listed) or None
