"""Hidden units of feed-forwards and attentions: vectors in the residual stream that belong together by their place."""

import re
from collections.abc import Mapping

from torch import Tensor

from lab.independence.roles import unit_part
from lab.independence.weights import Weights, is_transposed

Names = dict[str, str]

ATTENTION_PARTS = {
    "query": re.compile(r"(?:^|\.)(?:query|q_proj|wq)(?:\.weight)?$"),
    "output": re.compile(r"(?:^|\.)(?:output|o_proj|out_proj|wo)(?:\.weight)?$"),
    "key": re.compile(r"(?:^|\.)(?:key|k_proj|wk)(?:\.weight)?$"),
    "value": re.compile(r"(?:^|\.)(?:value|v_proj|wv)(?:\.weight)?$"),
}
COUPLED = (("query", "output"), ("key", "value"))
"""Parts of an attention whose vectors of one place are of one head; a model has as many of the one as of the other."""
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


def unit_groups(weights: Weights, module: str) -> dict[str, Names]:
    """Tensor names by part, for each feed-forward or expert (``experts``) or half of an attention (``attention``)."""
    groups: dict[str, Names] = {}
    for name in weights.shapes:
        if weights.roles[name].module != module:
            continue
        base = name.removesuffix(".weight").rpartition(".")[0]
        if module == "experts" and (part := unit_part(name)) is not None:
            groups.setdefault(base, {})[part] = name
        if module == "attention":
            for pair in COUPLED:
                for part in pair:
                    if ATTENTION_PARTS[part].search(name):
                        groups.setdefault(f"{base} {' and '.join(pair)}", {})[part] = name
    return {base: names for base, names in groups.items() if len(names) >= 2 or "gate and up" in names}


def read_units(weights: Weights, module: str, names: Mapping[str, str]) -> dict[str, Tensor]:
    """The vectors ``N D`` of a group's units by part; empty where fewer than two parts are alike in shape.

    The gain of the norm in front is multiplied into what reads, so that folding it in changes nothing. The parts of an
    attention are called ``first`` and ``second``.
    """
    parts: dict[str, Tensor] = {}
    width = weights.width(module)
    for part, name in names.items():
        if (
            width is None
            or (transposed := is_transposed(weights.shapes[name], width, weights.roles[name])) is None
        ):
            continue
        tensor = weights.read(name)
        if tensor is None or tensor.ndim < 2:
            continue
        tensor = tensor.transpose(-1, -2) if transposed else tensor
        if part == "gate and up":
            for half, matrix in zip(("gate", "up"), tensor.chunk(2, dim=-2), strict=True):
                parts[half] = matrix.reshape(-1, width)
        else:
            parts[part] = tensor.reshape(-1, width)
    gain = _gain(weights, module, next(iter(names.values())))
    if gain is not None and gain.shape == (width,):
        parts |= {part: matrix * gain for part, matrix in parts.items() if part in READS}
    if len(parts) < 2 or len({matrix.shape for matrix in parts.values()}) > 1:
        return {}
    return dict(zip(("first", "second"), parts.values(), strict=True)) if module == "attention" else parts


def _gain(weights: Weights, module: str, name: str) -> Tensor | None:
    layer = weights.roles[name].layer
    for other in weights.shapes:
        if weights.roles[other].layer == layer and other.endswith(GAINS[module]):
            return weights.read(other)
    return None
