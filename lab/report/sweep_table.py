"""The table of a sweep: a row a variant, its differences to the baseline and how sure they are."""

from __future__ import annotations

import io
from collections.abc import Iterable
from statistics import fmean

import pandas as pd

from lab.errors import ConfigError
from lab.report import formats
from lab.report.comparison import Comparison
from lab.report.race import Spread
from lab.report.sweep_jobs import COMPARE, Sweep
from lab.report.sweep_verdicts import (
    comparisons,
    decimal_places,
    entry_comparisons,
    judge,
    metric_title,
    p_value,
    signed,
    verdicts,
)
from lab.report.tables import Cell, Column, Row, Table, to_csv, to_markdown

BASELINE_NOTE = "(baseline)"


def require_results(sweep: Sweep) -> None:
    """Raises ConfigError where there is nothing to show yet, or a metric is in no run or is no number."""
    if not any(job.finished for job in sweep.jobs if job.phase == COMPARE):
        states = [job.state for job in sweep.jobs]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        failed = next((problem for problem in sweep.problems if " failed: " in problem), "")
        cause = f"; {failed.rstrip('.')}" if failed else ""
        raise ConfigError(
            f"sweep={sweep.folder} has no finished run to compare: of its {len(states)} jobs are {counts}{cause}."
        )
    if entries := sweep.entries(sweep.metric):
        raise ConfigError(
            f"metric={sweep.metric} is a mapping: choose one of its numbers to decide by, {sweep.metric}.{entries[-1]} "
            f"for example (it has {', '.join(entries)})."
        )
    for key in sweep.also:
        sweep.entries(key)


def sweep_table(sweep: Sweep) -> Table:
    """A row a variant in the order of the sweep's file: cost, seeds, the deciding metric, its test, further metrics."""
    by_entry = sweep.mappings
    scalars = [key for key in sweep.also if key not in by_entry and key.rpartition(".")[0] not in by_entry]
    rows = {variant: _cost_cells(sweep, variant) for variant in sweep.variants}
    for key in (sweep.metric, *scalars):
        for variant, cells in _metric_cells(sweep, key).items():
            rows[variant] |= cells
    for verdict in judge(sweep):
        rows[verdict.variant]["outcome"] = Cell(verdict.outcome, verdict.outcome)
    rows[sweep.baseline]["outcome"] = Cell(formats.MISSING, "baseline")
    return Table(
        _columns(sweep, scalars), [Row(variant, cells) for variant, cells in rows.items()], (), _notes(sweep)
    )


def entry_table(sweep: Sweep, key: str) -> Table:
    """The mapping ``key``: a column an entry, such as a length of context; differences corrected over all of them."""
    entries = sweep.entries(key)
    keys = {entry: f"{key}.{entry}" for entry in entries}
    compared = entry_comparisons(sweep, keys.values())
    places = decimal_places(*(one for of_key in compared.values() for one in of_key.values()))
    rows = []
    for variant in sweep.variants:
        cells = {"variant": _variant_cell(sweep, variant)}
        for entry, full in keys.items():
            cells[entry] = _entry_cell(sweep.by_seed(variant, full), compared[full].get(variant), places)
        rows.append(Row(variant, cells))
    count = len(entries) * (len(sweep.variants) - 1)
    note = (
        f"{metric_title(key)}: mean over seeds, and Δ, the difference to {sweep.baseline}, with its 95% interval "
        f"(paired by seed); * marks p < 0.05 by the paired t-test after Holm for {count} comparisons."
    )
    columns = [Column("variant", "Variant"), *(Column(entry, entry, metric_title(key)) for entry in entries)]
    return Table(columns, rows, (), [note])


def sweep_markdown(sweep: Sweep) -> str:
    """Everything a sweep says in text: the table, the verdicts, a table for each mapping, and what to know of them."""
    table = sweep_table(sweep)
    parts = [
        to_markdown(Table(table.columns, table.rows)),
        "\n".join(f"- {verdict}" for verdict in verdicts(sweep)) + "\n",
        *(to_markdown(entry_table(sweep, key)) for key in sweep.mappings),
        "\n".join(f"- {note}" for note in table.notes) + "\n",
    ]
    return "\n".join(part for part in parts if part.strip())


def table_frame(sweep: Sweep) -> pd.DataFrame:
    """The table as a data frame at full precision: index variant, columns as in table.csv."""
    return pd.read_csv(io.StringIO(to_csv(sweep_table(sweep))), index_col="key").drop(columns="kind")


def _columns(sweep: Sweep, scalars: Iterable[str]) -> list[Column]:
    columns = [
        Column("variant", "Variant"),
        Column("parameters_total", "total", "Parameters", rank=6),
        Column("parameters_active", "active", "Parameters", under="parameters_total"),
        Column("training_flops", "FLOPs", "Training", rank=5),
        Column("training_tokens", "tokens", "Training", under="training_flops"),
        Column("seeds", "Seeds", rank=2),
        Column(sweep.metric, metric_title(sweep.metric)),
        Column(f"{sweep.metric}_difference", "Difference (95%)"),
        Column(f"{sweep.metric}_p", "p", rank=1),
        Column("outcome", "Verdict", rank=1),
    ]
    for key in scalars:
        columns.append(Column(key, metric_title(key), rank=4))
        columns.append(Column(f"{key}_difference", "difference (95%)", under=key))
    if sweep.options:
        columns.append(Column("chosen", "Option", rank=7))
    return [*columns, Column("core_hours", "Core-hours", rank=8)]


