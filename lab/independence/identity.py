"""Tensors that are the same in both models, number by number: a copy that was left as it was."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.independence.weights import Weights


@dataclass(frozen=True)
class IdenticalTensors:
    """How many of the ``common`` tensors (of one name and shape, not constant) are equal, and the first few."""

    equal: int
    common: int
    names: tuple[str, ...]


def identical_tensors(a: Weights, b: Weights, shown: int = 5) -> IdenticalTensors:
    """Compare tensors of one name and shape. It describes: initial values that are no draw can be equal as well."""
    equal: list[str] = []
    common = 0
    for name, shape in a.shapes.items():
        same = _equal(a.read(name), b, name) if b.shapes.get(name) == shape else None
        common += same is not None
        if same:
            equal.append(name)
    return IdenticalTensors(len(equal), common, tuple(equal[:shown]))


def _equal(one: Tensor | None, b: Weights, name: str) -> bool | None:
    """Whether ``one`` equals ``b``'s tensor; None where they cannot be compared or are constant."""
    other = b.read(name) if one is not None else None
    if one is None or other is None or one.numel() < 2 or one.min() == one.max():
        return None
    wider = torch.promote_types(one.dtype, other.dtype)
    return torch.equal(one.to(wider), other.to(wider))
