"""Learning curves over training FLOPs, averaged over seeds: the numbers behind the loss figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lab.report.contenders import Identity
from lab.report.race import Race
from lab.report.runs import Run

GRID_POINTS = 140
COMPLETE = 0.98  # share of the FLOPs of a contender's farthest run that another must have reached
SMOOTHING = 0.03  # share of a run's logged steps that the running mean covers at most


@dataclass(frozen=True)
class Band:
    """``flops`` [N] rising, ``mean``, ``low`` and ``high`` [N] in bits per token over ``num_runs`` runs."""

    flops: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    num_runs: int


@dataclass(frozen=True)
class Curve(Band):
    """The band of what ``identity`` names: a contender, or a variant of a sweep."""

    identity: Identity

    def at(self, flops: np.ndarray) -> np.ndarray:
        return np.interp(flops, self.flops, self.mean)


def learning_curves(race: Race) -> list[Curve]:
    """One curve a contender that has logged at least two steps, in the order of the standings.

    A run that stopped short of the contender's others is left out, so that it doesn't cut their curve.
    """
    bands = [(standing, seed_band(standing.runs)) for standing in race.standings]
    return [Curve(**vars(band), identity=standing.identity) for standing, band in bands if band is not None]


def seed_band(runs: Sequence[Run]) -> Band | None:
    """The mean, lowest and highest loss of runs that differ in their seed; None before they log two steps."""
    series = [bits for run in runs if len(bits := _smoothed_bits(run)) > 1]
    if not series:
        return None
    farthest = max(bits.index[-1] for bits in series)
    series = [bits for bits in series if bits.index[-1] >= COMPLETE * farthest]
    start, end = max(bits.index[0] for bits in series), min(bits.index[-1] for bits in series)
    if end <= start:
        return None
    # Even in the logarithm for the early fall, and even in FLOPs for the end.
    flops = np.union1d(np.geomspace(start, end, GRID_POINTS), np.linspace(start, end, GRID_POINTS))
    values = np.stack([np.interp(flops, bits.index, bits.to_numpy()) for bits in series])
    return Band(flops, values.mean(0), values.min(0), values.max(0), len(series))


def _smoothed_bits(run: Run) -> pd.Series:
    """Training loss in bits per token against FLOPs, a running mean over a small share of the steps."""
    metrics = run.metrics
    if "flops" not in metrics or not {"train/bits_per_token", "train/loss"} & set(metrics.columns):
        return pd.Series(dtype=float)
    given = "train/bits_per_token" in metrics
    bits = metrics["train/bits_per_token"] if given else metrics["train/loss"] / math.log(2)
    series = pd.Series(bits.to_numpy(float), index=metrics["flops"].to_numpy(float))
    series = series[np.isfinite(series) & (series.index > 0)]
    return pd.Series(running_mean(series.to_numpy(), round(SMOOTHING * len(series) / 2)), index=series.index)


def running_mean(values: np.ndarray, reach: int) -> np.ndarray:
    """The mean over up to ``reach`` neighbours on either side.

    There are never more after than before, so that the steep beginning isn't flattened.
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    before = np.minimum(index, reach)
    after = np.minimum(before, len(values) - 1 - index)
    return (sums[index + after + 1] - sums[index - before]) / (after + before + 1)
