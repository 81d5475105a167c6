"""C++ paths against their twins over awkward shapes, in every type they take; and life without a compiler."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch

from lab.kernels import cpp
from lab.kernels.registry import PATHS, forget_paths_taken, paths_taken
from lab.kernels.rms_norm import rms_norm
from tests.kernels.twins import hold_to_twin, normal

needs_compiler = pytest.mark.skipif(not cpp.can_build(), reason="no C++ compiler that works is installed")
LENGTHS = (1, 63, 500, 1000)
FLOAT32 = (torch.float32, 1e-5)
BFLOAT16 = (torch.bfloat16, 2e-2)


def norm_inputs(length: int, dtype: torch.dtype) -> list[object]:
    return [normal(2, length, 37, dtype=dtype), normal(37, dtype=dtype, seed=1), 1e-5]


CASES: dict[str, Callable[[int, torch.dtype], list[object]]] = {"rms_norm": norm_inputs}
"""Operator -> its inputs, for a number of tokens; operators with richer tests of their own are not here."""


@needs_compiler
@pytest.mark.parametrize(("dtype", "tolerance"), [FLOAT32, BFLOAT16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("operator", CASES)
def test_a_path_in_cpp_equals_its_twin(
    operator: str, length: int, dtype: torch.dtype, tolerance: float
) -> None:
    paths = import_module(f"lab.kernels.{operator}").PATHS
    hold_to_twin(paths["cpp"], paths["naive"], CASES[operator](length, dtype), tolerance)


@needs_compiler
def test_a_norm_of_half_precision_with_a_wide_weight() -> None:
    paths = import_module("lab.kernels.rms_norm").PATHS
    values = [normal(5, 24, dtype=torch.bfloat16), normal(24), 1e-5]
    hold_to_twin(paths["cpp"], paths["naive"], values, 2e-2)


@needs_compiler
def test_threads_do_not_change_what_is_right() -> None:
    paths = import_module("lab.kernels.rms_norm").PATHS
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            hold_to_twin(paths["cpp"], paths["naive"], norm_inputs(1000, torch.float32), 1e-5)
    finally:
        torch.set_num_threads(before)


@needs_compiler
def test_a_tensor_that_is_a_view_is_read_as_it_looks() -> None:
    paths = import_module("lab.kernels.rms_norm").PATHS
    hold_to_twin(
        lambda x, w: paths["cpp"](x.mT, w, 1e-6),
        lambda x, w: paths["naive"](x.mT, w, 1e-6),
        [normal(6, 9), normal(6)],
        1e-5,
    )


def test_every_source_has_its_path() -> None:
    home = Path(cpp.__file__).parent
    assert sorted(name for name in PATHS if "cpp" in PATHS[name]) == sorted(
        path.parent.name for path in home.glob(f"*/{cpp.SOURCE}")
    )


def test_without_a_compiler_another_path_is_taken_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    cpp.can_build.cache_clear()
    try:
        forget_paths_taken()
        for _ in range(2):
            rms_norm(torch.ones(2, 4), torch.ones(4), 1e-6)
        assert paths_taken() == {"rms_norm": {"fused": 2}}
        said = capsys.readouterr().out
        assert said.count("cannot be built here") == 1
        assert "no-such-compiler" in said
    finally:
        cpp.can_build.cache_clear()
        forget_paths_taken()


def test_a_compiler_that_fails_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    cpp.can_build.cache_clear()
    try:
        assert not cpp.can_build()
        assert "false says" in capsys.readouterr().out
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    finally:
        cpp.can_build.cache_clear()
