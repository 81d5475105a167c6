"""Differential attention: every path against the equation, at awkward shapes, and what the equation must keep."""

import pytest
import torch
from torch import Tensor

from lab.kernels.attention import AttentionMask, naive
from lab.kernels.differential_attention import PATHS, blocked, differential_attention
from tests.kernels.test_attention import MASKS, WINDOWS, packed, row
from tests.kernels.twins import hold_to_twin, normal

SCALE = 0.3
FAST = [path for path in PATHS if path != "naive"]


def inputs(
    mask: AttentionMask,
    keys: int = 2,
    signal: int = 2,
    shared: bool = False,
    per_token: bool = False,
    dtype: torch.dtype = torch.float64,
) -> list[object]:
    """Four groups of ``signal`` heads over ``keys`` key heads, values twice as wide as keys."""
    (batch, queries), reach = mask.query_positions.shape, mask.key_positions.shape[1]
    q = normal(batch, queries, 4, signal + 1, 4, dtype=dtype)
    k = normal(batch, reach, keys, 1 if shared else 2, 4, dtype=dtype, seed=1)
    v = normal(batch, reach, keys, 8, dtype=dtype, seed=2)
    weight = normal(*((batch, queries, 4, signal, 1) if per_token else ()), dtype=dtype, seed=3)
    return [q, k, v, weight, mask, SCALE]


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize(
    "mask", [*MASKS.values(), *WINDOWS.values()], ids=[*MASKS, *(f"window {n}" for n in WINDOWS)]
)
def test_a_path_equals_the_equation(path: str, mask: AttentionMask) -> None:
    hold_to_twin(PATHS[path], PATHS["naive"], inputs(mask), 1e-12)


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize(("keys", "signal"), [(4, 1), (4, 3), (1, 2)])
@pytest.mark.parametrize("shared", [False, True], ids=["two keys", "one key"])
@pytest.mark.parametrize("per_token", [False, True], ids=["one weight", "a weight a token"])
def test_every_grouping_equals_the_equation(
    path: str, keys: int, signal: int, shared: bool, per_token: bool
) -> None:
    values = inputs(packed(100, 30), keys, signal, shared, per_token)
    hold_to_twin(PATHS[path], PATHS["naive"], values, 1e-12)


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize("length", [1, 63, 500])
def test_lengths_around_blocks_in_single_precision(path: str, length: int) -> None:
    mask = AttentionMask(row(length), row(length))
    hold_to_twin(PATHS[path], PATHS["naive"], inputs(mask, dtype=torch.float32), 1e-5)


@pytest.mark.parametrize("path", FAST)
def test_half_types_stay_close(path: str) -> None:
    values = inputs(packed(150, None), per_token=True, dtype=torch.bfloat16)
    hold_to_twin(PATHS[path], PATHS["naive"], values, 3e-2)


@pytest.mark.parametrize("path", FAST)
def test_autocast_computes_in_its_type(path: str) -> None:
    values = inputs(packed(150, None), dtype=torch.float32)
    exact = PATHS["naive"](*values)  # type: ignore[arg-type]
    with torch.autocast("cpu", torch.bfloat16):
        y = PATHS[path](*values)  # type: ignore[arg-type]
    assert y.dtype == torch.bfloat16
    assert (y.float() - exact).abs().max() < 3e-2 * exact.abs().max()


def test_written_out_gradients_equal_differences() -> None:
    values = inputs(packed(70, 9), keys=2, per_token=True)
    q, k, v, weight = (x[:1, :70].detach().requires_grad_() for x in values[:4])  # type: ignore[index]
    mask = AttentionMask(row(70, 1), row(70, 1), window=9)

    def call(*x: Tensor) -> Tensor:
        return blocked.differential_attention(*x, mask, SCALE)  # type: ignore[call-arg]

    assert torch.autograd.gradcheck(call, (q, k, v, weight), fast_mode=True)


@pytest.mark.parametrize("path", PATHS)
def test_without_noise_it_is_attention(path: str) -> None:
    q, k, v, weight, mask, _ = inputs(packed(80, None), keys=4)
    y = PATHS[path](q, k, v, torch.zeros_like(weight), mask, SCALE)  # type: ignore[arg-type]
    signal = naive.attention(q[:, :, :, :-1].flatten(2, 3), k[:, :, :, 0], v, mask, SCALE)  # type: ignore
    torch.testing.assert_close(y.flatten(2, 3), signal)


@pytest.mark.parametrize("path", PATHS)
def test_noise_equal_to_the_signal_cancels(path: str) -> None:
    q, k, v, weight, mask, _ = inputs(packed(80, None), keys=4, signal=1, shared=True)
    q[:, :, :, 1] = q[:, :, :, 0]  # type: ignore[index]
    y = PATHS[path](q, k, v, torch.ones_like(weight), mask, SCALE)  # type: ignore[arg-type]
    assert y.abs().max() < 1e-12


def test_blocks_read_only_what_their_window_reaches() -> None:
    mask = AttentionMask(row(256), row(256), window=32)
    q, k, v, weight, _, _ = inputs(mask)
    before = blocked.differential_attention(q, k, v, weight, mask, SCALE)  # type: ignore[arg-type]
    k[:, 100], v[:, 100] = 1e3, -1e3  # type: ignore[index]
    after = blocked.differential_attention(q, k, v, weight, mask, SCALE)  # type: ignore[arg-type]
    changed = (after - before).abs().amax((0, 2, 3, 4)) > 0
    assert changed.nonzero().flatten().tolist() == list(range(100, 132))


def test_two_attentions_are_what_is_taken() -> None:
    values = inputs(packed(80, None))
    by_rule = differential_attention(*values)  # type: ignore[arg-type]
    assert torch.equal(by_rule, PATHS["separate"](*values))  # type: ignore[arg-type]
