"""Compiled equations: every one traced whole and for any shape, two through the C++ compiler, and life without one."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lab.kernels import compilation
from lab.kernels.registry import PATHS
from lab.kernels.rotary import rotary_table
from tests.kernels.twins import hold_to_twin, normal

LENGTHS = (1, 63, 500)


def rows(length: int) -> list[object]:
    return [normal(2, length, 12), normal(2, length, 12, seed=1)]


def rotation(length: int) -> list[object]:
    return [
        normal(2, length, 3, 8),
        *rotary_table(torch.arange(1, 5) / 5, torch.arange(length).expand(2, -1)),
    ]


def convolution(length: int) -> list[object]:
    documents = (torch.arange(length) // 37).expand(2, -1)
    return [normal(2, length, 6), normal(6, 4), normal(2, 3, 6, seed=1), documents]


def experts(length: int) -> list[object]:
    return [*rows(length), normal(2, length, 3, seed=2), normal(2, length, 1, seed=3), 1e-6]


def mixing(length: int) -> list[object]:
    inputs = [normal(2, length, 4, 6), normal(2, length, 4, 4, seed=1)]
    return [*inputs, normal(2, length, 6, seed=2), normal(2, length, 4, seed=3)]


CASES: dict[str, Callable[[int], list[object]]] = {
    "poly_norm": experts,
    "rms_norm": lambda length: [normal(2, length, 12), normal(12, seed=1), 1e-5],
    "rotary": rotation,
    "short_convolution": convolution,
    "sinkhorn": lambda length: [normal(2, length, 4, 4), 5],
    "stream_mixing": mixing,
    "swiglu": rows,
}


def value(operator: str, path: str) -> Callable[..., Tensor]:
    """The path's first result."""

    def call(*inputs: object) -> Tensor:
        function = import_module(f"lab.kernels.{operator}").PATHS[path]
        y = (function.mix_streams if operator == "stream_mixing" else function)(*inputs)
        return y[0] if isinstance(y, tuple) else y

    return call


def test_every_compiled_path_has_a_case() -> None:
    assert sorted(CASES) == [operator for operator, paths in PATHS.items() if "compiled" in paths]


@pytest.mark.parametrize("operator", CASES)
def test_an_equation_is_traced_whole_and_for_any_length(
    operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = partial(torch.compile, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(compilation, "_made", {})
    monkeypatch.setattr(compilation, "can_compile", lambda: True)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", traced)
        for length in LENGTHS:
            inputs = CASES[operator](length)
            stance = "fail_on_recompile" if length == LENGTHS[-1] else "default"
            with torch.compiler.set_stance(stance):
                hold_to_twin(value(operator, "compiled"), value(operator, "naive"), inputs, 1e-5)


@pytest.mark.parametrize("operator", ["rms_norm", "swiglu"])
def test_machine_code_equals_the_equation(operator: str) -> None:
    if not compilation.can_compile():
        pytest.skip("torch.compile needs a C++ compiler")
    for length in LENGTHS[1:]:
        hold_to_twin(value(operator, "compiled"), value(operator, "naive"), CASES[operator](length), 1e-5)


def test_without_a_compiler_the_equation_runs_and_a_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def no_compiler(*_: object, **__: object) -> None:
        raise RuntimeError("no C++ compiler was found\nand a long explanation")

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compilation, "_made", {})
    monkeypatch.setattr(compilation, "can_compile", compilation.can_compile.__wrapped__)
    monkeypatch.setattr(torch, "compile", no_compiler)
    inputs = CASES["swiglu"](3)
    assert torch.equal(value("swiglu", "compiled")(*inputs), value("swiglu", "naive")(*inputs))
    assert compilation.usable("compiled", torch.device("cpu")) == "auto"
    assert compilation.usable("naive", torch.device("cpu")) == "naive"
    sentence = (
        "kernels=compiled cannot be used here, so operators take their other paths: no C++ compiler was found"
    )
    assert set(capsys.readouterr().out.splitlines()) == {sentence}
