"""Which parameter is what: the rule that decides between Muon and AdamW and who is decayed."""

from enum import Enum

from torch import nn

from lab.model.decoder import Decoder

EXPERT_STACKS = ("w_in", "w_out")
"""Names of expert weights ``[E, rows, columns]``, one matrix an expert."""

FUSED_HALVES = ("w_in",)
"""Expert stacks whose rows are two maps, gate then up, stored as one for the sake of one product."""


class Kind(Enum):
    """What a parameter is to the optimiser."""

    MATRIX = "matrix"
    VOCABULARY = "vocabulary"
    ROUTER = "router"
    VECTOR = "vector"


def parameter_kinds(model: Decoder) -> dict[str, Kind]:
    """The kind of every parameter that is trained, by name; a tied parameter appears once.

    - ``ROUTER``: whatever belongs to ``model.routers()``. A router's rows compete by their size; Muon would
      move every row equally far, however few tokens its expert saw.
    - ``VOCABULARY``: embedding and head, found by their shape. Their rows belong to tokens, most of which a
      batch does not contain: nothing an orthogonal update could be about.
    - ``MATRIX``: weights of ``nn.Linear`` and expert stacks, the maps between hidden layers that Muon is for.
    - ``VECTOR``: the rest: norms, biases, lambdas, PolyNorm coefficients, convolution kernels, also where
      several are stored together in two dimensions.
    """
    routed = {id(p) for router in model.routers() for p in router.parameters()}
    embeddings = {module.weight.shape for module in model.modules() if isinstance(module, nn.Embedding)}
    linear = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    kinds = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in routed:
            kinds[name] = Kind.ROUTER
        elif parameter.shape in embeddings:
            kinds[name] = Kind.VOCABULARY
        elif id(parameter) in linear or (parameter.ndim == 3 and name.rsplit(".", 1)[-1] in EXPERT_STACKS):
            kinds[name] = Kind.MATRIX
        else:
            kinds[name] = Kind.VECTOR
    return kinds


def is_decayed(parameter: nn.Parameter, kind: Kind) -> bool:
    """Whether weight decay applies: never to vectors, nor to a parameter that carries ``no_weight_decay``."""
    return kind is not Kind.VECTOR and not getattr(parameter, "no_weight_decay", False)
