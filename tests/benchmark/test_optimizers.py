"""Optimisers are compared at the same numerics, each on weights and gradients of its own."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from lab.benchmark import optimizers
from lab.benchmark.case import MACHINE
from lab.benchmark.optimizers import (
    ADAMWS,
    EXPERTS,
    MUON,
    MUONS,
    RACE,
    STACKS,
    adamw_case,
    direction_error,
    matrices_of,
    muon_case,
    separate,
)
from lab.benchmark.worker import BUILDERS
from lab.kernels.newton_schulz import flops
from lab.trainer.muon import Muon

SMALL = {
    "layer.w_in": (2, 16, 12),
    "layer.w_out": (2, 12, 8),
    "attention.weight": (12, 12),
    "down.weight": (8, 12),
}


@pytest.fixture(autouse=True)
def small_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same names and kinds of weights, whatever is asked for."""
    monkeypatch.setattr(
        optimizers, "matrices_of", lambda _: {name: nn.Parameter(torch.zeros(s)) for name, s in SMALL.items()}
    )


@pytest.mark.parametrize("library", [None, "torch.optim"])
def test_a_step_goes_where_the_equation_points(library: str | None) -> None:
    """torch iterates in bfloat16; ours in float32."""
    case = muon_case("any", library)
    case.run()
    assert case.facts["matrices"] == 8
    assert case.facts["direction_error"] < (1e-4 if library is None else 0.05)
    assert case.flops == 4 * flops(8, 12, 5) + 2 * flops(8, 12, 5) + flops(12, 12, 5) + flops(8, 12, 5)


@pytest.mark.parametrize(
    "library", [name for name in MUONS if "compiled" not in name and name != "torch.optim"]
)
def test_other_libraries_have_the_same_numerics(library: str) -> None:
    pytest.importorskip(library.split(",")[0].replace("-", "_"))
    case = muon_case("any", library)
    for _ in range(3):
        case.run()
    assert case.facts["direction_error"] < (1e-3 if "float32" in library else 0.2)


def test_an_error_in_the_direction_shows() -> None:
    parameters = separate({"w": nn.Parameter(torch.zeros(6, 9))})
    muon = Muon(parameters, MUON)
    assert direction_error(parameters, partial(muon.step, 1.0)) < 1e-5
    for name, wrong in {
        "momentum": {"momentum": 0.5},
        "nesterov": {"nesterov": False},
        "steps": {"newton_schulz_steps": 3},
    }.items():
        parameters = separate({"w": nn.Parameter(torch.zeros(6, 9))})
        muon = Muon(
            parameters, type(MUON)("muon", MUON.learning_rate, weight_decay=MUON.weight_decay, **wrong)
        )  # type: ignore[arg-type]
        assert direction_error(parameters, partial(muon.step, 1.0)) > 1e-2, name


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(optimizers.importlib, "import_module", missing)
    for library in ("pytorch-optimizer", "heavyball"):
        with pytest.raises(RuntimeError, match=f"^{library} is not installed, so it is left out$"):
            muon_case("any", library)


def test_the_suite() -> None:
    comparisons = optimizers.optimizers(Path("unused"))
    names = [one.name for one in comparisons]
    assert names[: len(RACE)] == [f"Muon, {family}, nano" for family in RACE]
    assert names[-3:] == [f"Muon, {EXPERTS}", f"Muon, {STACKS}", "AdamW, k_exaone, 8M active"]
    for one in comparisons:
        specs = one.specs()
        assert all(spec.builder in BUILDERS for spec in specs)
        assert (specs[-1].label == MACHINE) == one.name.startswith("Muon")


@pytest.mark.parametrize("weights", [EXPERTS, STACKS])
def test_experts_are_320_matrices(weights: str) -> None:
    shapes = [parameter.shape for parameter in separate(matrices_of(weights)).values()]
    assert len(shapes) == 320
    assert shapes.count(torch.Size([256, 256])) == shapes.count(torch.Size([256, 128])) == 160


@pytest.mark.parametrize("library", [None, *ADAMWS])
def test_adamw_moves_all_parameters_of_a_model(library: str | None) -> None:
    adamw_case("llama, nano", library).run()
