"""Sparse attention: both ways to read few keys against the equation, scores and selection against their rule."""

import pytest
import torch
from torch import Tensor

from lab.kernels.attention import AttentionMask, naive
from lab.kernels.registry import forget_paths_taken, paths_taken
from lab.kernels.sparse_attention import PATHS, index_scores, select, sparse_attention
from tests.kernels.test_attention import MASKS, SHAPES, WINDOWS, inputs, packed, row
from tests.kernels.twins import hold_to_twin, normal

FAST = [path for path in PATHS if path != "naive"]
USABLE = {name: mask for name, mask in MASKS.items() if mask.kept is None}
USABLE |= {f"window {name}": mask for name, mask in WINDOWS.items()}


def hold(path: str, mask: AttentionMask, top_k: int, tolerance: float, dtype: torch.dtype) -> None:
    q, k, v, _, scale = inputs(mask, SHAPES["grouped"], dtype)
    scores = normal(*mask.dense().squeeze(1).shape, seed=4)
    selection = select(scores, mask.dense().squeeze(1), top_k)
    hold_to_twin(PATHS[path], PATHS["naive"], [q, k, v, mask, selection, scale], tolerance)


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize("mask", USABLE.values(), ids=USABLE)
def test_a_path_equals_the_equation(path: str, mask: AttentionMask) -> None:
    hold(path, mask, 5, 1e-12, torch.float64)


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize("length", [1, 63, 500])
@pytest.mark.parametrize("top_k", [1, 16])
def test_lengths_and_selections_in_single_precision(path: str, length: int, top_k: int) -> None:
    hold(path, AttentionMask(row(length), row(length)), top_k, 1e-5, torch.float32)


@pytest.mark.parametrize("path", FAST)
def test_half_types_stay_close(path: str) -> None:
    hold(path, packed(150, 32), 20, 3e-2, torch.bfloat16)


@pytest.mark.parametrize("path", PATHS)
def test_a_selection_of_everything_is_attention(path: str) -> None:
    mask = packed(80, 20)
    q, k, v, _, scale = inputs(mask, SHAPES["wide values"])
    selection = select(normal(2, 80, 80), mask.dense().squeeze(1), 1000)
    y = PATHS[path](q, k, v, mask, selection, scale)  # type: ignore[arg-type]
    torch.testing.assert_close(y, naive.attention(q, k, v, mask, scale))  # type: ignore[arg-type]


def test_a_selection_keeps_the_best_of_what_is_allowed() -> None:
    mask = packed(60, None)
    scores, allowed = normal(2, 60, 60, seed=5), mask.dense().squeeze(1)
    kept = select(scores, allowed, 7).kept
    for b, t in ((0, 5), (0, 59), (1, 40)):
        eligible = [s for s in range(60) if allowed[b, t, s]]
        best = sorted(eligible, key=lambda s, b=b, t=t: -scores[b, t, s].item())[:7]  # type: ignore[misc]
        assert kept[b, t].nonzero().flatten().tolist() == sorted(best)


def test_scores_follow_the_equation_pair_by_pair() -> None:
    q, k, weight = normal(2, 3, 4, 6), normal(2, 5, 6, seed=1), normal(2, 3, 4, seed=2)
    scores = index_scores(q, k, weight)
    for b, t, s in ((0, 0, 0), (1, 2, 4), (1, 0, 3)):
        matches = [torch.relu(q[b, t, j] @ k[b, s] / 6**0.5) for j in range(4)]
        expected = sum(w * m for w, m in zip(weight[b, t] / 4**0.5, matches, strict=True))
        torch.testing.assert_close(scores[b, t, s], torch.as_tensor(expected))


def test_scores_are_single_precision_under_autocast() -> None:
    q, k, weight = normal(1, 9, 2, 8), normal(1, 9, 8, seed=1), normal(1, 9, 2, seed=2)
    exact = index_scores(q, k, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(index_scores(q, k, weight), exact)


@pytest.mark.parametrize(("queries", "path"), [(1, "gathered"), (7, "masked")])
def test_one_query_a_row_gathers(queries: int, path: str) -> None:
    mask = AttentionMask(row(queries) + 20, row(20 + queries))
    q, k, v, _, scale = inputs(mask, SHAPES["grouped"])
    selection = select(normal(2, queries, 20 + queries), mask.dense().squeeze(1), 4)
    forget_paths_taken()
    y: Tensor = sparse_attention(q, k, v, mask, selection, scale)  # type: ignore[arg-type]
    assert y.shape == q.shape  # type: ignore[attr-defined]
    assert paths_taken()["sparse_attention"] == {path: 1}
