"""Triton kernels against the equations, under Triton's interpreter or on a GPU; and life without Triton."""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from lab.kernels import triton_support
from lab.kernels.attention import AttentionMask
from lab.kernels.compilation import usable
from lab.kernels.rotary import rotary_table
from tests.kernels.test_attention import MASKS, SHAPES, WINDOWS, packed
from tests.kernels.test_attention import inputs as attention_inputs
from tests.kernels.twins import hold_to_twin, normal

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
LENGTHS = (1, 63, 500)
VOCABULARY = 150
TYPES = [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]


@pytest.fixture(scope="module", autouse=True)
def interpreter() -> Iterator[None]:
    """Kernels are interpreted if this is set when they are defined, at their first call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        yield


def path(operator: str, name: str = "triton") -> Callable[..., Tensor]:
    return import_module(f"lab.kernels.{operator}").PATHS[name]


@needs_triton
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_rms_norm(length: int, dtype: torch.dtype, tolerance: float) -> None:
    values = (normal(2, length, 12, dtype=dtype), normal(12, dtype=dtype, seed=1), 1e-5)
    hold_to_twin(path("rms_norm"), path("rms_norm", "naive"), values, tolerance)


@needs_triton
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_swiglu(length: int, dtype: torch.dtype, tolerance: float) -> None:
    values = [normal(length, 12, dtype=dtype), normal(length, 12, dtype=dtype, seed=1)]
    hold_to_twin(path("swiglu"), path("swiglu", "naive"), values, tolerance)

    def halves(name: str) -> Callable[..., Tensor]:
        return lambda both: path("swiglu", name)(*both.chunk(2, dim=-1))

    both = [normal(2, length, 10, dtype=dtype)]
    hold_to_twin(halves("triton"), halves("naive"), both, tolerance)


@needs_triton
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("shared", [(True, True), (False, False), (True, False)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_poly_norm(length: int, shared: tuple[bool, bool], dtype: torch.dtype, tolerance: float) -> None:
    gate, up = normal(2, length, 13, dtype=dtype), normal(2, length, 13, dtype=dtype, seed=1)
    weight = normal(*(() if shared[0] else (2, length)), 3, dtype=dtype, seed=2)
    bias = normal(*(() if shared[1] else (2, length)), 1, dtype=dtype, seed=3)
    values = [gate, up, weight, bias, 1e-6]
    hold_to_twin(path("poly_norm"), path("poly_norm", "naive"), values, tolerance)


@needs_triton
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_rotary(length: int, dtype: torch.dtype, tolerance: float) -> None:
    table = rotary_table(torch.arange(1, 4) / 5, torch.arange(length).expand(2, -1))
    values = [normal(2, length, 3, 6, dtype=dtype)]

    def heads_cut_out(name: str) -> Callable[..., Tensor]:
        return lambda x: path("rotary", name)(x[:, :, 1:], *table)

    hold_to_twin(heads_cut_out("triton"), heads_cut_out("naive"), values, tolerance)


@needs_triton
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_cross_entropy(
    length: int, reduction: str, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks_per_vocabulary = 3
    kernels = pytest.importorskip("lab.kernels.cross_entropy.triton")
    monkeypatch.setattr(kernels, "WORDS_PER_CHUNK", -(-VOCABULARY // chunks_per_vocabulary))
    targets = torch.arange(length) * 7 % VOCABULARY
    targets[3::5] = -100
    values = [normal(length, 20, dtype=dtype), normal(VOCABULARY, 20, dtype=dtype), targets, reduction]
    hold_to_twin(path("cross_entropy"), path("cross_entropy", "naive"), values, tolerance)


@needs_triton
def test_cross_entropy_of_ignored_targets_is_zero_and_so_are_its_gradients() -> None:
    values = [normal(5, 20), normal(VOCABULARY, 20), torch.full((5,), -100), "mean"]
    hold_to_twin(path("cross_entropy"), path("cross_entropy", "naive"), values, 0.0)


def random_choices(tokens: int, top_k: int) -> Tensor:
    """Of nine experts the first and the last are never chosen."""
    scores = torch.rand(tokens, 7, generator=torch.Generator().manual_seed(tokens))
    return scores.topk(top_k, dim=-1).indices + 1


CHOICES = {
    "one token": random_choices(1, 2),
    "experts without tokens": random_choices(63, 2),
    "many tokens": random_choices(500, 1),
    "all tokens to two experts": torch.tensor([8, 2]).expand(130, 2),
}


@needs_triton
@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize(("dtype", "tolerance"), [*TYPES[:2], (torch.bfloat16, 4e-2)])
def test_experts(choices: Tensor, dtype: torch.dtype, tolerance: float) -> None:
    num_experts, width, hidden = 9, 20, 13

    def mixture(name: str) -> Callable[..., Tensor]:
        def apply(x: Tensor, weights: Tensor, w_in: Tensor, w_out: Tensor, slope: Tensor) -> Tensor:
            def activation(gate: Tensor, up: Tensor, expert_of_row: Tensor) -> Tensor:
                return torch.tanh(gate * slope[expert_of_row].unsqueeze(-1)) * up

            return path("experts", name)(x, choices, weights, w_in, w_out, activation)

        return apply

    values = [
        normal(len(choices), width, dtype=dtype),
        normal(*choices.shape, dtype=dtype, seed=1),
        normal(num_experts, 2 * hidden, width, dtype=dtype, seed=2) / 4,
        normal(num_experts, width, hidden, dtype=dtype, seed=3) / 4,
        normal(num_experts, dtype=dtype, seed=4),
    ]
    hold_to_twin(mixture("triton"), mixture("naive"), values, tolerance)


ATTENTION_CASES = [
    ("one token", "equal heads"),
    ("causal", "grouped"),
    ("packed", "wide values"),
    ("padded", "wide keys"),
    ("ring", "grouped"),
    ("decode", "wide values"),
    ("nothing to see", "equal heads"),
    ("sparse", "grouped"),
]
WINDOW_CASES = [
    ("a row of one", "grouped"),
    ("only itself", "equal heads"),
    ("blocks and one", "grouped"),
    ("wider than the row", "wide keys"),
    ("packed", "wide values"),
    ("padded", "wide keys"),
]


@needs_triton
@pytest.mark.parametrize(
    ("mask", "shape"),
    [(MASKS[mask], shape) for mask, shape in ATTENTION_CASES]
    + [(WINDOWS[mask], shape) for mask, shape in WINDOW_CASES],
    ids=[", ".join(case) for case in ATTENTION_CASES]
    + ["window: " + ", ".join(case) for case in WINDOW_CASES],
)
def test_attention(mask: AttentionMask, shape: str) -> None:
    values = attention_inputs(mask, SHAPES[shape])
    hold_to_twin(path("attention"), path("attention", "naive"), values, 1e-12)


@needs_triton
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES[1:])
def test_attention_of_500_tokens_in_narrower_types(dtype: torch.dtype, tolerance: float) -> None:
    values = attention_inputs(packed(500, 20), SHAPES["wide values"], dtype)
    hold_to_twin(path("attention"), path("attention", "naive"), values, tolerance)


@needs_triton
def test_attention_reads_heads_where_they_lie() -> None:
    def cut_out(name: str) -> Callable[..., Tensor]:
        def apply(qkv: Tensor) -> Tensor:
            q, k, v = qkv.split((4, 2, 2), dim=2)
            return path("attention", name)(q, k, v.transpose(1, 3).contiguous().transpose(1, 3), mask, 0.3)

        return apply

    mask = MASKS["causal"]
    hold_to_twin(cut_out("triton"), cut_out("naive"), [normal(2, 67, 8, 12)], 1e-5)


@pytest.mark.parametrize("mask", [*MASKS.values(), *WINDOWS.values()], ids=[*MASKS, *WINDOWS])
def test_no_pair_that_is_allowed_lies_outside_the_reach_of_its_tiles(mask: AttentionMask) -> None:
    query_size, key_size = 16, 8
    by_query, by_key = mask.reach(query_size, key_size)
    for batch, query, key in mask.dense()[:, 0].nonzero().tolist():
        first, last = by_query[batch, query // query_size].tolist()
        assert first <= key // key_size < last
        first, last = by_key[batch, key // key_size].tolist()
        assert first <= query // query_size < last


def test_tiles_outside_window_and_document_are_out_of_reach() -> None:
    positions = torch.arange(256).expand(1, -1)
    documents = positions // 128
    by_query, by_key = AttentionMask(positions, positions, documents, documents, 33).reach(32, 32)
    assert by_query[0].tolist() == [[0, 1], [0, 2], [1, 3], [2, 4], [4, 5], [4, 6], [5, 7], [6, 8]]
    assert by_key[0].tolist() == [[0, 2], [1, 3], [2, 4], [3, 4], [4, 6], [5, 7], [6, 8], [7, 8]]


def test_a_run_that_asks_for_triton_where_it_cannot_be_had_is_told_once_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    processor = torch.device("cpu")
    monkeypatch.delenv("TRITON_INTERPRET")
    for found, reason in [(None, "Triton is not installed"), (object(), "device=cpu is no GPU")]:
        monkeypatch.setattr(triton_support, "find_spec", lambda name, found=found: found)
        triton_support.can_use_triton.cache_clear()
        assert [usable("triton", processor) for _ in range(2)] == ["auto", "auto"]
        sentence = "kernels=triton cannot be used here, so operators take the paths of their own rules:"
        assert capsys.readouterr().out == f"{sentence} {reason}.\n"
        with pytest.raises(RuntimeError, match=f"path='triton' of rms_norm cannot be used: {reason}"):
            path("rms_norm")(torch.ones(2, 4), torch.ones(4), 1e-6)
    triton_support.can_use_triton.cache_clear()
