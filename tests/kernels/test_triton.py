"""Triton kernels against the equations, under Triton's interpreter or on a GPU; and life without Triton."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from lab.kernels import rms_norm as rms
from lab.kernels import triton_support
from lab.kernels.compilation import usable
from lab.kernels.registry import PATHS
from tests.kernels.twins import hold_to_twin, normal

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
LENGTHS = (1, 63, 500)
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
    hold_to_twin(path("rms_norm"), rms.naive.rms_norm, values, tolerance)


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


def test_no_operator_imports_triton_before_it_is_called() -> None:
    modules = ", ".join(f"lab.kernels.{operator}" for operator in PATHS)
    code = f"import sys, {modules}; print([name for name in sys.modules if name.split('.')[-1] == 'triton'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "lab.kernels" not in done.stdout
