"""A whole Muon step in C++ against the step by parts, whose orthogonalisation is the naive one."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lab.kernels import cpp
from lab.kernels.registry import forget_paths_taken, paths_taken, use_path
from lab.trainer.muon import Muon
from tests.trainer.stand_in import MUON

SHAPES = {
    "wide": (24, 65),
    "high": (70, 24),
    "square": (33, 33),
    "row": (1, 17),
    "column": (17, 1),
    "one": (1, 1),
    "e.w_in": (3, 16, 40),
    "e.w_out": (3, 40, 8),
}

pytestmark = pytest.mark.skipif(not cpp.can_build(), reason="no C++ compiler that works is installed")


def random_set(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def moved(path: str, muon_settings: dict[str, float | bool], undecayed: str = "") -> dict[str, Tensor]:
    """Weights and momenta after three steps, of which the second knows no gradient of ``high``."""
    parameters = {name: nn.Parameter(value) for name, value in random_set(0).items()}
    if undecayed:
        parameters[undecayed].no_weight_decay = True  # type: ignore[attr-defined]
    muon = Muon(parameters, replace(MUON, **muon_settings))  # type: ignore[arg-type]
    for seed in (1, 2, 3):
        for name, gradient in random_set(seed).items():
            parameters[name].grad = gradient
        if seed == 2:
            parameters["high"].grad = None
        with use_path("newton_schulz", path):
            muon.step(0.5)
    return {**{name: p.detach() for name, p in parameters.items()}, **muon.state_tensors()}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"nesterov": False},
        {"momentum": 0.0},
        {"momentum": 0.3, "weight_decay": 0.4},
        {"weight_decay": 0.0, "newton_schulz_steps": 3},
    ],
    ids=str,
)
def test_a_step_at_once_equals_a_step_by_parts(settings: dict[str, float | bool]) -> None:
    at_once, by_parts = moved("cpp", settings), moved("naive", settings)
    for name, expected in by_parts.items():
        torch.testing.assert_close(at_once[name], expected, rtol=0, atol=1e-5, msg=name)


def test_who_asks_is_spared_the_decay() -> None:
    settings: dict[str, float | bool] = {"weight_decay": 0.9}
    at_once, by_parts = moved("cpp", settings, "e.w_out"), moved("naive", settings, "e.w_out")
    for name, expected in by_parts.items():
        torch.testing.assert_close(at_once[name], expected, rtol=0, atol=1e-5, msg=name)


def test_gradients_are_only_read_and_need_not_be_contiguous() -> None:
    weight, gradient = torch.randn(6, 10), torch.randn(10, 6).T
    plain, turned = nn.Parameter(weight.clone()), nn.Parameter(weight.clone())
    plain.grad, turned.grad = gradient.contiguous(), gradient
    before = gradient.clone()
    for parameter in (plain, turned):
        Muon({"w": parameter}, MUON).step(1.0)
    assert torch.equal(plain, turned)
    assert torch.equal(gradient, before)


def test_the_path_is_recorded_and_weights_that_are_no_float32_go_by_parts() -> None:
    for dtype, path in ((torch.float32, "cpp"), (torch.bfloat16, "batched")):
        parameter = nn.Parameter(torch.randn(4, 6, dtype=dtype))
        parameter.grad = torch.randn(4, 6, dtype=dtype)
        forget_paths_taken()
        Muon({"w": parameter}, MUON).step(1.0)
        assert set(paths_taken()["newton_schulz"]) == {path}
    forget_paths_taken()
