"""Attention: every path against the equation, masks against their rule, and the choice of path."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from lab.kernels.attention import PATHS, AttentionMask, attention, banded, blockwise, naive, sdpa
from lab.kernels.cpp import can_build, sgemm
from lab.kernels.registry import forget_paths_taken, paths_taken, use_path
from tests.kernels.twins import hold_to_twin, normal

SCALE = 0.3


def row(length: int, batch: int = 2) -> Tensor:
    return torch.arange(length).expand(batch, length).contiguous()


def packed(length: int, window: int | None) -> AttentionMask:
    """Documents of different lengths in each of two rows, positions restarting."""
    documents = torch.stack([row(length, 1)[0] // 37, row(length, 1)[0] // 101 + 3])
    starts = torch.stack([row(length, 1)[0] // 37 * 37, row(length, 1)[0] // 101 * 101])
    positions = row(length) - starts
    return AttentionMask(positions, positions, documents, documents, window)


def padded(length: int, window: int | None, left: int, right: int) -> AttentionMask:
    """The second row has padding on both sides: queries that see nothing."""
    positions = row(length)
    positions[1] = -1
    positions[1, left : length - right] = torch.arange(length - left - right)
    return AttentionMask(positions, positions, window=window)


def ring(window: int) -> AttentionMask:
    """Three queries against a cache of nine slots out of order, some empty; the second row has nothing cached."""
    keys = torch.tensor([[8, 9, 10, 3, 4, -1, 5, 6, 7], [-1] * 6 + [0, 1, 2]])
    queries = torch.tensor([[8, 9, 10], [0, 1, 2]])
    return AttentionMask(queries, keys, window=window)


def chosen(length: int) -> AttentionMask:
    """Causal, but only every third key was kept."""
    kept = torch.rand(2, length, length, generator=torch.Generator().manual_seed(3)) < 0.3
    return AttentionMask(row(length), row(length)).narrowed(kept)


@dataclass(frozen=True)
class Shape:
    H: int
    K: int
    d: int
    e: int


SHAPES = {
    "equal heads": Shape(3, 3, 8, 8),
    "grouped": Shape(6, 2, 8, 8),
    "wide values": Shape(4, 2, 8, 16),
    "wide keys": Shape(4, 1, 24, 16),
}
MASKS = {
    "one token": AttentionMask(row(1), row(1)),
    "causal": AttentionMask(row(67), row(67)),
    "causal in one document": AttentionMask(row(67), row(67), row(67) * 0 + 5, row(67) * 0 + 5),
    "causal from position 9": AttentionMask(row(33) + 9, row(33) + 9),
    "packed": packed(150, None),
    "padded": padded(40, None, 3, 4),
    "ring": ring(5),
    "decode": AttentionMask(torch.full((2, 1), 20), row(21), window=None),
    "nothing to see": AttentionMask(row(4), torch.full((2, 5), -1)),
    "sparse": chosen(30),
}
WINDOWS = {
    "a row of one": AttentionMask(row(1), row(1), window=64),
    "only itself": AttentionMask(row(130), row(130), window=1),
    "two keys": AttentionMask(row(65), row(65), window=2),
    "one block": AttentionMask(row(64), row(64), window=64),
    "blocks and one": AttentionMask(row(257), row(257), window=64),
    "blocks less one": AttentionMask(row(255), row(255), window=65),
    "wider than a block": AttentionMask(row(300), row(300), window=129),
    "wider than the row": AttentionMask(row(90), row(90), window=200),
    "packed": packed(230, 20),
    "padded": padded(150, 30, 70, 3),
}

RUNS = {
    **{f"window, {name}": mask for name, mask in WINDOWS.items()},
    **{name: mask for name, mask in MASKS.items() if mask.in_order and mask.kept is None},
    "several blocks": AttentionMask(row(1000), row(1000)),
    "packed, several blocks": packed(500, None),
}
"""Masks in which a query sees an unbroken run of places."""

needs_compiler = pytest.mark.skipif(
    not can_build() or sgemm() is None, reason="no C++ compiler, or no matrix product to call"
)


def inputs(mask: AttentionMask, shape: Shape, dtype: torch.dtype = torch.float64) -> list[object]:
    (batch, queries), keys = mask.query_positions.shape, mask.key_positions.shape[1]
    q = normal(batch, queries, shape.H, shape.d, dtype=dtype)
    k = normal(batch, keys, shape.K, shape.d, dtype=dtype, seed=1)
    v = normal(batch, keys, shape.K, shape.e, dtype=dtype, seed=2)
    return [q, k, v, mask, SCALE]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_fused_kernel_equals_the_equation(mask: AttentionMask, shape: Shape) -> None:
    hold_to_twin(sdpa.attention, naive.attention, inputs(mask, shape), 1e-12)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("mask", WINDOWS.values(), ids=WINDOWS)
def test_bands_equal_the_equation(mask: AttentionMask, shape: Shape) -> None:
    hold_to_twin(banded.attention, naive.attention, inputs(mask, shape), 1e-12)


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("mask", RUNS.values(), ids=RUNS)
def test_blocks_of_queries_equal_the_equation(mask: AttentionMask, shape: Shape) -> None:
    values = inputs(mask, shape, torch.float32)
    assert blockwise.takes(*values[:4])  # type: ignore[arg-type]
    hold_to_twin(blockwise.attention, naive.attention, values, 1e-5)


@needs_compiler
def test_blocks_of_queries_survive_large_scores() -> None:
    q, k, *rest = inputs(packed(300, None), SHAPES["grouped"], torch.float32)
    hold_to_twin(blockwise.attention, naive.attention, [30 * q, 30 * k, *rest], 1e-4)  # type: ignore[operator]


@pytest.mark.parametrize("fast", [sdpa.attention, banded.attention], ids=["sdpa", "banded"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_types_stay_close(fast: object, dtype: torch.dtype) -> None:
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    values = inputs(packed(256, 32), SHAPES["wide values"], dtype)
    hold_to_twin(fast, naive.attention, values, tolerance)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["sdpa", "banded"])
def test_autocast_computes_in_its_type(path: str) -> None:
    values = inputs(packed(256, 32), SHAPES["grouped"], torch.float32)
    exact = naive.attention(*values)  # type: ignore[arg-type]
    with torch.autocast("cpu", torch.bfloat16):
        y = PATHS[path](*values)  # type: ignore[arg-type]
    assert y.dtype == torch.bfloat16
    assert (y.float() - exact).abs().max() < 2e-2 * exact.abs().max()


def test_a_query_without_keys_gets_zeros_and_no_gradient() -> None:
    q, k, v, mask, scale = inputs(padded(40, None, 3, 4), SHAPES["grouped"])
    q.requires_grad_()  # type: ignore[attr-defined]
    y = attention(q, k, v, mask, scale)  # type: ignore[arg-type]
    y.sum().backward()
    assert (y[1, :3] == 0).all()
    assert (q.grad[1, -4:] == 0).all()  # type: ignore[attr-defined]
    assert (y[1, 3:-4] != 0).all()


@pytest.mark.parametrize(
    "mask", [*MASKS.values(), *WINDOWS.values()], ids=[*MASKS, *(f"window {n}" for n in WINDOWS)]
)
def test_a_mask_follows_its_rule(mask: AttentionMask) -> None:
    dense = mask.dense()
    generator = torch.Generator().manual_seed(0)
    (batch, queries), keys = mask.query_positions.shape, mask.key_positions.shape[1]
    for _ in range(300):
        b, i, j = (int(torch.randint(n, (1,), generator=generator)) for n in (batch, queries, keys))
        query, key = int(mask.query_positions[b, i]), int(mask.key_positions[b, j])
        allowed = 0 <= key <= query and (mask.window is None or query - key < mask.window)
        if mask.query_documents is not None and mask.key_documents is not None:
            allowed &= int(mask.query_documents[b, i]) == int(mask.key_documents[b, j])
        if mask.kept is not None:
            allowed &= bool(mask.kept[b, i, j])
        assert bool(dense[b, 0, i, j]) == allowed


def test_what_a_window_does_not_reach_does_not_matter() -> None:
    mask = AttentionMask(row(256), row(256), window=32)
    q, k, v, _, _ = inputs(mask, SHAPES["grouped"])
    before = attention(q, k, v, mask, SCALE)  # type: ignore[arg-type]
    k[:, 100], v[:, 100] = 1e3, -1e3  # type: ignore[index]
    changed = (attention(q, k, v, mask, SCALE) - before).abs().amax((0, 2, 3)) > 0  # type: ignore[arg-type]
    assert changed.nonzero().flatten().tolist() == list(range(100, 132))


def out_of_order(length: int, window: int) -> dict[str, AttentionMask]:
    gap = row(length).clone()
    gap[:, 5:] += 1
    returning = row(length) % 50
    documents = (row(length) // 50) % 2
    hole = row(length).clone()
    hole[:, 7] = -1
    return {
        "a gap": AttentionMask(gap, gap, window=window),
        "a hole": AttentionMask(hole, hole, window=window),
        "a document that returns": AttentionMask(returning, returning, documents, documents, window),
        "positions that restart": AttentionMask(returning, returning, window=window),
        "a cache": AttentionMask(row(length) + 3, row(length), window=window),
    }


@pytest.mark.parametrize("name", out_of_order(8, 4))
def test_bands_refuse_places_that_disagree_with_positions(name: str) -> None:
    mask = out_of_order(256, 20)[name]
    assert not mask.in_order
    values = inputs(mask, SHAPES["grouped"])
    with use_path("attention", "banded"), pytest.raises(ValueError, match="banded"):
        attention(*values)  # type: ignore[arg-type]
    torch.testing.assert_close(attention(*values), naive.attention(*values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mask", "path"),
    [
        (AttentionMask(row(256), row(256), window=64), "banded"),
        (packed(256, 64), "banded"),
        (padded(256, 64, 20, 3), "banded"),
        (AttentionMask(row(255), row(255), window=64), "sdpa"),
        (AttentionMask(row(256), row(256)), "sdpa"),
        (AttentionMask(row(1) + 300, row(256), window=64), "sdpa"),
        (AttentionMask(row(256), row(256), window=64).narrowed(torch.ones(2, 256, 256).bool()), "sdpa"),
    ],
)
def test_the_path_follows_its_rule(mask: AttentionMask, path: str) -> None:
    forget_paths_taken()
    attention(*inputs(mask, SHAPES["equal heads"]))  # type: ignore[arg-type]
    assert paths_taken()["attention"] == {path: 1}


@needs_compiler
@pytest.mark.parametrize(
    ("mask", "path"),
    [
        (AttentionMask(row(256), row(256), window=64), "blockwise"),
        (packed(256, None), "blockwise"),
        (AttentionMask(row(5000), row(5000), window=64), "blockwise"),
        (AttentionMask(row(5000), row(5000)), "sdpa"),
        (AttentionMask(row(256) + 3, row(256)), "sdpa"),
        (AttentionMask(row(256), row(256)).narrowed(torch.ones(2, 256, 256).bool()), "sdpa"),
    ],
)
def test_the_path_of_float32_follows_its_rule(
    mask: AttentionMask, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_paths_taken()
    monkeypatch.setitem(PATHS, path, lambda q, k, v, mask, scale: q)
    attention(*inputs(mask, Shape(2, 2, 4, 4), torch.float32))  # type: ignore[arg-type]
    assert paths_taken()["attention"] == {path: 1}


@pytest.mark.parametrize(
    ("mask", "plain"),
    [
        (MASKS["causal"], True),
        (MASKS["causal in one document"], True),
        (MASKS["causal from position 9"], True),
        (WINDOWS["wider than the row"], True),
        (WINDOWS["two keys"], False),
        (MASKS["packed"], False),
        (MASKS["padded"], False),
        (MASKS["ring"], False),
        (MASKS["sparse"], False),
    ],
)
def test_only_a_plainly_causal_mask_is_left_to_the_kernel(mask: AttentionMask, plain: bool) -> None:
    assert mask.plainly_causal is plain


def test_a_mask_derives_each_form_once() -> None:
    mask = packed(130, 20)
    assert mask.dense() is mask.dense()
    assert mask.additive(torch.float32) is mask.additive(torch.float32)
    assert mask.in_blocks(64) is mask.in_blocks(64)
