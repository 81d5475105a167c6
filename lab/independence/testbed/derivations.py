"""Ways to make a child of a parent, and models that are no children."""

import torch
from torch import Tensor

from lab.independence.testbed.models import (
    HEADS,
    HIDDEN,
    LAYERS,
    VOCABULARY,
    WIDTH,
    State,
    as_weights,
    train,
)
from lab.independence.weights import Weights

READS = ("query", "key", "value", "gate", "up")
WRITES = ("output", "down")
TRUNK = ("embedding.weight", "head.weight")


def copy_part(source: State, target: State, fraction: float, seed: int) -> State:
    """``target`` with a random ``fraction`` of each matrix's residual vectors taken from ``source``."""
    chance = chance_of(seed)
    result = {name: tensor.clone() for name, tensor in target.items()}
    for name, tensor in result.items():
        if tensor.ndim == 2:
            axis = 1 if _kind(name) in WRITES else 0
            chosen = torch.rand(tensor.shape[axis], generator=chance) < fraction
            index = (slice(None), chosen) if axis else (chosen,)
            tensor[index] = source[name][index]
    return result


def copy_rows(source: State, target: State, count: int, seed: int) -> State:
    """``target`` with exactly ``count`` residual vectors, drawn from all matrices, taken from ``source``."""
    result = {name: tensor.clone() for name, tensor in target.items()}
    places = [
        (name, row)
        for name, tensor in target.items()
        if tensor.ndim == 2
        for row in range(_vectors(name, tensor))
    ]
    for place in torch.randperm(len(places), generator=chance_of(seed))[:count].tolist():
        name, row = places[place]
        index = (slice(None), row) if _kind(name) in WRITES else row
        result[name][index] = source[name][index]
    return result


def count_rows(state: State) -> int:
    """Residual vectors in all matrices."""
    return sum(_vectors(name, tensor) for name, tensor in state.items() if tensor.ndim == 2)


def low_rank_merge(state: State, seed: int) -> State:
    """Fine-tuned with every matrix's change cut to rank four, as merged adapters leave it."""
    tuned = train(state, data=1000 + seed, order=seed, steps=60)
    merged = {}
    for name, tensor in tuned.items():
        if tensor.ndim != 2 or name in TRUNK:
            merged[name] = state[name]
            continue
        u, s, v = torch.linalg.svd(tensor - state[name])
        merged[name] = state[name] + (u[:, :4] * s[:4]) @ v[:4]
    return merged


