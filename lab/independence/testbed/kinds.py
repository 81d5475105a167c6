"""The kinds of pairs that the testbed makes: children of a parent, and models that are none."""

from collections.abc import Callable

import torch

from lab.independence.testbed import derivations as ways
from lab.independence.testbed.models import PARENT_STEPS, State, as_weights, fresh, parent, train
from lab.independence.weights import Weights

Make = Callable[[State, int], Weights]


def _child(make: Callable[[State, int], State]) -> Make:
    return lambda state, seed: as_weights("child", make(state, seed))


def other_parent(seed: int, is_mixture: bool = False) -> State:
    """A model of its own, trained on the data of the parent with this seed."""
    return parent(700 + seed, seed % 3, is_mixture)


CHILDREN: dict[str, Make] = {
    "identical copy": _child(lambda p, s: p),
    "continued training": _child(lambda p, s: train(p, s % 3, 500 + s, PARENT_STEPS)),
    "fine-tuning": _child(lambda p, s: train(p, 1000 + s, 600 + s, 60)),
    "merged low-rank adapters": _child(ways.low_rank_merge),
    "pruning": _child(lambda p, s: ways.prune(p)),
    "width cloning": _child(lambda p, s: ways.clone_width(p)),
    "depth expansion": _child(lambda p, s: ways.rename_layers(p, [0, 0, 1, 1])),
    "one of two layers left out": _child(lambda p, s: ways.rename_layers(p, [1])),
    "layer permutation": _child(lambda p, s: ways.rename_layers(p, [1, 0])),
    "expert upcycling": _child(ways.upcycle),
    "unit permutation": _child(ways.permute_units),
    "head permutation": _child(ways.permute_heads),
    "residual permutation, signs": _child(lambda p, s: ways.rotate(p, ways.signed_permutation(s))),
    "residual rotation": _child(lambda p, s: ways.rotate(p, ways.orthogonal(s))),
    "rotation, units permuted, noise 0.3": _child(
        lambda p, s: ways.add_noise(ways.rotate(ways.permute_units(p, s), ways.orthogonal(s)), 0.3, s)
    ),
    "rescaling": _child(ways.rescale),
    "noise 1": _child(lambda p, s: ways.add_noise(p, 1.0, s)),
    "noise 4": _child(lambda p, s: ways.add_noise(p, 4.0, s)),
    "16-bit floats": _child(lambda p, s: ways.cast(p, torch.bfloat16)),
    "8-bit floats": _child(lambda p, s: ways.cast(p, torch.float8_e4m3fn)),
    "quantisation to 8 bits": _child(lambda p, s: ways.quantise(p, 8)),
    "quantisation to 4 bits": _child(lambda p, s: ways.quantise(p, 4)),
    "vocabulary swap": ways.swap_vocabulary,
    "average with another model": _child(lambda p, s: ways.mix(p, other_parent(s), 0.5)),
    "10 % mixed into another model": _child(lambda p, s: ways.mix(p, other_parent(s), 0.1)),
    "copy of 2.3 %": _child(lambda p, s: ways.copy_part(p, other_parent(s), 0.023, s)),
    "embedding taken over": _child(lambda p, s: ways.take_over(p, other_parent(s), "embedding")),
    "one matrix taken over": _child(lambda p, s: ways.take_over(p, other_parent(s), "blocks.0.mixer.query")),
    "norms taken over": _child(lambda p, s: ways.take_over(p, other_parent(s), "norm.weight")),
}
"""Children by kind: made of a parent's weights and a seed."""

MIXTURE_CHILDREN: dict[str, Make] = {
    "mixture: experts permuted": _child(ways.permute_experts),
    "mixture: one expert of 16 taken over": _child(
        lambda p, s: ways.take_expert(p, other_parent(s, True), s)
    ),
}
"""Children of a parent that has a mixture of experts."""

STRANGERS: dict[str, Make] = {
    "distilled": _child(lambda p, s: train(fresh(800 + s), s % 3, 800 + s, PARENT_STEPS, teacher=p)),
}
"""Models that a parent taught without giving them a weight."""

MIXTURE_STRANGERS: dict[str, Make] = {
    "mixtures, same data, other seed": _child(lambda p, s: other_parent(s, True)),
}
"""Mixtures of experts without a weight of the parent."""
