"""Uncertain numbers: independent factors add in squares, one factor that enters twice adds up."""

import math

import pytest

from lab.planner.interval import EIGHTY_PERCENT, Uncertain, certain, from_range
from lab.planner.quantity import DAY, DOLLAR, GIB, HOUR


def test_products_of_factors() -> None:
    speed, price = Uncertain(2.0, {"speed": 0.3}), Uncertain(5 * DOLLAR, {"price": 0.4})
    cost = price / speed
    assert cost.spread == pytest.approx(0.5)
    assert cost.largest() == ["price", "speed"]
    assert (speed / speed).spread == 0
    assert (speed * speed).spread == pytest.approx(0.6)


def test_a_sum_weighs_by_share() -> None:
    total = Uncertain(3 * DAY, {"run": 0.2}) + 24 * HOUR
    assert total.central.to(DAY) == pytest.approx(4)
    assert total.spread == pytest.approx(0.15)
    with pytest.raises(TypeError):
        certain(DAY) + GIB


def test_range_and_tornado_agree_with_the_bounds_given() -> None:
    price = from_range("price", 2 * DOLLAR, 8 * DOLLAR)
    assert price.central.to(DOLLAR) == pytest.approx(4)
    assert price.range.low.to(DOLLAR) == pytest.approx(2)
    assert price.range.width == pytest.approx(4)
    (bar,) = price.tornado()
    assert bar.contributor == "price"
    assert bar.high.to(DOLLAR) == pytest.approx(8)
    assert math.log(price.range.width) == pytest.approx(2 * EIGHTY_PERCENT * price.spread)
