"""From the steps of a run to all the device-hours that a house reports for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from lab.model.config import ModelConfig
from lab.planner import facts
from lab.planner.config import LayoutConfig
from lab.planner.interval import Uncertain, from_range
from lab.planner.quantity import TOKEN, Quantity
from lab.planner.utilisation import utilisation


def all_in_efficiency(efficiencies: Sequence[float]) -> Uncertain[float]:
    """All-in efficiency (in-run prediction over published hours) of the next run, from those seen.

    Distribution-free: of n runs in order, the next lies below the one at place (n + 1) / 10 with a chance of one in
    ten (conformal prediction, Vovk et al. 2005), and above its counterpart likewise.
    """
    import numpy

    low, high = numpy.quantile(efficiencies, [0.1, 0.9], method="weibull")
    return from_range("all-in efficiency", float(low), float(high))


@cache
def fitted_all_in() -> Uncertain[float]:
    """The committed all-in efficiency of ``facts/slowdowns.yaml``."""
    low, high = facts.read("slowdowns")["all_in_efficiency"]
    return from_range("all-in efficiency", low, high)


def in_run_time(
    model: ModelConfig,
    device: str,
    tokens: float,
    layout: LayoutConfig,
    slowdowns: dict[str, float] | None = None,
) -> Quantity:
    """Device-time of the steps of a run and nothing else; None takes the committed slowdowns."""
    return utilisation(model, layout, facts.device(device), slowdowns).time * (tokens * TOKEN)


def all_in_time(in_run: Quantity) -> Uncertain[Quantity]:
    """Device-time of a whole run as houses report it: its steps, failures, restarts, evaluations, whatever else."""
    return Uncertain(in_run) / fitted_all_in()
