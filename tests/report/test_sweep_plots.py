"""The figures of a sweep: what is drawn where, from the runs alone."""

import re

import numpy as np
import pytest

from lab.report.sheet import WIDE
from lab.report.svg import Ink
from lab.report.sweep_plots import (
    BASELINE_COLOURS,
    metric_figure,
    search_figure,
    sweep_figures,
    variant_identities,
)
from lab.report.sweeps import read_sweep

from . import fabricated_sweep
from .fabricated_sweep import fabricate_sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return read_sweep(fabricate_sweep(tmp_path_factory.mktemp("runs") / "position"))


def test_every_figure_shows_every_variant(sweep):
    figures = sweep_figures(sweep, {"wide": WIDE})
    assert list(figures) == ["metric", "curves", "search", "measures.long_context.ko"]
    for drawings in figures.values():
        assert set(re.findall(r'data-series="([^"]+)"', drawings["wide"])) == {"rope", "hybrid", "nope"}


def test_the_metric_figure_draws_each_seed_and_each_difference(sweep):
    metric, difference = metric_figure(sweep, WIDE, Ink()).axes
    rope = sweep.by_seed("rope", sweep.metric)
    drawn = {line.get_gid(): line.get_xdata() for line in metric.lines if line.get_marker() == "|"}
    assert sorted(drawn["series:rope"]) == sorted(rope.values())
    paired = {line.get_gid(): line.get_xdata() for line in difference.lines if line.get_marker() == "|"}
    nope = sweep.by_seed("nope", sweep.metric)
    np.testing.assert_allclose(
        sorted(paired["series:nope"]), sorted(nope[seed] - rope[seed] for seed in rope)
    )
    assert "series:rope" not in paired


def test_the_search_figure_has_the_means_and_rings_the_choice(sweep):
    (panel,) = search_figure(sweep, WIDE, Ink()).axes
    lines = [line for line in panel.lines if line.get_gid() == "series:hybrid"]
    means, ring = lines[0].get_ydata(), lines[1]
    assert list(means) == [values[0] for values in sweep.searched("hybrid", sweep.metric).values()]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (1, means[1])


def test_without_a_search_there_is_no_figure_of_it(tmp_path):
    assert search_figure(read_sweep(fabricate_sweep(tmp_path / "plain", search=False)), WIDE, Ink()) is None


def test_bands_hold_the_curves_of_all_seeds(sweep):
    band = sweep.bands["nope"]
    assert band.num_runs == 5
    assert (band.low <= band.mean).all()
    assert (band.mean <= band.high).all()


def test_variants_are_told_apart_and_the_baseline_is_grey(tmp_path, monkeypatch):
    names = ["plain", "a=1,b", "a=1.b", *(f"v{number}" for number in range(8))]
    monkeypatch.setattr(fabricated_sweep, "BITS", dict.fromkeys(names, 1.7))
    monkeypatch.setattr(fabricated_sweep, "OVERRIDES", {name: [name] for name in names})
    known = variant_identities(read_sweep(fabricate_sweep(tmp_path / "many", names, seeds=[0], search=False)))
    keys = [identity.key for identity in known.values()]
    assert len(set(keys)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in keys)
    assert len({(identity.light, identity.dash) for identity in known.values()}) == len(names)
    assert (known["plain"].light, known["plain"].dark) == BASELINE_COLOURS
