"""Optimisers against obvious twins and against torch."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lab.kernels.newton_schulz import newton_schulz
from lab.trainer.clip import clip_gradients, gradient_norm
from lab.trainer.config import AdamWConfig, MuonConfig
from lab.trainer.groups import Kind, parameter_kinds
from lab.trainer.muon import Muon
from lab.trainer.optimizer import build_optimizer
from tests.trainer.stand_in import ADAMW, EXPERTS, HIDDEN, MUON, TinyModel

SHAPES = {
    "a": (24, 64),
    "b": (64, 24),
    "c": (32, 32),
    "d": (24, 40),
    "e.w_in": (3, 16, 40),
    "e.w_out": (3, 40, 8),
}


def orthogonal_twin(matrix: Tensor, steps: int = 5) -> Tensor:
    """One matrix, either way round, in float64: the iteration as published."""
    x = matrix.double() / (matrix.double().norm() + 1e-12)
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x if wide else x.T


def separate_maps(name: str, tensor: Tensor) -> list[Tensor]:
    """Views of the matrices that a parameter holds: one, one an expert, or two an expert."""
    experts = [tensor] if tensor.ndim == 2 else list(tensor)
    return [half for e in experts for half in e.chunk(2)] if name.endswith("w_in") else experts


def muon_twin(parameters: dict[str, Tensor], gradients: list[dict[str, Tensor]], config: MuonConfig) -> None:
    """Matrix by matrix, step by step, with the momentum written as in Jordan's post."""
    mu, lr = config.momentum, config.learning_rate
    momenta = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for gradient in gradients:
        for name, parameter in parameters.items():
            momenta[name] = mu * momenta[name] + gradient[name]
            update = gradient[name] + mu * momenta[name] if config.nesterov else momenta[name]
            parameter *= 1 - lr * config.weight_decay
            for target, part in zip(separate_maps(name, parameter), separate_maps(name, update), strict=True):
                target -= lr * 0.2 * max(part.shape) ** 0.5 * orthogonal_twin(part)


def random_set(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_equals_its_twin(nesterov: bool) -> None:
    config = replace(MUON, nesterov=nesterov, weight_decay=0.3)
    parameters = {name: nn.Parameter(value) for name, value in random_set(0).items()}
    twin = {name: value.double() for name, value in random_set(0).items()}
    gradients = [random_set(seed) for seed in (1, 2, 3)]
    muon = Muon(parameters, config)
    for gradient in gradients:
        for name, parameter in parameters.items():
            parameter.grad = gradient[name].clone()
        muon.step(1.0)
    muon_twin(twin, [{name: g.double() for name, g in gradient.items()} for gradient in gradients], config)
    for name, parameter in parameters.items():
        torch.testing.assert_close(parameter.data.double(), twin[name], rtol=0, atol=2e-5, msg=name)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.03), ("bfloat16", 0.02)])
def test_muon_agrees_with_torch_on_matrices(precision: str, tolerance: float) -> None:
    """torch always iterates in bfloat16, which is what the tolerance on the whole movement allows for."""
    config = replace(MUON, newton_schulz_precision=precision)
    start = {name: value for name, value in random_set(0).items() if value.ndim == 2}
    ours = {name: nn.Parameter(value.clone()) for name, value in start.items()}
    theirs = {name: nn.Parameter(value.clone()) for name, value in start.items()}
    muon = Muon(ours, config)
    reference = torch.optim.Muon(
        list(theirs.values()), lr=1e-2, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    for seed in (1, 2, 3):
        gradient = random_set(seed)
        for name in start:
            ours[name].grad, theirs[name].grad = gradient[name].clone(), gradient[name].clone()
        muon.step(1.0)
        reference.step()
    for name, value in start.items():
        moved, expected = ours[name].data - value, theirs[name].data - value
        assert (moved - expected).norm() < tolerance * expected.norm(), name


@pytest.mark.parametrize("columns", [48, 96, 480], ids=["iterated on X", "on the Gram matrix", "very wide"])
def test_newton_schulz_brings_singular_values_near_one(columns: int) -> None:
    torch.manual_seed(0)
    left, right = torch.linalg.qr(torch.randn(5, 48, 48))[0], torch.linalg.qr(torch.randn(5, columns, 48))[0]
    spectrum = torch.logspace(0, -2, 48)
    stack = (left * spectrum) @ right.mT
    orthogonal = newton_schulz(stack, steps=5)
    values = torch.linalg.svdvals(orthogonal)
    assert values.min() > 0.3
    assert values.max() < 1.3
    for matrix, expected in zip(orthogonal, stack, strict=True):
        torch.testing.assert_close(matrix.double(), orthogonal_twin(expected), rtol=0, atol=1e-4)


def test_an_expert_without_tokens_stays_where_it_is() -> None:
    parameter = nn.Parameter(torch.randn(3, 8, 16))
    before = parameter.detach().clone()
    parameter.grad = torch.randn(3, 8, 16)
    parameter.grad[1] = 0
    Muon({"w_out": parameter}, replace(MUON, weight_decay=0.0)).step(1.0)
    assert torch.equal(parameter[1], before[1])
    assert not torch.equal(parameter[0], before[0])


def test_updates_have_the_size_of_adamw() -> None:
    for shape in ((64, 64), (64, 256), (256, 64)):
        parameter = nn.Parameter(torch.zeros(shape))
        parameter.grad = torch.randn(shape)
        Muon({"w": parameter}, replace(MUON, learning_rate=1.0)).step(1.0)
        assert parameter.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.25)


