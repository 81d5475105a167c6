"""Every operator has a slow twin and a README; a path can be forced; what was taken is known."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch

import lab.kernels
from lab.kernels.poly_norm import poly_norm
from lab.kernels.registry import PATHS, forget_paths_taken, paths_taken, use_path
from lab.kernels.rms_norm import rms_norm

HOME = Path(lab.kernels.__file__).parent


@pytest.fixture(autouse=True)
def count_from_zero() -> Iterator[None]:
    forget_paths_taken()
    yield
    forget_paths_taken()


def test_every_folder_is_registered() -> None:
    assert sorted(PATHS) == sorted(path.parent.name for path in HOME.glob("*/__init__.py"))


@pytest.mark.parametrize("operator", PATHS)
def test_an_operator_has_a_twin_a_readme_and_the_paths_it_names(operator: str) -> None:
    assert PATHS[operator][0] == "naive"
    assert (HOME / operator / "README.md").read_text(encoding="utf-8").startswith("# ")
    for path in PATHS[operator]:
        assert (HOME / operator / f"{path}.py").exists()
    if len(PATHS[operator]) > 1:
        assert tuple(import_module(f"lab.kernels.{operator}").PATHS) == PATHS[operator]


def test_paths_are_counted_and_can_be_forced() -> None:
    x, weight = torch.ones(2, 4), torch.ones(4)
    rms_norm(x, weight, 1e-6)
    with use_path("rms_norm", "naive"):
        rms_norm(x, weight, 1e-6)
        poly_norm(x, x, torch.ones(3), torch.zeros(1), 1e-6)
        with use_path("rms_norm", "fused"):
            rms_norm(x, weight, 1e-6)
        rms_norm(x, weight, 1e-6)
    rms_norm(x, weight, 1e-6)
    assert paths_taken() == {"poly_norm": {"fused": 1}, "rms_norm": {"fused": 3, "naive": 2}}


def test_a_forced_path_ends_with_its_block_even_on_errors() -> None:
    with pytest.raises(RuntimeError, match="stop"), use_path("rms_norm", "naive"):
        raise RuntimeError("stop")
    rms_norm(torch.ones(2, 4), torch.ones(4), 1e-6)
    assert paths_taken() == {"rms_norm": {"fused": 1}}


@pytest.mark.parametrize(("operator", "path"), [("softmax", "naive"), ("attention", "flash")])
def test_unknown_names_are_refused(operator: str, path: str) -> None:
    unknown = path if operator in PATHS else operator
    with pytest.raises(ValueError, match=unknown), use_path(operator, path):
        pass
