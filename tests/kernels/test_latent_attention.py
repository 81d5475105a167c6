"""Latent attention: expanded and absorbed against the equation, and the path that decoding takes."""

import pytest
import torch
from torch import Tensor

from lab.kernels.attention import AttentionMask
from lab.kernels.latent_attention import PATHS, UpProjection, latent_attention
from lab.kernels.registry import forget_paths_taken, paths_taken
from tests.kernels.test_attention import MASKS, WINDOWS, packed, row
from tests.kernels.twins import hold_to_twin, normal

NOPE, ROPE, VALUE, RANK, HEADS, EXPANDED = 6, 4, 5, 8, 6, 3
FAST = ("expanded", "absorbed")


def inputs(mask: AttentionMask, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    (batch, queries), reach = mask.query_positions.shape, mask.key_positions.shape[1]
    return [
        normal(batch, queries, HEADS, NOPE + ROPE, dtype=dtype),
        normal(batch, reach, RANK, dtype=dtype, seed=1),
        normal(batch, reach, 1, ROPE, dtype=dtype, seed=2),
        normal(EXPANDED * (NOPE + VALUE), RANK, dtype=dtype, seed=3),
    ]


def hold(path: str, mask: AttentionMask, tolerance: float, dtype: torch.dtype = torch.float64) -> None:
    def call(name: str) -> object:
        def attend(q: Tensor, latent: Tensor, k_rope: Tensor, weight: Tensor) -> Tensor:
            return PATHS[name](q, latent, k_rope, UpProjection(weight, EXPANDED, NOPE), mask, 0.3)

        return attend

    hold_to_twin(call(path), call("naive"), inputs(mask, dtype), tolerance)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize(
    "mask", [*MASKS.values(), *WINDOWS.values()], ids=[*MASKS, *(f"window {n}" for n in WINDOWS)]
)
def test_a_path_equals_the_equation(path: str, mask: AttentionMask) -> None:
    hold(path, mask, 1e-12)


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)])
def test_other_types_stay_close(path: str, dtype: torch.dtype, tolerance: float) -> None:
    hold(path, packed(150, None), tolerance, dtype)


@pytest.mark.parametrize(("queries", "path"), [(1, "absorbed"), (7, "expanded")])
def test_one_query_a_row_is_absorbed(queries: int, path: str) -> None:
    mask = AttentionMask(row(queries) + 20, row(20 + queries))
    *tensors, weight = inputs(mask)
    forget_paths_taken()
    latent_attention(*tensors, UpProjection(weight, EXPANDED, NOPE), mask, 0.3)  # type: ignore[call-arg]
    assert paths_taken()["latent_attention"] == {path: 1}
