"""Cross-entropy in chunks: against all logits at once, and its promise never to hold them."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lab.kernels.cpp import can_build
from lab.kernels.cross_entropy import chunked, cpp, linear_cross_entropy, naive
from tests.kernels.twins import hold_to_twin, normal

in_chunks = pytest.mark.parametrize(
    "fast",
    [
        pytest.param(chunked.linear_cross_entropy, id="chunked"),
        pytest.param(
            cpp.linear_cross_entropy,
            id="cpp",
            marks=pytest.mark.skipif(not can_build(), reason="no C++ compiler that works is installed"),
        ),
    ],
)


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked, "MOST_ROWS", 256)


def inputs(
    rows: int, width: int, vocabulary: int, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    targets = torch.randint(vocabulary, (rows,), generator=torch.Generator().manual_seed(rows))
    targets[1::3] = -100
    return normal(rows, width, dtype=dtype), normal(vocabulary, width, dtype=dtype, seed=1), targets


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(
    ("rows", "width", "vocabulary"),
    [(1, 5, 3), (255, 8, 50), (256, 8, 50), (257, 8, 50), (700, 3, 7), (5, 4, 1)],
)
def test_chunks_equal_all_logits_at_once(rows: int, width: int, vocabulary: int, reduction: str) -> None:
    values = (*inputs(rows, width, vocabulary), reduction)
    hold_to_twin(chunked.linear_cross_entropy, naive.linear_cross_entropy, values, 1e-12)


@in_chunks
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_single_precision_stays_close(fast: Any, reduction: str) -> None:
    values = (*inputs(300, 16, 400, torch.float32), reduction)
    hold_to_twin(fast, naive.linear_cross_entropy, values, 1e-5)


@in_chunks
@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_large_logits_do_not_overflow(fast: Any, scale: float) -> None:
    hidden, weight, targets = inputs(40, 16, 30, torch.float32)
    values = (hidden * scale, weight, targets, "mean")
    hold_to_twin(fast, naive.linear_cross_entropy, values, 1e-5)


@in_chunks
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_bfloat16_stays_close_and_the_loss_is_float32(fast: Any, reduction: str) -> None:
    hidden, weight, targets = inputs(300, 32, 100, torch.bfloat16)
    weight = weight / 6
    values = (hidden, weight, targets, reduction)
    assert linear_cross_entropy(*values).dtype == torch.float32  # type: ignore[arg-type]
    hold_to_twin(fast, naive.linear_cross_entropy, values, 2e-2)


@in_chunks
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_autocast_narrows_products_only(fast: Any, reduction: str) -> None:
    hidden, weight, targets = inputs(300, 32, 100, torch.float32)
    weight = weight / 6

    def under_autocast(*values: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return fast(*values)

    hold_to_twin(under_autocast, naive.linear_cross_entropy, (hidden, weight, targets, reduction), 2e-2)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_nothing_to_predict_is_no_loss_and_no_gradient(reduction: str) -> None:
    hidden, weight, targets = inputs(20, 4, 6)
    hidden.requires_grad_()
    weight.requires_grad_()
    loss = linear_cross_entropy(hidden, weight, torch.full_like(targets, -100), reduction)  # type: ignore[arg-type]
    loss.sum().backward()
    assert (loss == 0).all()
    assert hidden.grad is not None
    assert weight.grad is not None
    assert (hidden.grad == 0).all()
    assert (weight.grad == 0).all()


def test_a_uniform_prediction_costs_the_logarithm_of_the_vocabulary() -> None:
    loss = linear_cross_entropy(torch.ones(3, 2), torch.zeros(50, 2), torch.tensor([1, -100, 4]))
    assert loss.item() == pytest.approx(math.log(50))


@pytest.mark.parametrize("frozen", [0, 1])
def test_either_side_may_be_frozen(frozen: int) -> None:
    *leaves, targets = inputs(300, 8, 20)
    leaves[1 - frozen].requires_grad_()
    (2 * linear_cross_entropy(*leaves, targets)).backward()
    ours = leaves[1 - frozen].grad
    leaves[1 - frozen].grad = None
    (2 * naive.linear_cross_entropy(*leaves, targets, "mean")).backward()
    assert leaves[frozen].grad is None
    torch.testing.assert_close(ours, leaves[1 - frozen].grad)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_without_gradients_the_values_are_the_same(reduction: str) -> None:
    hidden, weight, targets = inputs(300, 8, 20)
    weight.requires_grad_()
    with_gradient = linear_cross_entropy(hidden, weight, targets, reduction)  # type: ignore[arg-type]
    with torch.no_grad():
        without = linear_cross_entropy(hidden, weight, targets, reduction)  # type: ignore[arg-type]
    assert with_gradient.requires_grad
    assert not without.requires_grad
    torch.testing.assert_close(without, with_gradient.detach(), rtol=0, atol=0)


class LargestResult(TorchDispatchMode):
    """Remembers the most elements that any operation produced."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_no_more_logits_than_a_chunk_are_ever_held(reduction: str) -> None:
    rows, vocabulary = 1000, 90
    hidden, weight, targets = inputs(rows, 4, vocabulary)
    weight.requires_grad_()
    with LargestResult() as seen:
        linear_cross_entropy(hidden, weight, targets, reduction).sum().backward()  # type: ignore[arg-type]
    assert seen.elements == 256 * vocabulary < rows * vocabulary


@in_chunks
def test_what_is_no_number_is_not_hidden(fast: Any) -> None:
    hidden, weight, targets = inputs(4, 8, 40, torch.float32)
    hidden[0, 0] = torch.nan
    losses = fast(hidden, weight, torch.zeros_like(targets), "none")
    assert losses.isnan().tolist() == [True, False, False, False]


@pytest.mark.parametrize(("words", "rows"), [(90, 1024), (16_384, 1024), (32_768, 512), (200_000, 128)])
def test_a_chunk_has_fewer_rows_the_more_words_there_are(
    words: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert chunked.rows_per_chunk(words) == rows
