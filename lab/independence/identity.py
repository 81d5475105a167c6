"""Tensors that are the same in both models, number by number: a copy that was left as it was."""

from dataclasses import dataclass

import torch

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
        if b.shapes.get(name) != shape or (one := a.read(name)) is None or (other := b.read(name)) is None:
            continue
        if one.numel() < 2 or one.min() == one.max():
            continue
        common += 1
        wider = torch.promote_types(one.dtype, other.dtype)
        if torch.equal(one.to(wider), other.to(wider)):
            equal.append(name)
    return IdenticalTensors(len(equal), common, tuple(equal[:shown]))
