"""What the measurements must show: a line a claim, its target and aim beside what was measured.

Nothing is timed here; every figure is a result of another suite.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lab.benchmark.case import OURS
from lab.benchmark.contenders import FAMILIES, LARGE, NANO
from lab.benchmark.growth import DELTA
from lab.benchmark.optimizers import EXPERTS, RACE, STACKS
from lab.benchmark.peers import BATCHES, PRECISIONS, decoding_name, training_name
from lab.benchmark.results import Result, Results
from lab.benchmark.suites import LARGE_VOCABULARY, WINDOWS, against
from lab.benchmark.tables import fastest_ratio, memory_share, share_of_best_product
from lab.report.contenders import KNOWN
from lab.report.tables import Cell, Column, Row, Table

COLUMNS = (
    Column("what", "Measure"),
    Column("against", "Against", rank=4),
    Column("least", "At least", rank=1),
    Column("aim", "Aim", rank=2),
    *(Column(family, KNOWN[family].title, rank=3) for family in FAMILIES),
    Column("measured", "Measured"),
    Column("verdict", "Verdict"),
)
"""Under the name of each contender its own figure; ``measured`` is the worst of them, or the only one."""

BEST_OF_TRANSFORMERS = "transformers at its best"
LINEAR = 1.1
"""Cost that grows as a power of the length up to this one is called linear."""


@dataclass(frozen=True)
class Target:
    """A line: ``measured`` finds the figures, by name where there are several; None stands for what is missing.

    ``lower`` says that small figures are good.
    """

    what: str
    against: str
    least: float
    aim: float | None
    measured: Callable[[Mapping[str, Results]], Mapping[str, float | None]]
    write: Callable[[float], str]
    lower: bool = False

    def reaches(self, figure: float, wanted: float) -> bool:
        """Whether ``figure`` is as good as ``wanted``."""
        return figure <= wanted if self.lower else figure >= wanted


def _times(value: float) -> str:
    return f"{value:.2f} x"


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _power(value: float) -> str:
    return f"power {value:.2f}"


def _of(
    suite: str, names: Mapping[str, str], figure: Callable[[Result], float | None]
) -> Callable[[Mapping[str, Results]], Mapping[str, float | None]]:
    """``figure`` of the comparisons ``names`` (shown name -> comparison) of a suite."""

    def measured(results: Mapping[str, Results]) -> Mapping[str, float | None]:
        found = results.get(suite, {})
        return {shown: figure(found[name]) if name in found else None for shown, name in names.items()}

    return measured


def _whole_models() -> list[Target]:
    targets = []
    least_share = {"float32": (0.5, 0.7), "bfloat16": (0.42, 0.6)}
    for scale in (LARGE, NANO):
        steps = {
            precision: {family: training_name(family, scale, precision) for family in FAMILIES}
            for precision in PRECISIONS
        }
        for precision, names in steps.items():
            what = f"training step, {scale}, {precision}"
            speed = _of("peers", names, fastest_ratio)
            targets.append(Target(what, BEST_OF_TRANSFORMERS, 1.5, 2.0, speed, _times))
        for precision, names in steps.items():
            what = f"peak memory of that step, {scale}, {precision}"
            memory = _of("peers", names, memory_share)
            targets.append(Target(what, BEST_OF_TRANSFORMERS, 0.6, 0.4, memory, _times, lower=True))
        for precision, names in steps.items():
            what = f"model FLOPs a second of that step, {scale}, {precision}"
            share = _of("peers", names, share_of_best_product)
            targets.append(Target(what, "the best matrix product", *least_share[precision], share, _percent))
        for batch, precision in [(batch, "float32") for batch in BATCHES] + (
            [(BATCHES[-1], "bfloat16")] if scale == LARGE else []
        ):
            names = {family: decoding_name(family, scale, batch, precision) for family in FAMILIES}
            what = f"decoding, batch {batch}, {scale}, {precision}"
            speed = _of("peers", names, fastest_ratio)
            targets.append(Target(what, f"`generate` of {BEST_OF_TRANSFORMERS}", 3.0, 5.0, speed, _times))
    return targets


def _operators() -> list[Target]:
    def one(
        what: str,
        other: str,
        least: float,
        name: str,
        figure: Callable[[Result], float | None] = fastest_ratio,
    ) -> Target:
        measured = _of("operators", {"": name}, figure)
        return Target(what, other, least, None, measured, _times, lower=figure is memory_share)

    dense = "the best dense attention with a mask"
    return [
        one("loss + head, 200k words: time", "the plain implementation", 1.2, LARGE_VOCABULARY),
        one(
            "loss + head, 200k words: memory", "the plain implementation", 0.1, LARGE_VOCABULARY, memory_share
        ),
        one("window 128, 2k tokens", dense, 4.0, WINDOWS[0]),
        one("window 128, 8k tokens", dense, 12.0, WINDOWS[1]),
        one("delta attention, 4k tokens", "its recurrence", 40.0, against("its recurrence")),
        one("delta attention, 4k tokens", "softmax attention", 1.2, against("softmax attention")),
        Target(
            "delta attention, 1k to 32k tokens", "linear growth", LINEAR, None, _growth, _power, lower=True
        ),
    ]


def _muon() -> list[Target]:
    weights: dict[str, Mapping[str, str]] = {
        "the race's models": {family: f"Muon, {family}, {NANO}" for family in RACE},
        EXPERTS: {"": f"Muon, {EXPERTS}"},
        STACKS: {"": f"Muon, {STACKS}"},
    }
    return [
        Target(
            f"Muon step, {what}",
            "the best of three libraries",
            1.5,
            3.0,
            _of("optimizers", names, fastest_ratio),
            _times,
        )
        for what, names in weights.items()
    ]


def _growth(results: Mapping[str, Results]) -> Mapping[str, float | None]:
    """The power of the length with which the time grows: the slope of a line through the logarithms."""
    found = results.get("growth", {})
    timings = [found[name].timing for value in DELTA.values if (name := DELTA.name(value)) in found]
    seconds = [timing.median_seconds(OURS) for timing in timings if timing.num_rounds]
    if len(seconds) < len(DELTA.values):
        return {"": None}
    return {"": float(np.polyfit(np.log(DELTA.values), np.log(seconds), 1)[0])}


def targets() -> list[Target]:
    """Every line, whole models first."""
    return _whole_models() + _operators() + _muon()


def targets_table(results: Mapping[str, Results]) -> Table:
    """Targets, what ``results`` (by suite) say, and whether it is enough."""
    rows = [_row(str(number), target, target.measured(results)) for number, target in enumerate(targets())]
    return Table(COLUMNS, rows)


def _row(key: str, target: Target, figures: Mapping[str, float | None]) -> Row:
    known = {name: figure for name, figure in figures.items() if figure is not None}
    cells = {name: Cell(target.write(figure), figure) for name, figure in known.items() if name}
    worst = (max if target.lower else min)(known.values(), default=None)
    cells |= {
        "what": Cell(target.what),
        "against": Cell(target.against),
        "least": Cell(target.write(target.least)),
        "aim": Cell(target.write(target.aim)) if target.aim is not None else Cell(),
        "measured": Cell(target.write(worst), worst) if worst is not None else Cell(),
        "verdict": Cell(_verdict(target, list(known.values()), len(figures))),
    }
    return Row(key, cells)


def _verdict(target: Target, figures: Sequence[float], wanted: int) -> str:
    if not figures:
        return "not measured"
    held = sum(target.reaches(figure, target.least) for figure in figures)
    missing = "" if len(figures) == wanted else f", {wanted - len(figures)} not measured"
    if held == 0:
        return f"missed{missing}"
    if held < len(figures):
        return f"held by {held} of {len(figures)}{missing}"
    if target.aim is not None and all(target.reaches(figure, target.aim) for figure in figures):
        return f"aim reached{missing}"
    return f"held{missing}"
