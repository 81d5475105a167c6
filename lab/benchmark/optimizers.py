"""Suite ``optimizers``: a Muon step (momentum, Newton-Schulz, movement) and an AdamW step, ours and other libraries'.

Gradients are given. Every Muon has the same coefficients, five iterations, Nesterov momentum and decoupled decay.
``torch.optim.Muon`` refuses expert stacks and the others would flatten each to one matrix, so all of them are given
single matrices; so that the numerics are the same, gate and up of an expert are two.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from lab.benchmark.case import OURS, Case, CaseSpec, Comparison
from lab.benchmark.contenders import LARGE, NANO, contender
from lab.config import compose
from lab.face import build
from lab.kernels.newton_schulz import flops, naive
from lab.kernels.newton_schulz.naive import CUBIC, LINEAR, QUINTIC
from lab.trainer.adamw import AdamW
from lab.trainer.config import AdamWConfig, MuonConfig
from lab.trainer.groups import Kind, parameter_kinds
from lab.trainer.muon import Muon, as_matrices, as_stack

RACE = ("k_exaone", "solar_open", "ax_k1", "motif_2", "llama")
"""The contenders of the race."""

EXPERTS, STACKS = "320 experts' matrices", "320 experts' matrices in 10 stacks"
"""160 of 256 x 256 and 160 of 256 x 128: by themselves, and as the stacks of 5 layers of 32 experts."""

MUON = MuonConfig("muon", learning_rate=1e-2, weight_decay=0.1, momentum=0.9)
ADAMW = AdamWConfig("adamw", learning_rate=1e-2, weight_decay=0.1)

Named = dict[str, nn.Parameter]


def optimizers(folder: Path) -> list[Comparison]:
    """Muon on the matrices of the race's models, of a larger mixture and on experts alone; AdamW on that mixture."""
    models = [f"{family}, {NANO}" for family in RACE] + [f"k_exaone, {LARGE}"]
    muon = [_compared("Muon", "muon", matrices, MUONS) for matrices in (*models, EXPERTS, STACKS)]
    return [*muon, _compared("AdamW", "adamw", f"k_exaone, {LARGE}", ADAMWS)]


def _compared(title: str, builder: str, weights: str, libraries: Mapping[str, Any]) -> Comparison:
    def spec(label: str, library: str | None) -> CaseSpec:
        return CaseSpec(label, builder, {"weights": weights, "library": library})

    others = [spec(label, label) for label in libraries]
    return Comparison(f"{title}, {weights}", spec(OURS, None), others, against_machine=title == "Muon")


# ---- the weights ----


def matrices_of(weights: str) -> Named:
    """The matrices that Muon moves, by name: of experts alone, or of a model as in ``k_exaone, nano``."""
    if weights in (EXPERTS, STACKS):
        stacks = {
            f"{layer}.{kind}": (32, 256, columns)
            for layer in range(5)
            for kind, columns in (("gate_up", 256), ("down", 128))
        }
        if weights == STACKS:
            return {name: _zeros(shape) for name, shape in stacks.items()}
        return {f"{name}.{i}": _zeros(shape[1:]) for name, shape in stacks.items() for i in range(shape[0])}
    parameters, kinds = _parameters_of(weights)
    return {name: p for name, p in parameters.items() if kinds[name] is Kind.MATRIX}


def _parameters_of(model: str) -> tuple[Named, Mapping[str, Kind]]:
    built = build(compose(contender(*model.split(", "))))
    kinds = parameter_kinds(built)
    return {name: _zeros(p.shape) for name, p in built.named_parameters() if name in kinds}, kinds


def _zeros(shape: Sequence[int]) -> nn.Parameter:
    """Weights that hold what an optimiser made of the gradients and nothing else."""
    return nn.Parameter(torch.zeros(shape))