def _cost_cells(sweep: Sweep, variant: str) -> dict[str, Cell]:
    runs = [job.figures for job in sweep.of(variant) if job.finished]

    def mean(key: str) -> float | None:
        values = [figures[key] for figures in runs if key in figures]
        return fmean(values) if values else None

    total, active = mean("size.parameters_total"), mean("size.parameters_active")
    flops, tokens = mean("training.flops"), mean("training.tokens")
    hours, seeds = sweep.core_hours(variant), len(sweep.by_seed(variant, sweep.metric))
    cells = {
        "variant": _variant_cell(sweep, variant),
        "parameters_total": Cell(formats.count(total), total),
        "parameters_active": Cell(formats.count(active), active),
        "training_flops": Cell(formats.flops(flops), flops),
        "training_tokens": Cell(formats.count(tokens), tokens),
        "seeds": Cell(str(seeds) if seeds == len(sweep.seeds) else f"{seeds} of {len(sweep.seeds)}", seeds),
        "core_hours": Cell(formats.decimal(hours, 2 if hours >= 1 else 3), hours),
    }
    if sweep.options:
        chosen = sweep.chosen.get(variant)
        cells["chosen"] = Cell(chosen or "not chosen yet", chosen)
    return cells


def _variant_cell(sweep: Sweep, variant: str) -> Cell:
    return Cell(variant, variant, BASELINE_NOTE if variant == sweep.baseline else "")


def _metric_cells(sweep: Sweep, key: str) -> dict[str, dict[str, Cell]]:
    """By variant: the metric, the difference and its p-value."""
    compared = comparisons(sweep, key)
    places = decimal_places(*compared.values())
    cells: dict[str, dict[str, Cell]] = {}
    for variant in sweep.variants:
        values = tuple(sweep.by_seed(variant, key).values())
        cells[variant] = {key: _spread_cell(Spread(values), places) if values else Cell()}
        if one := compared.get(variant):
            star = "*" if one.shown and key != sweep.metric else ""  # the deciding metric has its p beside it
            cells[variant] |= {
                f"{key}_difference": _difference_cell(one, places, star),
                f"{key}_p": _p_cell(one),
            }
    return cells


def _spread_cell(spread: Spread, places: int) -> Cell:
    note = "" if spread.sd is None else f"±{spread.sd:.{places}f}"
    return Cell(f"{spread.mean:.{places}f}", spread.mean, note, {"sd": spread.sd})


def _difference_cell(one: Comparison, places: int, star: str) -> Cell:
    more = {"low": one.low, "high": one.high, "sd": one.sd, "pairs": len(one.seeds)}
    more |= {"p": one.p, "p_holm": one.p_corrected, "p_sign_flip": one.p_flips}
    return Cell(signed(one.mean, places), one.mean, _interval(one, places) + star, more)


def _interval(one: Comparison, places: int) -> str:
    if one.low is None or one.high is None:
        return ""
    return f"({signed(one.low, places)} to {signed(one.high, places)})"


def _p_cell(one: Comparison) -> Cell:
    return (
        Cell()
        if one.p_corrected is None
        else Cell(p_value(one.p_corrected).removeprefix("= "), one.p_corrected)
    )


def _entry_cell(values: dict[int, float], one: Comparison | None, places: int) -> Cell:
    if not values:
        return Cell()
    spread = Spread(tuple(values.values()))
    if one is None:
        return _spread_cell(spread, places)
    star = "*" if one.shown else ""
    note = f"Δ {signed(one.mean, places)} {_interval(one, places)}".strip() + star
    more = {
        "sd": spread.sd,
        "difference": one.mean,
        "low": one.low,
        "high": one.high,
        "p_holm": one.p_corrected,
    }
    return Cell(f"{spread.mean:.{places}f}", spread.mean, note, more, faint=not one.shown)


def _notes(sweep: Sweep) -> list[str]:
    number, seeds = len(sweep.variants) - 1, len(sweep.seeds)
    better = "lower" if sweep.lower_is_better else "higher"
    found = [
        f"{metric_title(sweep.metric)} decides, {better} is better: mean ± sample standard deviation over seeds.",
        f"Difference: to {sweep.baseline}, the mean over pairs of runs with the same seed, with its 95% interval by "
        f"Student's t, each interval by itself. p: paired t-test, corrected by Holm for {number} "
        f"comparison{'s' * (number != 1)}. Both assume that the differences are independent over seeds and about "
        f"normal. An exact sign-flip test assumes less, but {seeds} seeds can't bring it below p = {2 / 2**seeds:.3g}; "
        "table.csv has it.",
    ]
    if sweep.also:
        found.append(
            "Further metrics decide nothing; * marks p < 0.05 by the same test, corrected for each by itself."
        )
    if sweep.options:
        search = ", ".join(str(seed) for seed in sweep.description["search"]["seeds"])
        found.append(
            f"Option: chosen for each variant alike, among {', '.join(sweep.options)}, by the search's seed {search}, "
            "which is not compared."
        )
    hours = sum(job.core_hours for job in sweep.jobs)
    found.append(
        f"Core-hours: seconds of a run times its threads{', search included' if sweep.options else ''}; "
        f"{formats.decimal(hours, 2)} in all."
    )
    return [*found, *sweep.notes, *sweep.problems]
