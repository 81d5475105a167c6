"""The laboratory's own small trainings as evidence for a scaling law."""

from __future__ import annotations

from pathlib import Path

from lab.planner.quantity import TOKEN
from lab.planner.scaling import LawFamily, Point, fit_family
from lab.report.runs import Run, read_runs


def sweep_family(folder: Path | str) -> LawFamily:
    """The laws that the finished runs below ``folder`` allow; raises ConfigError where they are too few.

    A run counts by its active parameters, its tokens and its final training loss, which repeats no text in a sweep
    shorter than its corpus.
    """
    points = [point for run in read_runs(folder) if (point := _point(run)) is not None]
    return fit_family(points, str(folder))


def _point(run: Run) -> Point | None:
    training, sizes = run.results.get("training", {}), run.results.get("size", {})
    figures = (sizes.get("parameters_active"), training.get("tokens"), training.get("final_loss"))
    if run.state != "done" or not all(isinstance(figure, int | float) and figure > 0 for figure in figures):
        return None
    parameters, tokens, loss = figures
    return Point(float(parameters), tokens * TOKEN, float(loss))
