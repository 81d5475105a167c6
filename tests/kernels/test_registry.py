"""Every operator has a slow twin and a README; a path can be forced; what was taken is known."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch

import lab.kernels
from lab.kernels.attention import AttentionMask, attention
from lab.kernels.poly_norm import poly_norm
from lab.kernels.registry import (
    PATHS,
    forget_paths_taken,
    lacks_preferred,
    paths_taken,
    prefer,
    preferred,
    use_path,
)
from lab.kernels.rms_norm import rms_norm
from lab.kernels.sinkhorn import sinkhorn

HOME = Path(lab.kernels.__file__).parent
WIDE = torch.ones(2, 4, dtype=torch.float64)
"""In a type that every operator has one path for, whatever is installed."""


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
    x, weight = WIDE, WIDE[0]
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
    rms_norm(WIDE, WIDE[0], 1e-6)
    assert paths_taken() == {"rms_norm": {"fused": 1}}


@pytest.mark.parametrize(("operator", "path"), [("softmax", "naive"), ("attention", "flash")])
def test_unknown_names_are_refused(operator: str, path: str) -> None:
    unknown = path if operator in PATHS else operator
    with pytest.raises(ValueError, match=unknown), use_path(operator, path):
        pass


def test_a_kind_is_preferred_where_an_operator_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PATHS, "sinkhorn", ("naive", "compiled"))
    x, weight = WIDE, WIDE[0]
    with prefer("naive"):
        rms_norm(x, weight, 1e-6)
        with use_path("rms_norm", "fused"), prefer("native"):
            rms_norm(x, weight, 1e-6)
            sinkhorn(WIDE[:, :2], 1)
            assert lacks_preferred("sinkhorn")
            assert not lacks_preferred("rms_norm")
        assert not any(lacks_preferred(operator) for operator in PATHS)
    rms_norm(x, weight, 1e-6)
    assert preferred() == "auto"
    assert not lacks_preferred("sinkhorn")
    assert paths_taken() == {"rms_norm": {"fused": 2, "naive": 1}, "sinkhorn": {"naive": 1}}


def test_native_leaves_the_choice_between_native_paths_to_the_operator() -> None:
    positions = torch.arange(256).expand(1, -1)
    q = torch.ones(1, 256, 1, 4, dtype=WIDE.dtype)
    with prefer("native"):
        attention(q, q, q, AttentionMask(positions, positions, window=64), 1.0)
        attention(q, q, q, AttentionMask(positions, positions), 1.0)
    assert paths_taken() == {"attention": {"banded": 1, "sdpa": 1}}


def test_the_choice_ends_with_its_block_even_on_errors() -> None:
    with pytest.raises(RuntimeError, match="stop"), prefer("naive"):
        raise RuntimeError("stop")
    assert preferred() == "auto"
    with pytest.raises(ValueError, match=r"kernels='fast' is unknown: it can be auto, naive"), prefer("fast"):
        pass
