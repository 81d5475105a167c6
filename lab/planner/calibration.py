"""The cost model held against everything public, in three layers.

(a) counts: parameters, FLOPs and memory against golden figures; (b) step throughput against published rows; (c) all-in
device-hours of whole runs. What is fitted: six slowdowns in (b) and two numbers, both ends of the all-in
efficiency, in (c). Every error reported for (b) and (c) is of a fit that has not seen the row.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.planner import facts
from lab.planner.all_in import all_in_efficiency, in_run_time
from lab.planner.config import LayoutConfig
from lab.planner.goldens import Golden, Models, goldens
from lab.planner.interval import Range, Uncertain
from lab.planner.layouts import default_layout
from lab.planner.memory import memory
from lab.planner.pipeline import bubble
from lab.planner.quantity import DEVICE_HOUR, GIB, Quantity
from lab.planner.training import sketch, training_work
from lab.planner.utilisation import INGREDIENTS, PRIOR, ideal_times

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


def steps(models: Models, rows: Sequence[facts.Throughput]) -> list[Step]:
    """Published throughput rows with their layouts and ideal times."""
    prepared = []
    for row in rows:
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
    return [_step_error(row, fits[of(row)]) for row in rows]


def _step_error(step: Step, slowdowns: dict[str, float]) -> StepError:
    time = sum(slowdowns[name] * part for name, part in zip(INGREDIENTS, step.ideal, strict=True))
    return StepError(step, 1 / time)


def median_error(errors: Sequence[StepError]) -> float:
    """Median absolute relative error of the rates."""
    return statistics.median(abs(error.error) for error in errors)


def run_errors(
    models: Models, rows: Sequence[Step], of: Callable[[facts.Run], str] = lambda run: run.name
) -> list[RunError]:
    """Layer (c): each run predicted from the runs of every other ``of`` (other runs, or other houses).

    Nor are the step rates seen that were measured in the run itself (:data:`OF_RUNS`).
    """
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
            efficiency
            for other, efficiency in zip(used, efficiencies, strict=True)
            if of(other) != of(used[index]) and other.fit
        ]
        predicted = in_run[index] / all_in_efficiency(others_seen)
        errors.append(RunError(run, in_run[index], predicted.range))
    return errors


def later_run_errors(
    models: Models, slowdowns: dict[str, float], efficiency: Uncertain[float]
) -> list[RunError]:
    """Runs that were looked up after the fit, predicted by it."""
    errors = []
    for run in facts.later_runs():
        hours = _in_run(run, models, slowdowns).to(DEVICE_HOUR)
        errors.append(RunError(run, hours, (hours / efficiency).range))
    return errors


def coverage(errors: Sequence[RunError]) -> float:
    """Share of runs inside their 80 % interval."""
    return statistics.fmean(error.covered for error in errors)


def width(errors: Sequence[RunError]) -> float:
    """Median of high over low."""
    return statistics.median(error.all_in.width for error in errors)


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
class Peak:
    """A published peak of memory beside the memory predicted for the row's layout, in GiB."""

    step: Step
    published: float
    predicted: float

    @property
    def error(self) -> float:
        """Predicted over published, less one."""
        return self.predicted / self.published - 1


def peaks(models: Models, rows: Sequence[Step]) -> list[Peak]:
    """Rows whose source prints the allocator's peak."""
    return [
        Peak(step, step.row.peak_gib, memory(models(step.row.model), step.layout).total.to(GIB))
        for step in rows
        if step.row.peak_gib is not None
    ]


@dataclass(frozen=True)
class Calibration:
    """All three layers, and the fit to everything.

    ``steps`` leave out a row; ``steps_of_new_models`` all rows of its model, ``steps_of_new_devices`` all rows of its
    device. ``runs`` leave out a run, ``runs_of_new_houses`` all runs of its house. What is ``later_`` is predicted by
    the fit to everything, which has not seen it.
    """

    goldens: list[Golden]
    steps: list[StepError]
    steps_of_new_models: list[StepError]
    steps_of_new_devices: list[StepError]
    runs: list[RunError]
    runs_of_new_houses: list[RunError]
    later_steps: list[StepError]
    later_runs: list[RunError]
    peaks: list[Peak]
    slowdowns: dict[str, float]
    all_in_efficiency: Range[float]


def calibrate(models: Models) -> Calibration:
    """Everything at once: a few seconds on one core."""
    rows = steps(models, facts.throughputs())
    runs = run_errors(models, rows)
    efficiency = all_in_efficiency([run.efficiency for run in runs if run.run.fit])
    slowdowns = fit_slowdowns(rows)
    return Calibration(
        goldens(models),
        step_errors(rows),
        step_errors(rows, lambda step: step.row.model),
        step_errors(rows, lambda step: step.row.device),
        runs,
        run_errors(models, rows, lambda run: run.house),
        [_step_error(row, slowdowns) for row in steps(models, facts.later_throughputs())],
        later_run_errors(models, slowdowns, efficiency),
        peaks(models, rows),
        slowdowns,
        efficiency.range,
    )