def give_gradients(parameters: Named, seed: int) -> None:
    """Normal ones of the size 0.01."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters.values():
        parameter.grad = 1e-2 * torch.randn(parameter.shape, generator=generator)


def separate(parameters: Named) -> Named:
    """Every matrix as a parameter of its own."""
    return {
        f"{name}.{i}": nn.Parameter(matrix.clone())
        for name, parameter in parameters.items()
        for i, matrix in enumerate(as_matrices(name, parameter.detach()))
    }


# ---- Muon ----


def _torch_muon(parameters: list[nn.Parameter]) -> Callable[[], Any]:
    """In bfloat16, which it always is."""
    return torch.optim.Muon(
        parameters,
        lr=MUON.learning_rate,
        weight_decay=MUON.weight_decay,
        momentum=MUON.momentum,
        ns_coefficients=(LINEAR, CUBIC, QUINTIC),
        adjust_lr_fn="match_rms_adamw",
    ).step


def _pytorch_optimizer_muon(
    parameters: list[nn.Parameter], method: str = "newton_schulz", precision: torch.dtype | None = None
) -> Callable[[], Any]:
    """Matrices of a shape together; in bfloat16, or in the precision that its own iteration is told."""
    library = _library("pytorch_optimizer", "pytorch-optimizer")
    if precision is not None:
        base = importlib.import_module("pytorch_optimizer.optimizer.muon.base")
        iteration = f"zero_power_via_{'newton_schulz_5' if method == 'newton_schulz' else method}"
        setattr(base, iteration, partial(getattr(base, iteration), dtype=precision))
    optimizer = library.Muon(
        [{"params": parameters, "use_muon": True}],
        lr=MUON.learning_rate,
        momentum=MUON.momentum,
        weight_decay=MUON.weight_decay,
        ns_coeffs=(LINEAR, CUBIC, QUINTIC),
        ns_method=method,
        use_adjusted_lr=True,
        foreach=True,
    )
    step: Callable[[], Any] = optimizer.step
    return step


def _heavyball_muon(parameters: list[nn.Parameter], compiled: bool) -> Callable[[], Any]:
    """With its iteration of the usual coefficients for matrices of any shape; it rounds to bfloat16 at random.

    A step overwrites the gradients with the update, so that they are restored before each: less than a hundredth of it.
    """
    library = _library("heavyball", "heavyball")
    library.utils.compile_mode = "default" if compiled else None
    library.utils.zeropower_via_newtonschulz5 = library.utils.legacy_zeropower_via_newtonschulz5
    optimizer = library.Muon(
        parameters,
        lr=MUON.learning_rate,
        betas=(MUON.momentum, 0.99),
        weight_decay=MUON.weight_decay,
        heavyball_momentum=True,
    )
    optimizer.consume_grad = False
    given: list[tuple[Tensor, Tensor]] = []

    def step() -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not given or given[0][0] is not gradients[0]:
            given[:] = [(gradient, gradient.clone()) for gradient in gradients]
        torch._foreach_copy_(gradients, [kept for _, kept in given])
        optimizer.step()

    return step


def _library(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise RuntimeError(f"{name} is not installed, so it is left out") from None


MUONS: Mapping[str, Callable[[list[nn.Parameter]], Callable[[], Any]]] = {
    "torch.optim": _torch_muon,
    "pytorch-optimizer": _pytorch_optimizer_muon,
    "pytorch-optimizer, float32": partial(_pytorch_optimizer_muon, precision=torch.float32),
    "pytorch-optimizer, Gram, float32": partial(
        _pytorch_optimizer_muon, method="gram_newton_schulz", precision=torch.float32
    ),
    "heavyball": partial(_heavyball_muon, compiled=False),
    "heavyball, compiled": partial(_heavyball_muon, compiled=True),
}
"""Ways to a Muon step; ``float32`` tells the library's own iteration the type that its optimiser does not ask for."""


def muon_case(weights: str, library: str | None) -> Case:
    """A step on the matrices of ``weights``: ours, or by one of :data:`MUONS`.

    FLOPs are those that the shorter way of the README of ``lab/kernels/newton_schulz`` needs.
    """
    parameters = matrices_of(weights)
    shapes = [matrix.shape for name, p in parameters.items() for matrix in as_stack(name, p)]
    step: Callable[[], Any]
    if library is None:
        muon = Muon(parameters, MUON)
        step = partial(muon.step, 1.0)
    else:
        parameters = separate(parameters)
        step = MUONS[library](list(parameters.values()))
    error = direction_error(parameters, step)
    work = sum(flops(rows, columns, MUON.newton_schulz_steps) for rows, columns in shapes)
    return Case(step, flops=work, facts={"direction_error": error, "matrices": len(shapes)})


def direction_error(parameters: Named, step: Callable[[], Any]) -> float:
    """How far a second step, in which the first has part by its momentum, points away from the naive float32 one.

    The root mean square, over all matrices, of the distance between the two directions, each of length one.
    """
    mu = MUON.momentum
    momenta: dict[str, Tensor] = {}
    updates: dict[str, Tensor] = {}
    before: dict[str, Tensor] = {}
    for seed in (1, 2):
        give_gradients(parameters, seed)
        before = {name: p.detach().clone() for name, p in parameters.items()}
        momenta = {
            name: p.grad + mu * momenta.get(name, torch.zeros(()))
            for name, p in parameters.items()
            if p.grad is not None
        }
        updates = {name: mu * momenta[name] + p.grad for name, p in parameters.items() if p.grad is not None}
        step()
    distances = []
    for name, parameter in parameters.items():
        moved = parameter.detach() - (1 - MUON.learning_rate * MUON.weight_decay) * before[name]
        expected = naive.newton_schulz(as_stack(name, updates[name]), MUON.newton_schulz_steps)
        distances += [_distance(-a, b) for a, b in zip(as_stack(name, moved), expected, strict=True)]
    return float(torch.stack(distances).square().mean().sqrt())


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return (a / a.norm() - b / b.norm()).norm()


# ---- AdamW ----

ADAMWS: Mapping[str, dict[str, Any]] = {
    "torch.optim, fused": {"fused": True},
    "torch.optim, foreach": {"foreach": True},
}


def adamw_case(weights: str, library: str | None) -> Case:
    """A step on all parameters of a model: ours, or by one of :data:`ADAMWS`."""
    parameters, kinds = _parameters_of(weights)
    give_gradients(parameters, seed=1)
    if library is None:
        return Case(partial(AdamW(parameters, kinds, ADAMW).step, 1.0))
    vectors = [name for name, kind in kinds.items() if kind is Kind.VECTOR]
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in parameters.items() if name not in vectors]},
        {"params": [parameters[name] for name in vectors], "weight_decay": 0.0},
    ]
    settings: dict[str, Any] = {"lr": ADAMW.learning_rate, "betas": tuple(ADAMW.betas), "eps": ADAMW.eps}
    return Case(
        torch.optim.AdamW(groups, weight_decay=ADAMW.weight_decay, **settings, **ADAMWS[library]).step
    )