def test_kinds_of_parameters() -> None:
    assert parameter_kinds(TinyModel()) == {
        "embedding.weight": Kind.VOCABULARY,
        "head.weight": Kind.VOCABULARY,
        "linear.weight": Kind.MATRIX,
        "linear.bias": Kind.VECTOR,
        "router.weight": Kind.ROUTER,
        "w_in": Kind.MATRIX,
        "w_out": Kind.MATRIX,
        "norm": Kind.VECTOR,
    }
    assert "head.weight" not in parameter_kinds(TinyModel(tied=True))


@pytest.mark.parametrize("config", [ADAMW, MUON], ids=["adamw", "muon"])
def test_weight_decay_spares_vectors_and_whoever_asks(config: AdamWConfig | MuonConfig) -> None:
    model = TinyModel()
    model.w_out.no_weight_decay = True
    before = copy.deepcopy(model.state_dict())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    build_optimizer(model, config).step(1.0)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"embedding.weight", "head.weight", "linear.weight", "router.weight", "w_in"}
    torch.testing.assert_close(model.w_in.data, before["w_in"] * (1 - 1e-2 * 0.1))


def test_adamw_equals_torch() -> None:
    ours, theirs = TinyModel(), TinyModel()
    matrices = [p for p in theirs.parameters() if p.ndim > 1]
    vectors = [p for p in theirs.parameters() if p.ndim == 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=5e-3, betas=(0.9, 0.95), weight_decay=0.1)
    optimizer = build_optimizer(ours, ADAMW)
    for seed in range(3):
        for mine, their in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.manual_seed(seed)
            mine.grad = torch.randn_like(mine)
            their.grad = mine.grad.clone()
        optimizer.step(0.5)
        reference.step()
    for mine, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", [ADAMW, MUON], ids=["adamw", "muon"])
def test_state_goes_round_by_name(config: AdamWConfig | MuonConfig) -> None:
    def steps(model: TinyModel, optimizer, seeds: range) -> None:
        for seed in seeds:
            torch.manual_seed(seed)
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step(1.0)

    model = TinyModel()
    optimizer = build_optimizer(model, config)
    steps(model, optimizer, range(3))
    copied = TinyModel()
    copied.load_state_dict(model.state_dict())
    other = build_optimizer(copied, config)
    other.load_state_tensors({name: tensor.clone() for name, tensor in optimizer.state_tensors().items()})
    steps(model, optimizer, range(3, 6))
    steps(copied, other, range(3, 6))
    for name, value in model.state_dict().items():
        assert torch.equal(value, copied.state_dict()[name]), name


def test_state_bytes_are_those_of_the_tensors() -> None:
    model = TinyModel()
    for config in (ADAMW, MUON):
        optimizer = build_optimizer(model, config)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step(1.0)
        tensors = {n: t for n, t in optimizer.state_tensors().items() if not n.endswith("/step")}
        assert optimizer.state_bytes() == sum(t.numel() * t.element_size() for t in tensors.values())
    matrices = 16 * 32 + 3 * EXPERTS * HIDDEN * 16
    saved = build_optimizer(model, ADAMW).state_bytes() - build_optimizer(model, MUON).state_bytes()
    assert saved == 4 * matrices


def test_clipping_keeps_the_direction_and_bounds_the_norm() -> None:
    gradients = [torch.full((3, 3), 2.0), torch.full((7,), -2.0)]
    assert gradient_norm(gradients).item() == pytest.approx(8.0)
    clip_gradients(gradients, norm=8.0, bound=9.0)
    assert gradients[0][0, 0] == 2.0
    clip_gradients(gradients, norm=8.0, bound=1.0)
    assert gradient_norm(gradients).item() == pytest.approx(1.0)
    assert gradients[1][0] == pytest.approx(-0.25)
