"""Scaling laws against published goldens, against brute force, and fitted to points of a known law."""

import math

import pytest

from lab.errors import ConfigError
from lab.planner.interval import certain
from lab.planner.quantity import FLOP, TOKEN, WON
from lab.planner.scaling import (
    CHINCHILLA,
    CHINCHILLA_FAMILY,
    CHINCHILLA_PRINTED,
    HOFFMANN,
    EfficiencyLeverage,
    Point,
    fit,
    fit_family,
)


@pytest.mark.parametrize(
    ("law", "ratios"),
    [
        (CHINCHILLA_PRINTED, (21.6, 18.4, 17.9, 16.5)),
        (CHINCHILLA, (21.4, 17.9, 17.4, 16.0)),
        (HOFFMANN, (34, 59, 64, 85)),
    ],
)
def test_tokens_per_parameter(law, ratios):
    for compute, ratio in zip((1e21, 5.76e23, 1.52e24, 3.8e25), ratios, strict=True):
        parameters, tokens = law.optimal(compute * FLOP)
        assert tokens.to(TOKEN) / parameters == pytest.approx(ratio, rel=0.03)
        assert 6 * parameters * tokens.to(TOKEN) == pytest.approx(compute)


def test_optimum_is_least():
    parameters, tokens = CHINCHILLA.optimal(1e23 * FLOP)
    best = CHINCHILLA.loss(parameters, tokens)
    for factor in (0.7, 0.95, 1.05, 1.4):
        assert CHINCHILLA.loss(parameters * factor, tokens / factor) > best


def test_tokens_for_a_loss():
    tokens = CHINCHILLA.tokens_for(2.1, 10e9)
    assert CHINCHILLA.loss(10e9, tokens) == pytest.approx(2.1)
    assert CHINCHILLA.tokens_for(1.9, 1e8) is None


def test_service_makes_models_smaller():
    sizes = [CHINCHILLA.cheapest(2.0, served * TOKEN)[0] for served in (1.0, 1e12, 1e14)]
    assert sizes[0] > sizes[1] > sizes[2]
    parameters, tokens = CHINCHILLA.cheapest(2.0, 1.0 * TOKEN)
    optimal, _ = CHINCHILLA.optimal(6 * parameters * tokens.to(TOKEN) * FLOP)
    assert parameters == pytest.approx(optimal, rel=1e-3)


def test_loss_below_the_floor():
    with pytest.raises(ConfigError, match=r"target_loss=1\.5 .* out of reach"):
        CHINCHILLA.cheapest(1.5, 1e12 * TOKEN)


def test_published_check_of_the_leverage():
    assert EfficiencyLeverage().dense_equivalent(0.85e9, 17.5e9).central == pytest.approx(6.1e9)
    assert EfficiencyLeverage().dense_equivalent(8e9, 8e9).range.width == 1


def test_loss_names_its_contributors():
    size = EfficiencyLeverage().dense_equivalent(13e9, 314e9)
    loss = CHINCHILLA_FAMILY.loss(size, certain(12.5e12 * TOKEN))
    assert set(loss.spreads) == {"scaling law (published fits differ)", "mixture efficiency"}
    assert loss.range.low < loss.central < loss.range.high
    assert loss.spreads["mixture efficiency"] < 0, "a larger equivalent lowers the loss"


def points(law, noise=0.0):
    sizes, lengths = (1e6, 3e6, 1e7, 3e7), (1e8, 3e8, 1e9)
    return [
        Point(size, length * TOKEN, law.loss(size, length * TOKEN) * math.exp(noise * math.sin(index)))
        for index, (size, length) in enumerate((size, length) for size in sizes for length in lengths)
    ]


def test_fit_finds_the_law_that_made_the_points():
    found = fit(points(CHINCHILLA), "made")
    inside, outside = (2e6, 5e8 * TOKEN), (3e8, 1e10 * TOKEN)
    assert found.loss(*inside) == pytest.approx(CHINCHILLA.loss(*inside), rel=1e-3)
    assert found.loss(*outside) == pytest.approx(CHINCHILLA.loss(*outside), rel=0.02)


def test_noise_widens_the_family():
    quiet = fit_family(points(CHINCHILLA), "made", resamples=3)
    noisy = fit_family(points(CHINCHILLA, noise=0.03), "made", resamples=3)
    far = (certain(1e9), certain(1e11 * TOKEN))
    assert noisy.loss(*far).spread > quiet.loss(*far).spread


def test_too_few_points():
    with pytest.raises(ConfigError, match="sweep=made cannot be fitted: it has 5 finished runs"):
        fit(points(CHINCHILLA)[:5], "made")


def test_units():
    with pytest.raises(TypeError):
        CHINCHILLA.loss(1e9, 1e9 * WON)
