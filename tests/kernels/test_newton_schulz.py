"""Newton-Schulz: the fast iterations against one matrix at a time, and against the singular values."""

import platform
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from lab.kernels import cpp as built
from lab.kernels.newton_schulz import PATHS, batched, choose_path, cpp, gram, naive, newton_schulz
from lab.kernels.registry import use_path
from tests.kernels.twins import normal

SHAPES = {
    "one number": (1, 1, 1),
    "square": (3, 17, 17),
    "a little wide": (2, 20, 31),
    "wide": (5, 12, 63),
    "row": (2, 1, 9),
    "whole tiles": (2, 64, 128),
    "a number more than tiles": (2, 33, 65),
    "deeper than a panel": (1, 40, 300),
    "square, deeper than a panel": (1, 270, 270),
}

needs_cpp = pytest.mark.skipif(not built.can_build(), reason="no C++ compiler that works is installed")


@pytest.fixture(scope="module", params=["native", "x86-64-v3", "x86-64"])
def width_of_registers(request: pytest.FixtureRequest) -> Iterator[None]:
    """The code for this processor, for AVX2 and for neither AVX."""
    if request.param == "x86-64-v3" and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this processor has no AVX2")
    if request.param != "native" and platform.machine() != "x86_64":
        pytest.skip("this processor is another one")
    with pytest.MonkeyPatch.context() as patch:
        flags = [flag.replace("-march=native", f"-march={request.param}") for flag in built.FLAGS]
        patch.setattr(built, "FLAGS", tuple(flags))
        built._library.cache_clear()
        patch.setattr(cpp, "_update", built.cpp_function(cpp.__file__, "update", cpp.ARGUMENTS))
        yield
    built._library.cache_clear()


@pytest.mark.parametrize("fast", [batched.newton_schulz, gram.newton_schulz], ids=["batched", "gram"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_paths_agree_with_the_iteration_as_written(
    fast: Callable[[Tensor, int], Tensor], shape: tuple[int, int, int]
) -> None:
    stack = normal(*shape, dtype=torch.float64)
    expected = naive.newton_schulz(stack, 5)
    torch.testing.assert_close(fast(stack, 5), expected, rtol=0, atol=1e-9)


@needs_cpp
@pytest.mark.usefixtures("width_of_registers")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_cpp_agrees_with_the_iteration_as_written(shape: tuple[int, int, int]) -> None:
    wide = normal(*shape)
    expected = naive.newton_schulz(wide.double(), 5).float()
    torch.testing.assert_close(cpp.newton_schulz(wide, 5), expected, rtol=0, atol=1e-3)
    turned = cpp.newton_schulz(wide.mT.contiguous(), 5)
    torch.testing.assert_close(turned, expected.mT, rtol=0, atol=1e-3)


@needs_cpp
def test_cpp_is_as_exact_as_float32_allows() -> None:
    """Square matrices are iterated as written; the others on a Gram matrix, with the errors that ``gram`` has too."""
    for shape, allowed in (((4, 48, 48), 5e-6), ((4, 48, 60), 5e-6), ((4, 48, 96), 1e-3)):
        stack = spectra(shape, smallest=1e-3)
        expected = naive.newton_schulz(stack.double(), 5)
        assert (cpp.newton_schulz(stack, 5) - expected).norm() < allowed * expected.norm(), shape


@needs_cpp
def test_threads_share_the_matrices_without_a_difference() -> None:
    stack = normal(5, 24, 40)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = cpp.newton_schulz(stack, 5)
        torch.set_num_threads(3)
        assert torch.equal(cpp.newton_schulz(stack, 5), alone)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_chosen_path_in_float32(shape: tuple[int, int, int]) -> None:
    stack = normal(*shape)
    torch.testing.assert_close(newton_schulz(stack, 5), naive.newton_schulz(stack, 5), rtol=0, atol=2e-3)


@pytest.mark.parametrize("path", ["gram", "cpp"])
def test_many_steps_on_matrices_without_full_rank_stay_bounded(path: str) -> None:
    """A Gram matrix that rounding makes negative somewhere would grow without end if it were kept."""
    if path == "cpp" and not built.can_build():
        pytest.skip("no C++ here")
    stack = normal(3, 12, 60)
    stack[:, 5:] = 0.0
    stack[1, 5:] = stack[1, 4]
    result = PATHS[path](stack, 20)
    values = torch.linalg.svdvals(result)
    assert values.max() < 1.3
    assert (values[[0, 2]] > 0.5).sum() == 10


def test_bfloat16_products_keep_the_directions() -> None:
    stack = normal(4, 24, 40)
    exact, rounded = newton_schulz(stack, 5), newton_schulz(stack, 5, "bfloat16")
    assert rounded.dtype == torch.float32
    assert torch.cosine_similarity(exact.flatten(1), rounded.flatten(1)).min() > 0.999


@pytest.mark.parametrize("path", PATHS)
def test_singular_values_end_near_one_and_zero_stays_zero(path: str) -> None:
    if path == "cpp" and not built.can_build():
        pytest.skip("no C++ here")
    stack = normal(6, 16, 48)
    stack[2] = 0.0
    with use_path("newton_schulz", path):
        result = newton_schulz(stack, 5)
    assert (result[2] == 0).all()
    values = torch.linalg.svdvals(result[[0, 1, 3, 4, 5]])
    assert values.min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_stack_stays_empty(path: str) -> None:
    if path == "cpp" and not built.can_build():
        pytest.skip("no C++ here")
    with use_path("newton_schulz", path):
        assert newton_schulz(torch.zeros(0, 4, 8), 5).shape == (0, 4, 8)


@needs_cpp
def test_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    few, wide, square = normal(1, 8, 16), normal(4, 8, 16), normal(4, 8, 8)
    assert choose_path([few], "float32") == "cpp"
    assert choose_path([wide, square], "bfloat16") == "batched"
    assert choose_path([wide.double()], "float32") == "gram"
    assert choose_path([square.double()], "float32") == "batched"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert choose_path([few], "float32") == "gram"
    assert choose_path([few, few], "float32") == "cpp"


def spectra(shape: tuple[int, int, int], smallest: float) -> Tensor:
    """Matrices whose singular values fall evenly on a logarithmic scale from 1 to ``smallest``."""
    n, rows, columns = shape
    left = torch.linalg.qr(normal(n, rows, rows))[0]
    right = torch.linalg.qr(normal(n, columns, rows))[0]
    return (left * torch.logspace(0, torch.tensor(smallest).log10().item(), rows)) @ right.mT
