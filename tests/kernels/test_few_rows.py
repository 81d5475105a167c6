"""The C++ paths of decoding against their twins: few rows, no gradient, caches read where they lie."""

import pytest
import torch
from torch import Tensor

from lab.kernels import cpp
from lab.kernels.attention import PATHS as ATTENTION
from lab.kernels.attention import AttentionMask, attention
from lab.kernels.registry import forget_paths_taken, paths_taken
from tests.kernels.test_attention import MASKS
from tests.kernels.twins import normal

pytestmark = pytest.mark.skipif(not cpp.can_build(), reason="no C++ compiler that works is installed")
FLOAT32, BFLOAT16 = 2e-6, 2e-2


@pytest.fixture(autouse=True, params=[1, 3], ids=["one thread", "three threads"])
def threads(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


def hold(ours: Tensor, theirs: Tensor, tolerance: float = FLOAT32) -> None:
    """Equal to ``tolerance`` of the largest entry."""
    assert ours.dtype == theirs.dtype
    scale = theirs.abs().max().item() or 1.0
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * scale)


UNCHOSEN = [name for name, mask in MASKS.items() if mask.kept is None and mask.query_documents is None]


@pytest.mark.parametrize(("heads", "key_heads", "d", "e"), [(8, 2, 32, 32), (3, 3, 7, 19), (10, 2, 33, 5)])
@pytest.mark.parametrize("name", UNCHOSEN)
def test_attention(name: str, heads: int, key_heads: int, d: int, e: int) -> None:
    mask = MASKS[name]
    (batch, queries), keys = mask.query_positions.shape, mask.key_positions.shape[1]
    q, k, v = (
        normal(batch, n, h, w)
        for n, h, w in ((queries, heads, d), (keys, key_heads, d), (keys, key_heads, e))
    )
    hold(ATTENTION["few_rows"](q, k, v, mask, 0.3), ATTENTION["naive"](q, k, v, mask, 0.3))


@pytest.mark.parametrize("window", [None, 1, 5, 400])
@pytest.mark.parametrize("keys", [1, 63, 500, 1000])
def test_attention_over_a_part_of_a_cache(keys: int, window: int | None) -> None:
    """Keys and values are views of larger buffers; positions stand in any order and some slots are empty."""
    buffers = [normal(2, keys + 9, 2, 32, seed=seed) for seed in (1, 2)]
    k, v = (buffer[:, :keys] for buffer in buffers)
    positions = torch.stack([torch.randperm(keys), torch.arange(keys) - keys // 2]).clamp(min=-1)
    mask = AttentionMask(torch.tensor([[keys - 1], [keys // 2]]), positions, window=window)
    q = normal(2, 1, 8, 32)
    forget_paths_taken()
    hold(attention(q, k, v, mask, 0.2), ATTENTION["naive"](q, k, v, mask, 0.2))
    assert paths_taken() == {"attention": {"few_rows": 1}}


@pytest.mark.parametrize("types", [("bfloat16",) * 3, ("float32", "float32", "bfloat16")], ids=str)
def test_attention_in_half_precision(types: tuple[str, ...]) -> None:
    mask = MASKS["decode"]
    q, k, v = (
        normal(2, length, heads, 24, dtype=getattr(torch, name))
        for name, length, heads in zip(types, (1, 21, 21), (4, 2, 2), strict=True)
    )
    hold(ATTENTION["few_rows"](q, k, v, mask, 0.2), ATTENTION["naive"](q, k, v, mask, 0.2), BFLOAT16)


def test_what_only_documents_tell_apart_is_left_to_other_paths() -> None:
    positions = torch.arange(4).expand(1, 4)
    mask = AttentionMask(positions, positions, positions // 2, positions // 2)
    q, k, v = (normal(1, 4, 2, 8) for _ in range(3))
    forget_paths_taken()
    attention(q, k, v, mask, 0.2)
    assert paths_taken() == {"attention": {"sdpa": 1}}
    with torch.enable_grad():
        attention(q, k, v, AttentionMask(positions, positions), 0.2)
    assert paths_taken() == {"attention": {"sdpa": 2}}
