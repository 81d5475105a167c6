"""The matching test: what it is held to, and that it sees units in any basis."""

import pytest

from lab.independence.testbed.kinds import CHILDREN
from lab.independence.testbed.models import as_weights, fresh
from lab.independence.unit_agreement import FEWEST_REFERENCES, References, UnitAgreement, unit_agreement
from lab.independence.weights import Weights


def compared(a: Weights, b: Weights, module: str, *references: Weights) -> UnitAgreement | None:
    return unit_agreement(a, b, module, 256, 256, 199, 0.01, 0, references)


@pytest.mark.parametrize("module", ["attention", "experts"])
@pytest.mark.parametrize("kind", ["residual rotation", "width cloning", "depth expansion"])
def test_units_are_seen_in_another_basis_width_and_depth(kind: str, module: str) -> None:
    state = fresh(0)
    result = compared(as_weights("a", state), CHILDREN[kind](state, 0), module)
    assert result is not None
    assert result.share > 0.99
    assert result.p_value <= 1 / 200


@pytest.mark.parametrize("module", ["attention", "experts"])
def test_the_order_of_tensors_on_disk_is_of_no_matter(module: str) -> None:
    state = fresh(0)
    other = as_weights("b", dict(sorted(state.items(), reverse=True)))
    result = compared(as_weights("a", state), other, module)
    assert result is not None
    assert result.share > 0.99


@pytest.mark.parametrize("module", ["attention", "experts"])
def test_strangers_have_nothing_beyond_the_references(module: str) -> None:
    result = compared(as_weights("a", fresh(0)), as_weights("b", fresh(1)), module)
    assert result is not None
    assert result.p_value > 0.01
    assert result.references.count >= FEWEST_REFERENCES
    assert abs(result.references.mean) < 0.05
    assert 0 < result.floor < 0.5


def test_named_references_make_the_null() -> None:
    others = [as_weights(str(seed), fresh(seed)) for seed in range(10, 14)]
    result = compared(as_weights("a", fresh(0)), as_weights("b", fresh(1)), "experts", *others)
    assert result is not None
    assert result.references.words == "14 pairs with unrelated models"
    assert result.p_value > 0.01


def test_the_limit_of_references_has_its_level() -> None:
    known = References(12, "pairs", 0.01, 0.02)
    assert known.p_value(known.limit(0.001)) == pytest.approx(0.001)


def test_too_few_units_or_tokens_are_not_compared() -> None:
    state = {name: tensor for name, tensor in fresh(0).items() if "feed_forward" not in name}
    assert compared(as_weights("a", state), as_weights("b", fresh(1)), "experts") is None
    foreign = as_weights("b", fresh(1))
    foreign.vocabulary = {"other": 0}
    assert compared(as_weights("a", fresh(0)), foreign, "attention") is None
