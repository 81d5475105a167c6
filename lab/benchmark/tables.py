"""Timings as tables: ratios of medians round by round with their spread, never the ratio of two lucky moments."""

import statistics
from collections.abc import Sequence

from lab.benchmark.run import Result
from lab.benchmark.suites import MACHINE, OURS
from lab.report.formats import MISSING
from lab.report.tables import Cell, Column, Row, Table

COLUMNS = (
    Column("what", "Measurement"),
    Column("ours", "Ours"),
    Column("rate", "Share of machine's best product"),
    Column("best", "Fastest alternative"),
    Column("ratio", "Times as fast"),
    Column("memory", "Peak memory"),
    Column("agreement", "Loss difference", rank=1),
    Column("rounds", "Rounds", rank=1),
)


def comparison_table(results: Sequence[Result], suite: str) -> Table:
    """One row a comparison: our time, its share of the machine's limit, the fastest alternative and the ratio."""
    notes = [
        "Times as fast: the alternative's time over ours, round by round; the median, and the range of all rounds.",
        "A round counts when other processes kept less than 0.15 processors busy during each of its cases.",
    ]
    failed = {label: reason for result in results for label, reason in result.timing.failed.items()}
    notes += [f"Could not run: {reason}." for reason in failed.values()]
    return Table(
        [column for column in COLUMNS if _shown(column, suite)], [_row(one) for one in results], (), notes
    )


def _shown(column: Column, suite: str) -> bool:
    return suite != "operators" or column.key not in ("agreement",)


def _row(result: Result) -> Row:
    timing = result.timing
    cells = {"what": Cell(result.name, result.name)}
    cells["rounds"] = Cell(f"{timing.num_rounds} of {timing.rounds_run}", timing.num_rounds)
    if timing.num_rounds and OURS in timing.seconds:
        seconds = timing.median_seconds(OURS)
        facts = timing.facts[OURS]
        cells["ours"] = Cell(_time(seconds, facts["tokens"]), seconds)
        if facts["flops"] and MACHINE in timing.seconds:
            share = facts["flops"] / seconds / best_product(result)
            cells["rate"] = Cell(f"{share:.0%}", share)
        best = timing.fastest(result.others)
        if best:
            cells |= _against(result, best)
    return Row(result.name, cells)


def best_product(result: Result) -> float:
    """FLOP/s of the machine's best product in the fastest of the rounds."""
    return result.timing.facts[MACHINE]["flops"] / min(result.timing.seconds[MACHINE])


def _against(result: Result, best: str) -> dict[str, Cell]:
    timing = result.timing
    ratios = timing.ratios(best, OURS)
    middle = statistics.median(ratios)
    ours, theirs = timing.facts[OURS], timing.facts[best]
    cells = {
        "best": Cell(f"{best}, {_time(timing.median_seconds(best), theirs['tokens'])}", best),
        "ratio": Cell(f"{middle:.2f}", middle, f"{min(ratios):.2f}–{max(ratios):.2f}"),
    }
    if theirs["peak_bytes"] > 0:
        share = ours["peak_bytes"] / theirs["peak_bytes"]
        cells["memory"] = Cell(f"{share:.2f} x", share, f"{ours['peak_bytes'] / 2**20:.0f} MiB")
    if "loss" in ours and "loss" in theirs:
        difference = abs(ours["loss"] - theirs["loss"])
        cells["agreement"] = Cell(f"{difference:.1e}", difference)
    elif "continuation" in ours:
        same = ours["continuation"] == theirs["continuation"]
        cells["agreement"] = Cell("same tokens" if same else "other tokens", str(same))
    return cells


def _time(seconds: float, tokens: int | None) -> str:
    if tokens:
        return f"{tokens / seconds:,.0f} tokens/s"
    return f"{seconds * 1e3:.3g} ms" if seconds > 0 else MISSING
