"""Units are kept: like adds to like, products combine, and what is printed is readable."""

import pytest

from lab.planner.quantity import (
    BYTE,
    DAY,
    DEVICE,
    DEVICE_HOUR,
    DOLLAR,
    FLOP,
    GB,
    GIB,
    HOUR,
    SECOND,
    TB,
    TFLOP,
    WATT,
    WON,
    Quantity,
)


def test_like_adds_to_like_only() -> None:
    assert (GIB + GIB).to(GIB) == 2
    with pytest.raises(TypeError, match="won cannot be added to byte"):
        GIB + WON
    with pytest.raises(TypeError, match="has no unit"):
        GIB + 3  # type: ignore[operator]
    with pytest.raises(TypeError, match="compared"):
        _ = WON < DOLLAR
    with pytest.raises(TypeError, match="expressed"):
        GIB.to(SECOND)


def test_products_combine_and_cancel() -> None:
    time = 80 * GB / (3.2 * TB / SECOND)
    assert isinstance(time, Quantity)
    assert time.to(SECOND) == pytest.approx(0.025)
    assert (10 * TFLOP) / (2 * TFLOP) == 5.0
    assert (768 * DEVICE * DAY).to(DEVICE_HOUR) == 768 * 24
    assert (1 / SECOND * SECOND) == 1.0
    assert sum([GB, GB]).to(GB) == 2  # type: ignore[union-attr]


def test_printed_in_the_unit_of_the_field() -> None:
    assert str(80 * GIB) == "80 GiB"
    assert str(989 * TFLOP / SECOND) == "989 TFLOP/s"
    assert str(24e9 * WON) == "₩24,000,000,000"
    assert str(66 * DAY) == "66 days"
    assert str(2.97e6 * DEVICE_HOUR) == "2.97 million device-hours"
    assert str(700 * WATT) == "700 W"
    assert str(FLOP / BYTE) == "1 flop/byte"
    assert str(36 * HOUR) == "1.5 days"
