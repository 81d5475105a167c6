"""C++ of what stands between matrix products: against the equations, on views, with threads, and where numbers end."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.kernels import cpp
from lab.kernels.registry import PATHS
from lab.kernels.rotary import rotary_table
from tests.kernels.twins import hold_to_twin, normal, values_and_gradients

pytestmark = pytest.mark.skipif(not cpp.can_build(), reason="no C++ compiler that works is installed")
LENGTHS = (1, 63, 500, 1000)
TYPES = [pytest.param(torch.float32, 1e-5, id="float32"), pytest.param(torch.bfloat16, 2e-2, id="bfloat16")]
Call = Callable[..., Tensor]


def table(length: int, dim: int) -> tuple[Tensor, Tensor]:
    return rotary_table(1 / torch.arange(1, dim // 2 + 1), torch.arange(length).expand(2, -1))


def rotary(rotate: Call, length: int) -> Call:
    return lambda x: rotate(x, *table(length, 10))


def rotary_of_slices(rotate: Call, length: int) -> Call:
    return lambda x: rotate(x.transpose(1, 2)[..., 7:17], *table(length, 10))


def rotary_across(rotate: Call, length: int) -> Call:
    return lambda x: rotate(x.movedim(1, -1), *table(length, 10))


def halves(swiglu: Call, length: int) -> Call:
    return lambda x: swiglu(*x.chunk(2, dim=-1))


def columns(swiglu: Call, length: int) -> Call:
    return lambda x: swiglu(x.mT, 2 * x.mT)


def experts(poly_norm: Call, length: int) -> Call:
    return lambda x, weight, bias: poly_norm(*x.chunk(2, dim=-1), weight, bias, 1e-6)


def as_it_is(function: Call, length: int) -> Call:
    return function


def rows(length: int, dtype: torch.dtype) -> list[object]:
    return [normal(length, 37, dtype=dtype), normal(length, 37, dtype=dtype, seed=1)]


def twenty_rounds(sinkhorn: Call, length: int) -> Call:
    return lambda x: sinkhorn(x, 20)


def three_rounds_of_slices(sinkhorn: Call, length: int) -> Call:
    return lambda x: sinkhorn(3 * x.transpose(0, 1) - 21, 3)  # some sums are held at their lower bound


def mixed(module: Any, length: int) -> Call:
    return module.mix_streams  # type: ignore[no-any-return]


def read(module: Any, length: int) -> Call:
    return module.read_streams  # type: ignore[no-any-return]


def read_copies(module: Any, length: int) -> Call:
    return lambda x, weight: module.read_streams(x.unsqueeze(2).expand(-1, -1, 3, -1), weight)


def streams(length: int, dtype: torch.dtype) -> list[object]:
    """Of float32, whatever is asked for: no other type reaches them."""
    return [
        normal(2, length, 3, 21),
        normal(2, length, 3, 3),
        normal(2, length, 21),
        normal(2, length, 3, seed=1),
    ]


Case = tuple[str, Callable[[Any, int], Call], Callable[[int, torch.dtype], list[object]]]
CASES: dict[str, Case] = {
    "rotary": ("rotary", rotary, lambda n, t: [normal(2, n, 3, 10, dtype=t)]),
    "rotary of slices": ("rotary", rotary_of_slices, lambda n, t: [normal(2, 3, n, 19, dtype=t)]),
    "rotary across": ("rotary", rotary_across, lambda n, t: [normal(2, 10, n, 3, dtype=t)]),
    "swiglu of halves": ("swiglu", halves, lambda n, t: [normal(2, n, 74, dtype=t)]),
    "swiglu of columns": ("swiglu", columns, lambda n, t: [normal(2, 37, n, dtype=t)]),
    "swiglu": ("swiglu", as_it_is, rows),
    "poly_norm": ("poly_norm", as_it_is, lambda n, t: [*rows(n, t), normal(3), normal(1), 1e-6]),
    "poly_norm, all of one type": (
        "poly_norm",
        as_it_is,
        lambda n, t: [*rows(n, t), normal(3, dtype=t), normal(1, dtype=t), 1e-6],
    ),
    "poly_norm, weights a row": (
        "poly_norm",
        experts,
        lambda n, t: [normal(2, n, 26, dtype=t), normal(2, n, 3), normal(2, n, 1)],
    ),
    "sinkhorn": ("sinkhorn", twenty_rounds, lambda n, t: [normal(2, n, 4, 4)]),
    "sinkhorn of slices": ("sinkhorn", three_rounds_of_slices, lambda n, t: [normal(3, n, 3)]),
    "streams mixed": ("stream_mixing", mixed, streams),
    "streams read": ("stream_mixing", read, lambda n, t: [normal(2, n, 3, 21), normal(2, n, 3)]),
    "streams of one": ("stream_mixing", read_copies, lambda n, t: [normal(2, n, 21), normal(2, n, 3)]),
}
"""Name -> operator, how its path is called, and the inputs of so many tokens."""


def paths(name: str, length: int) -> tuple[Call, Call]:
    """The C++ and its twin."""
    operator, wrap, _ = CASES[name]
    module = import_module(f"lab.kernels.{operator}")
    return wrap(module.PATHS["cpp"], length), wrap(module.PATHS["naive"], length)


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def threads(request: pytest.FixtureRequest) -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_equal_the_twin(
    name: str, length: int, dtype: torch.dtype, tolerance: float
) -> None:
    hold_to_twin(*paths(name, length), CASES[name][2](length, dtype), tolerance)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", CASES)
def test_the_same_twice_and_without_gradients(name: str) -> None:
    fast, _ = paths(name, 1000)
    inputs = CASES[name][2](1000, torch.float32)
    once, again = (values_and_gradients(fast, inputs) for _ in range(2))
    for ours, theirs in zip(once, again, strict=True):
        assert ours is theirs is None or torch.equal(ours, theirs)  # type: ignore[arg-type]
    with torch.no_grad():
        assert torch.equal(fast(*inputs), once[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", CASES)
def test_what_is_no_number_spreads_as_in_the_twin(name: str, strange: float) -> None:
    inputs = CASES[name][2](63, torch.float32)
    assert isinstance(inputs[0], Tensor)
    inputs[0].view(-1)[5] = strange
    fast, naive = (values_and_gradients(path, inputs) for path in paths(name, 63))
    for ours, theirs in zip(fast, naive, strict=True):
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours.isnan(), theirs.isnan())
        assert torch.equal(ours.isinf(), theirs.isinf())


def test_every_operator_here_has_the_path() -> None:
    assert {operator for operator, _, _ in CASES.values()} <= {name for name in PATHS if "cpp" in PATHS[name]}
