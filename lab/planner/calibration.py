"""The cost model held against everything public, in three layers.

(a) counts: parameters, FLOPs and memory against golden figures; (b) step throughput against published rows; (c) all-in
device-hours of whole runs. What is fitted: six slowdowns in (b) and two numbers, both ends of the all-in
efficiency, in (c). Every error reported for (b) and (c) is of a fit that has not seen the row.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from lab.model.config import ModelConfig
from lab.planner import facts
from lab.planner.config import LayoutConfig
from lab.planner.goldens import Golden, Models, goldens
from lab.planner.interval import Range, Uncertain, from_range
from lab.planner.layouts import default_layout
from lab.planner.pipeline import bubble
from lab.planner.quantity import DEVICE_HOUR, TOKEN, Quantity
from lab.planner.training import sketch, training_work
from lab.planner.utilisation import INGREDIENTS, PRIOR, ideal_times, utilisation

ROW_SPREAD = 0.2
"""What a published row may be off by (standard deviation of the logarithm): software differs by that much."""
PRIOR_SPREAD = 0.5
OF_RUNS = ("reports", "llama")
"""Groups of rows that were measured in the runs themselves, not in benchmarks."""
USUAL_DEVICES = 512
"""Devices of a run whose number is not published."""


@dataclass(frozen=True)
class Step:
    """A published throughput row, ready to be fitted: ``ideal`` and ``measured`` in device-seconds per token."""

    row: facts.Throughput
    layout: LayoutConfig
    ideal: tuple[float, ...]
    measured: float


@dataclass(frozen=True)
class StepError:
    """A row predicted by a fit that has not seen it; rates in tokens per second and device."""

    step: Step
    predicted: float

    @property
    def published(self) -> float:
        return 1 / self.step.measured

    @property
    def error(self) -> float:
        """Predicted over published, less one."""
        return self.predicted / self.published - 1


@dataclass(frozen=True)
class RunError:
    """A run predicted by a fit that has not seen it: in-run hours and the 80 % interval of all-in hours."""

    run: facts.Run
    in_run: float
    all_in: Range[float]

    @property
    def efficiency(self) -> float:
        """In-run prediction over published hours."""
        return self.in_run / self.run.hours

    @property
    def covered(self) -> bool:
        return self.all_in.holds(self.run.hours)


def steps(models: Models) -> list[Step]:
    """Published throughput rows with their layouts and ideal times."""
    prepared = []
    for row in facts.throughputs():
        model, device = models(row.model), facts.device(row.device)
        given = {**row.assumed, **row.layout}
        layout = default_layout(model, device, row.devices, row.sequence, row.precision, **given)
        times = ideal_times(model, layout, device)
        ideal = tuple(times[name].value * (1 + bubble(layout)) for name in INGREDIENTS)
        if row.tokens:
            measured = 1 / row.tokens
        else:
            assert row.tflops is not None, row.name
            measured = training_work(model, row.sequence).total.value / (row.tflops * 1e12)
        prepared.append(Step(row, layout, ideal, measured))
    return prepared


def fit_slowdowns(rows: Sequence[Step]) -> dict[str, float]:
    """The six slowdowns that fit ``rows`` best: robust least squares on logarithms, with :data:`PRIOR`."""
    import numpy
    from scipy.optimize import least_squares

    ideal = numpy.array([row.ideal for row in rows])
    measured = numpy.log([row.measured for row in rows])
    prior = numpy.log([PRIOR[name] for name in INGREDIENTS])

    def residuals(logs: numpy.ndarray) -> numpy.ndarray:
        off = (numpy.log(ideal @ numpy.exp(logs)) - measured) / ROW_SPREAD
        return numpy.concatenate([off, (logs - prior) / PRIOR_SPREAD])

    found = least_squares(residuals, prior, loss="soft_l1").x
    return {name: float(value) for name, value in zip(INGREDIENTS, numpy.exp(found), strict=True)}


def step_errors(
    rows: Sequence[Step], of: Callable[[Step], str] = lambda step: step.row.name
) -> list[StepError]:
    """Layer (b): each row predicted by the fit to the rows of every other ``of``: other rows, models or devices."""
    fits = {
        left_out: fit_slowdowns([row for row in rows if of(row) != left_out]) for left_out in map(of, rows)
    }
    errors = []
    for row in rows:
        slowdowns = fits[of(row)]
        time = sum(slowdowns[name] * part for name, part in zip(INGREDIENTS, row.ideal, strict=True))
        errors.append(StepError(row, 1 / time))
    return errors


def median_error(errors: Sequence[StepError]) -> float:
    """Median absolute relative error of the rates."""
    return statistics.median(abs(error.error) for error in errors)


def run_errors(models: Models, rows: Sequence[Step]) -> list[RunError]:
    """Layer (c): each run predicted without itself, and without the step rates of the same run (:data:`OF_RUNS`)."""
    used = [run for run in facts.runs() if run.use]
    in_run = []
    for run in used:
        others = [row for row in rows if not (row.row.group in OF_RUNS and row.row.model == run.model)]
        slowdowns = fit_slowdowns(others)
        in_run.append(_in_run(run, models, slowdowns).to(DEVICE_HOUR))
    efficiencies = [hours / run.hours for hours, run in zip(in_run, used, strict=True)]
    errors = []
    for index, run in enumerate(used):
        others_seen = [
            efficiency for other, efficiency in enumerate(efficiencies) if other != index and used[other].fit
        ]
        predicted = in_run[index] / all_in_efficiency(others_seen)
        errors.append(RunError(run, in_run[index], predicted.range))
    return errors


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


def _in_run(run: facts.Run, models: Models, slowdowns: dict[str, float]) -> Quantity:
    if run.model:
        model = models(run.model)
    else:
        assert run.total is not None
        assert run.active is not None
        model = sketch(run.total * 1e9, run.active * 1e9, name=run.name)
    device = facts.device(run.device)
    given = {**run.assumed, **run.layout}
    layout = default_layout(model, device, run.devices or USUAL_DEVICES, run.sequence, run.precision, **given)
    assert run.tokens is not None, run.name
    return in_run_time(model, run.device, run.tokens, layout, slowdowns)


@dataclass(frozen=True)
class Calibration:
    """All three layers, and the fit to everything.

    ``steps`` leave out a row; ``steps_of_new_models`` all rows of its model, ``steps_of_new_devices`` all rows of its
    device.
    """

    goldens: list[Golden]
    steps: list[StepError]
    steps_of_new_models: list[StepError]
    steps_of_new_devices: list[StepError]
    runs: list[RunError]
    slowdowns: dict[str, float]
    all_in_efficiency: Range[float]

    @property
    def coverage(self) -> float:
        """Share of runs inside their 80 % interval."""
        return statistics.fmean(run.covered for run in self.runs)

    @property
    def width(self) -> float:
        """Median of high over low."""
        return statistics.median(run.all_in.width for run in self.runs)


def calibrate(models: Models) -> Calibration:
    """Everything at once: about half a minute on one core."""
    rows = steps(models)
    runs = run_errors(models, rows)
    efficiency = all_in_efficiency([run.efficiency for run in runs if run.run.fit])
    return Calibration(
        goldens(models),
        step_errors(rows),
        step_errors(rows, lambda step: step.row.model),
        step_errors(rows, lambda step: step.row.device),
        runs,
        fit_slowdowns(rows),
        efficiency.range,
    )
