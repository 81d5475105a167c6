"""Every operator can be timed, and by any path that fits its sizes the same result is timed."""

import pytest

from lab.benchmark import operators
from lab.benchmark.operators import SIZES, operator_case
from lab.kernels.registry import PATHS, forget_paths_taken, paths_taken

SMALL = {
    "B": 2,
    "T": 40,
    "S": 40,
    "N": 24,
    "V": 50,
    "n": 3,
    "rows": 8,
    "columns": 16,
    "top_k": 7,
    "window": 9,
}


def test_every_operator_has_a_size() -> None:
    assert {operator for operator, _ in SIZES.values()} == set(PATHS)


@pytest.mark.parametrize("size", SIZES)
def test_an_operator_runs_at_smaller_sizes(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operator, shapes = SIZES[size]
    smaller = {name: min(number, SMALL.get(name, number)) for name, number in shapes.items()}
    if operator in ("sinkhorn", "stream_mixing"):
        smaller["S"] = shapes["S"]  # streams, not keys
    monkeypatch.setitem(operators.SIZES, size, (operator, smaller))
    for path in (None, "naive"):
        case = operator_case(size, path)
        forget_paths_taken()
        case.run()
        taken = paths_taken()[operator]
        assert case.flops is not None
        assert case.flops > 0
        assert len(taken) == 1
        assert path is None or list(taken) == ["naive"]
    forget_paths_taken()
