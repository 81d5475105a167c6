"""Hidden units of feed-forwards and attentions: vectors in the residual stream that belong together by their place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lab.independence.roles import unit_part
from lab.independence.weights import Weights, is_transposed

ATTENTION_PARTS = {
    "query": re.compile(r"(?:^|\.)(?:query|q_proj|wq)(?:\.weight)?$"),
    "output": re.compile(r"(?:^|\.)(?:output|o_proj|out_proj|wo)(?:\.weight)?$"),
    "key": re.compile(r"(?:^|\.)(?:key|k_proj|wk)(?:\.weight)?$"),
    "value": re.compile(r"(?:^|\.)(?:value|v_proj|wv)(?:\.weight)?$"),
}
COUPLED = (("query", "output"), ("key", "value"))
"""Parts of an attention whose vectors of one place are of one head; a model has as many of the one as of the other."""
ATTENTION_NAMES = {
    part: name for pair in COUPLED for part, name in zip(pair, ("first", "second"), strict=True)
}
GAINS = {
    "experts": (
        "feed_forward_join.norm.weight",
        "post_attention_layernorm.weight",
        "pre_feedforward_layernorm.weight",
        "ffn_norm.weight",
        "ln_2.weight",
    ),
    "attention": ("mixer_join.norm.weight", "input_layernorm.weight", "attention_norm.weight", "ln_1.weight"),
}
READS = ("gate", "up", "query", "key", "value")


@dataclass(frozen=True)
class Part:
    """One vector of each unit of a group: a tensor, or the first or second ``half`` of its rows."""

    name: str
    is_transposed: bool
    reads: bool
    half: int | None = None


@dataclass(frozen=True)
class UnitGroup:
    """A feed-forward, a stack of experts, or half of an attention: ``stacks`` times ``units``, by part."""

    parts: Mapping[str, Part]
    stacks: int
    units: int
    layer: int | None

    @property
    def count(self) -> int:
        return self.stacks * self.units


def unit_groups(weights: Weights, module: str) -> dict[str, UnitGroup]:
    """The groups of ``module``, ``experts`` or ``attention``, that have two parts of one shape or more.

    The parts of an attention are called ``first`` (query or key) and ``second`` (output or value).
    """
    found: dict[str, dict[str, str]] = {}
    for name in weights.shapes:
        if weights.roles[name].module != module:
            continue
        base = name.removesuffix(".weight").rpartition(".")[0]
        if module == "experts" and (part := unit_part(name)) is not None:
            found.setdefault(base, {})[part] = name
        if module == "attention":
            for pair in COUPLED:
                for part in pair:
                    if ATTENTION_PARTS[part].search(name):
                        found.setdefault(f"{base} {' and '.join(pair)}", {})[part] = name
    width = weights.width(module)
    groups = {base: _group(weights, names, width) for base, names in found.items() if width is not None}
    return {base: group for base, group in groups.items() if group is not None}


def _group(weights: Weights, names: Mapping[str, str], width: int) -> UnitGroup | None:
    """The group of tensors ``names`` by part; None where fewer than two are alike in shape."""
    parts: dict[str, Part] = {}
    shapes = set()
    for part, name in names.items():
        shape, role = weights.shapes[name], weights.roles[name]
        transposed = is_transposed(shape, width, role)
        if transposed is None or len(shape) not in (2, 3):
            continue
        units = shape[-1] if transposed else shape[-2]
        stacks = shape[0] if len(shape) == 3 else 1
        if part == "gate and up":
            parts |= {half: Part(name, transposed, True, i) for i, half in enumerate(("gate", "up"))}
            units //= 2
        else:
            parts[ATTENTION_NAMES.get(part, part)] = Part(name, transposed, part in READS)
        shapes.add((stacks, units))
    if len(parts) < 2 or len(shapes) > 1:
        return None
    return UnitGroup(parts, *shapes.pop(), role.layer)


def read_part(weights: Weights, part: Part) -> Tensor | None:
    """Vectors ``S N D`` of a group's units, as stored and without a copy; None where they cannot be compared."""
    tensor = weights.read(part.name)
    if tensor is None:
        return None
    tensor = tensor.transpose(-1, -2) if part.is_transposed else tensor
    if part.half is not None:
        tensor = tensor.chunk(2, dim=-2)[part.half]
    return tensor[None] if tensor.ndim == 2 else tensor


def read_gain(weights: Weights, module: str, group: UnitGroup) -> Tensor | None:
    """The gain ``D`` of the norm in front of a group: with it what reads is the same as with it folded in."""
    for name, shape in weights.shapes.items():
        if weights.roles[name].layer == group.layer and name.endswith(GAINS[module]):
            gain = weights.read(name) if shape == (weights.width(module),) else None
            return None if gain is None else gain.float()
    return None
