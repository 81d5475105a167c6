"""Stream mixing, the gated norm and SwiGLU: every path against its equation."""

import pytest
import torch

from lab.kernels import gated_rms_norm as gated
from lab.kernels import stream_mixing as streams
from lab.kernels.swiglu import library as by_library
from lab.kernels.swiglu import naive as as_written
from tests.kernels.twins import hold_to_twin, normal

TYPES = [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 4e-2)]
LENGTHS = (1, 63, 500)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES[:2])
def test_streams_mix_as_written(length: int, dtype: torch.dtype, tolerance: float) -> None:
    x, mixing = normal(2, length, 3, 5, dtype=dtype), normal(2, length, 3, 3, dtype=dtype, seed=1)
    y, share = normal(2, length, 5, dtype=dtype, seed=2), normal(2, length, 3, dtype=dtype, seed=3)
    hold_to_twin(streams.batched.mix_streams, streams.naive.mix_streams, (x, mixing, y, share), tolerance)
    hold_to_twin(streams.batched.read_streams, streams.naive.read_streams, (x, share), tolerance)


def test_what_mixing_does_to_one_token() -> None:
    x = torch.tensor([[1.0, 2.0], [10.0, 20.0]])
    mixed = streams.mix_streams(
        x, torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([1.0, -1.0]), torch.tensor([2.0, 3.0])
    )
    assert mixed.tolist() == [[7.5, 9.0], [13.0, 17.0]]
    assert streams.read_streams(x, torch.tensor([1.0, 0.5])).tolist() == [6.0, 12.0]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_the_gated_norm_equals_its_twin(length: int, dtype: torch.dtype, tolerance: float) -> None:
    values = (
        normal(2, length, 12, dtype=dtype),
        normal(12, dtype=dtype, seed=1),
        1e-5,
        normal(3, 12, dtype=dtype, seed=2),
        normal(12, 3, dtype=dtype, seed=3),
    )
    hold_to_twin(gated.separate.gated_rms_norm, gated.naive.gated_rms_norm, values, tolerance)


@pytest.mark.parametrize("shape", [(1, 5), (63, 12), (2, 500, 12), (0, 12)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_swiglu_equals_its_twin(shape: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    values = (normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1))
    hold_to_twin(by_library.swiglu, as_written.swiglu, values, tolerance)