def prune(state: State) -> State:
    """Half of each feed-forward's units, those with the largest down vectors."""
    result = dict(state)
    for layer in range(LAYERS):
        at = f"blocks.{layer}.feed_forward"
        kept = state[f"{at}.down.weight"].norm(dim=0).topk(HIDDEN // 2).indices
        for part in ("gate", "up"):
            result[f"{at}.{part}.weight"] = state[f"{at}.{part}.weight"][kept]
        result[f"{at}.down.weight"] = state[f"{at}.down.weight"][:, kept]
    return result


def clone_width(state: State) -> State:
    """Twice the width and hidden units: every number is doubled in place, reads are halved."""
    result: State = {}
    for name, tensor in state.items():
        if tensor.ndim == 1:
            result[name] = torch.cat([tensor, tensor])
        elif name == "embedding.weight":
            result[name] = torch.cat([tensor, tensor], dim=1)
        elif name == "head.weight":
            result[name] = torch.cat([tensor, tensor], dim=1) / 2
        else:
            result[name] = torch.cat([torch.cat([tensor, tensor], dim=1)] * 2, dim=0) / 2
    return result


def rename_layers(state: State, order: list[int]) -> State:
    """Layers of ``state`` in ``order``, repeats included."""
    result = {name: tensor for name, tensor in state.items() if not name.startswith("blocks.")}
    for new, old in enumerate(order):
        for name, tensor in state.items():
            if name.startswith(f"blocks.{old}."):
                result[name.replace(f"blocks.{old}.", f"blocks.{new}.", 1)] = tensor
    return result


def upcycle(state: State, seed: int, experts: int = 4) -> State:
    """Feed-forwards copied into ``experts`` with noise, and a new router."""
    chance = chance_of(seed)
    result = {name: t for name, t in state.items() if ".feed_forward." not in name}
    for layer in range(LAYERS):
        at = f"blocks.{layer}.feed_forward"
        unit = torch.cat([state[f"{at}.gate.weight"], state[f"{at}.up.weight"]])
        for name, tensor in (("w_in", unit), ("w_out", state[f"{at}.down.weight"])):
            stack = tensor.expand(experts, *tensor.shape)
            noise = torch.randn(stack.shape, generator=chance) * tensor.std() * 0.3
            result[f"{at}.{name}"] = stack + noise
        result[f"{at}.router.weight"] = torch.randn(experts, WIDTH, generator=chance) * 0.02
    return result


def permute_units(state: State, seed: int) -> State:
    """Hidden units of each feed-forward in another order; the function is the same."""
    chance = chance_of(seed)
    result = dict(state)
    for layer in range(LAYERS):
        at = f"blocks.{layer}.feed_forward"
        order = torch.randperm(HIDDEN, generator=chance)
        for part in ("gate", "up"):
            result[f"{at}.{part}.weight"] = state[f"{at}.{part}.weight"][order]
        result[f"{at}.down.weight"] = state[f"{at}.down.weight"][:, order]
    return result


def permute_heads(state: State, seed: int) -> State:
    """Attention heads of each layer in another order; the function is the same."""
    chance = chance_of(seed)
    result = dict(state)
    for layer in range(LAYERS):
        at = f"blocks.{layer}.mixer"
        order = torch.arange(WIDTH).view(HEADS, -1)[torch.randperm(HEADS, generator=chance)].flatten()
        for part in ("query", "key", "value"):
            result[f"{at}.{part}.weight"] = state[f"{at}.{part}.weight"][order]
        result[f"{at}.output.weight"] = state[f"{at}.output.weight"][:, order]
    return result


def rotate(state: State, rotation: Tensor) -> State:
    """Another basis of the residual stream, gains folded into what they feed; the function is the same."""
    result: State = {}
    for name, tensor in state.items():
        if tensor.ndim == 1:
            result[name] = torch.ones_like(tensor)
        elif _kind(name) in WRITES:
            result[name] = rotation @ tensor
        else:
            result[name] = (tensor * _gain(state, name)) @ rotation.T
    return result


def rescale(state: State, seed: int) -> State:
    """Units and gains rescaled by factors between 1/4 and 4; the function is the same."""
    chance = chance_of(seed)
    result = dict(state)
    for layer in range(LAYERS):
        at = f"blocks.{layer}.feed_forward"
        factor = 4 ** (2 * torch.rand(HIDDEN, generator=chance) - 1)
        result[f"{at}.up.weight"] = state[f"{at}.up.weight"] * factor[:, None]
        result[f"{at}.down.weight"] = state[f"{at}.down.weight"] / factor
    return result


def add_noise(state: State, amount: float, seed: int) -> State:
    """Every matrix with Gaussian noise of ``amount`` times its own standard deviation."""
    chance = chance_of(seed)
    return {
        name: t + amount * t.std() * torch.randn(t.shape, generator=chance) if t.ndim == 2 else t
        for name, t in state.items()
    }


def quantise(state: State, bits: int) -> State:
    """Every matrix rounded to ``bits``, one scale a row, and back."""
    limit = 2 ** (bits - 1) - 1
    result = {}
    for name, tensor in state.items():
        scale = tensor.abs().amax(dim=-1, keepdim=True) / limit
        result[name] = (tensor / scale).round() * scale if tensor.ndim == 2 else tensor
    return result


def cast(state: State, dtype: torch.dtype) -> State:
    """Every number through ``dtype`` and back."""
    return {name: tensor.to(dtype).float() for name, tensor in state.items()}


def mix(one: State, other: State, share: float) -> State:
    """``share`` of the first and the rest of the second, number by number."""
    return {name: share * tensor + (1 - share) * other[name] for name, tensor in one.items()}


def take_over(source: State, target: State, part: str) -> State:
    """``target`` with the tensors of ``source`` whose names hold ``part``."""
    return {name: source[name] if part in name else tensor for name, tensor in target.items()}


def take_expert(source: State, target: State, seed: int) -> State:
    """``target`` with one expert of its first layer replaced by one of ``source``, at another place."""
    chance = chance_of(seed)
    result = {name: tensor.clone() for name, tensor in target.items()}
    for name in ("blocks.0.feed_forward.w_in", "blocks.0.feed_forward.w_out"):
        here, there = torch.randperm(len(source[name]), generator=chance)[:2].tolist()
        result[name][here] = source[name][there]
    return result


def permute_experts(state: State, seed: int) -> State:
    """Experts of each layer in another order, and the router's rows with them; the function is the same."""
    chance = chance_of(seed)
    result = dict(state)
    for layer in range(LAYERS):
        at = f"blocks.{layer}.feed_forward"
        names = [name for name in state if name.startswith((f"{at}.w_", f"{at}.router."))]
        order = torch.randperm(len(state[names[0]]), generator=chance)
        result |= {name: state[name][order] for name in names}
    return result


def swap_vocabulary(state: State, seed: int) -> Weights:
    """Tokens in another order, rows with them."""
    order = torch.randperm(VOCABULARY, generator=chance_of(seed))
    numbers = order.argsort()
    return as_weights("child", {n: t[order] if n in TRUNK else t for n, t in state.items()}, numbers)


def chance_of(seed: int) -> torch.Generator:
    """Apart from the draws of initial weights: noise from a parent's own seed would be that parent's first draw."""
    return torch.Generator().manual_seed(77_000_000 + seed)


def orthogonal(seed: int) -> Tensor:
    """A rotation ``D D``."""
    chance = chance_of(seed)
    return torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=chance)).Q


def signed_permutation(seed: int) -> Tensor:
    """Coordinates in another order, half of them with the other sign, as a matrix ``D D``."""
    chance = chance_of(seed)
    signs = torch.randint(0, 2, (WIDTH, 1), generator=chance) * 2.0 - 1
    return torch.eye(WIDTH)[torch.randperm(WIDTH, generator=chance)] * signs


def _kind(name: str) -> str:
    return name.split(".")[-2]


def _vectors(name: str, matrix: Tensor) -> int:
    return matrix.shape[1] if _kind(name) in WRITES else matrix.shape[0]


def _gain(state: State, name: str) -> Tensor:
    if name == "embedding.weight":
        return torch.ones(WIDTH)
    if name == "head.weight":
        return state["norm.weight"]
    layer, part = name.split(".")[1:3]
    join = "mixer_join" if part == "mixer" else "feed_forward_join"
    return state[f"blocks.{layer}.{join}.norm.weight"]
