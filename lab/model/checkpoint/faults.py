"""Damage: everything that is wrong with the tensors of a folder, told in one error."""

import math
from collections.abc import Iterable
from pathlib import Path

from lab.errors import ConfigError
from lab.model.checkpoint.layout.entry import Stored
from lab.model.checkpoint.shards import TYPES, Inventory

NAMES_SHOWN = 20
"""Names of one kind of fault in a message; the rest are counted."""


def require_sound(
    directory: Path, inventory: Inventory, expected: Iterable[Stored], optional: Iterable[str] = ()
) -> None:
    """Hold the headers of a folder to the tensors it must have; ``optional`` names those it may lack.

    Raises one :class:`ConfigError` that lists every file that cannot be used and every missing, extra, misshapen,
    wrongly typed, truncated and misplaced tensor.
    """
    tensors = {tensor.name: tensor for tensor in expected}
    found, may_lack = inventory.places, {*optional, *inventory.lost, *(tensors if inventory.lost_all else ())}
    faults: dict[str, list[str]] = {
        "files": inventory.bad_files,
        "tensors missing": [name for name in tensors if name not in found and name not in may_lack],
        "tensors not of this architecture": [name for name in found if name not in tensors],
        "tensors of the wrong shape": [],
        "tensors of a type that cannot be read": [],
        "tensors truncated": [],
        "tensors not where the index says": [name for name, place in found.items() if not place.is_listed],
    }
    for name, place in found.items():
        tensor = tensors.get(name)
        if tensor is None:
            continue
        same_size = math.prod(place.shape) == math.prod(tensor.shape)
        if not (same_size if tensor.any_shape else place.shape == tensor.shape):
            shapes = f"{list(place.shape)} for {list(tensor.shape)}"
            faults["tensors of the wrong shape"].append(f"{name} {shapes}")
        elif place.type_name not in TYPES:
            faults["tensors of a type that cannot be read"].append(f"{name} {place.type_name}")
        elif not place.is_complete:
            faults["tensors truncated"].append(name)
    told = "; ".join(f"{kind}: {_shown(names)}" for kind, names in faults.items() if names)
    if told:
        raise ConfigError(f"checkpoint={directory} cannot be used, it has {told}.")


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
