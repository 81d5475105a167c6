"""Kimi delta and its short convolution: chunks against the recurrence, and properties of the equation."""

import pytest
import torch
from torch import Tensor

from lab.kernels.kimi_delta import chunked, kimi_delta, naive
from lab.kernels.registry import paths_taken
from lab.kernels.short_convolution import naive as naive_convolution
from lab.kernels.short_convolution import shifted
from lab.kernels.sinkhorn import sinkhorn

Inputs = dict[str, Tensor | None]


def draw(
    length: int, decay: float, max_beta: float, with_state: bool, packed: bool, dtype: torch.dtype
) -> Inputs:
    generator = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype)

    batch, heads, d, e = 2, 3, 8, 5
    k = normal(batch, length, heads, d)
    documents = torch.tensor([[0] * (length // 3) + [1] * (length - length // 3), [7] * length])
    return {
        "q": normal(batch, length, heads, d),
        "k": k / k.norm(dim=-1, keepdim=True),
        "v": normal(batch, length, heads, e),
        "g": -decay * normal(batch, length, heads, d).abs(),
        "beta": max_beta * torch.sigmoid(normal(batch, length, heads)),
        "initial_state": normal(batch, heads, d, e) if with_state else None,
        "documents": documents if packed else None,
    }


def gradients(function: object, inputs: Inputs, **more: int) -> tuple[list[Tensor], list[Tensor]]:
    leaves = {
        name: tensor.clone().requires_grad_() if tensor is not None and tensor.is_floating_point() else tensor
        for name, tensor in inputs.items()
    }
    o, state = function(**leaves, **more)  # type: ignore[operator]
    generator = torch.Generator().manual_seed(1)
    weigh = [torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.dtype) for x in (o, state)]
    ((o * weigh[0]).sum() + (state * weigh[1]).sum()).backward()
    grads = [x.grad for x in leaves.values() if x is not None and x.requires_grad]
    return [o, state], [grad for grad in grads if grad is not None]


@pytest.mark.parametrize("chunk", [1, 16, 32, 64])
@pytest.mark.parametrize(
    ("length", "decay", "max_beta", "with_state", "packed"),
    [
        (1, 0.1, 1.0, False, False),
        (50, 0.1, 1.0, True, False),
        (50, 40.0, 2.0, True, True),  # total decays far beyond what exp can hold in float32
        (64, 0.0, 2.0, False, True),
        (131, 1.0, 2.0, True, True),
    ],
)
def test_chunks_equal_the_recurrence(
    length: int, decay: float, max_beta: float, with_state: bool, packed: bool, chunk: int
) -> None:
    inputs = draw(length, decay, max_beta, with_state, packed, torch.float64)
    values, grads = gradients(naive.kimi_delta, inputs)
    fast_values, fast_grads = gradients(chunked.kimi_delta, inputs, chunk=chunk)
    torch.testing.assert_close(fast_values, values, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(fast_grads, grads, rtol=1e-8, atol=1e-10)


def test_chunks_stay_close_in_single_precision() -> None:
    inputs = draw(300, 0.5, 1.9, True, False, torch.float32)
    exact, _ = naive.kimi_delta(**{n: t.double() if t is not None else None for n, t in inputs.items()})
    fast, _ = chunked.kimi_delta(**inputs)
    assert (fast.double() - exact).abs().max() < 1e-5 * exact.abs().max()


@pytest.mark.parametrize("decay", [0.0, 1.0, 50.0, 1e4])
def test_no_decay_is_too_fast_for_single_precision(decay: float) -> None:
    inputs = draw(100, decay, 2.0, True, True, torch.float32)
    exact = gradients(naive.kimi_delta, {n: t.double() if n != "documents" else t for n, t in inputs.items()})  # type: ignore[union-attr]
    for ours, theirs in zip(gradients(chunked.kimi_delta, inputs), exact, strict=True):
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert a.isfinite().all(), number
            assert (a.double() - b).abs().max() <= 1e-4 * b.abs().max() + 1e-5, number


def test_a_split_sequence_continues_from_its_state() -> None:
    inputs = draw(41, 0.3, 2.0, False, False, torch.float64)
    whole, last = chunked.kimi_delta(**inputs)
    head = {n: t[:, :17] for n, t in inputs.items() if t is not None}
    tail = {n: t[:, 17:] for n, t in inputs.items() if t is not None}
    first, state = chunked.kimi_delta(**head)
    second, end = chunked.kimi_delta(**tail, initial_state=state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(end, last)


def test_orthonormal_keys_recall_their_values() -> None:
    length = 8
    k = torch.eye(length).view(1, length, 1, length)
    v = torch.randn(1, length, 1, 4, generator=torch.Generator().manual_seed(0))
    _, state = kimi_delta(k, k, v, torch.zeros_like(k), torch.ones(1, length, 1))
    torch.testing.assert_close(state[0, 0], v[0, :, 0])


def test_without_writes_the_state_only_decays() -> None:
    inputs = draw(20, 0.2, 2.0, True, False, torch.float64)
    assert inputs["beta"] is not None
    assert inputs["g"] is not None
    assert inputs["initial_state"] is not None
    inputs["beta"] = torch.zeros_like(inputs["beta"])
    _, state = kimi_delta(**inputs)
    torch.testing.assert_close(state, inputs["g"].sum(1).exp().unsqueeze(-1) * inputs["initial_state"])


def test_strength_two_without_decay_reflects_and_keeps_the_norm() -> None:
    inputs = draw(200, 0.0, 1.0, True, False, torch.float64)
    inputs["beta"] = torch.full_like(inputs["beta"], 2.0)  # type: ignore[arg-type]
    inputs["v"] = torch.zeros_like(inputs["v"])  # type: ignore[arg-type]
    _, state = kimi_delta(**inputs)
    assert inputs["initial_state"] is not None
    torch.testing.assert_close(state.norm(), inputs["initial_state"].norm())


def test_running_parity_with_negative_eigenvalues() -> None:
    bits = torch.tensor([1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 1, 1])
    ones = torch.ones(1, len(bits), 1, 1)
    o, _ = kimi_delta(ones, ones, 0 * ones, 0 * ones, 2.0 * bits.view(1, -1, 1), torch.ones(1, 1, 1, 1))
    torch.testing.assert_close(o.flatten(), (-1.0) ** bits.cumsum(0))


def test_equals_the_public_recurrence() -> None:
    from transformers.models.kimi_linear import modeling_kimi_linear as reference

    inputs = draw(37, 0.4, 1.0, False, False, torch.float32)
    q, k, v, g, beta = (inputs[name] for name in ("q", "k", "v", "g", "beta"))
    assert q is not None
    o, state = kimi_delta(q, k, v, g, beta)  # type: ignore[arg-type]
    theirs, their_state = reference.recurrent_kimi_delta_attention(
        q * q.shape[-1] ** 0.5, k, v, g, beta, None, output_final_state=True, use_qk_l2norm_in_kernel=False
    )
    torch.testing.assert_close(o, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(state, their_state, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 3, 17])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("with_tail", [False, True])
def test_shifted_products_equal_the_convolution(length: int, packed: bool, with_tail: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, length, 6, generator=generator, dtype=torch.float64)
    weight = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    tail = torch.randn(2, 3, 6, generator=generator, dtype=torch.float64) if with_tail else None
    documents = torch.arange(length).div(2, rounding_mode="floor").expand(2, -1) if packed else None
    results = []
    for function in (naive_convolution.short_convolution, shifted.short_convolution):
        a, b = x.clone().requires_grad_(), weight.clone().requires_grad_()
        y, end = function(a, b, tail, documents)
        (y.square().sum() + end.sum()).backward()
        results.append([y, end, a.grad, b.grad])
    torch.testing.assert_close(results[0], results[1])


def test_sinkhorn_is_doubly_stochastic() -> None:
    matrix = sinkhorn(torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(0)), 20)
    torch.testing.assert_close(matrix.sum(-2), torch.ones(5, 4))
    torch.testing.assert_close(matrix.sum(-1), torch.ones(5, 4), rtol=1e-3, atol=1e-3)
    assert "sinkhorn" in paths_taken()
