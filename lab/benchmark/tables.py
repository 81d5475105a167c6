"""Timings as tables: ratios of medians round by round with their spread, never the ratio of two lucky moments."""

import statistics
from collections.abc import Sequence

from lab.benchmark.case import MACHINE, OURS
from lab.benchmark.results import Result
from lab.benchmark.rounds import DISTURBED, LEFT_BEHIND
from lab.report.formats import MISSING
from lab.report.tables import Cell, Column, Row, Table

COLUMNS = (
    Column("what", "Measurement"),
    Column("path", "Path"),
    Column("ours", "Ours"),
    Column("rate", "Share of best product"),
    Column("bandwidth", "Share of memory bandwidth", rank=2),
    Column("twin", "Times as fast as the twin"),
    Column("best", "Fastest alternative"),
    Column("ratio", "Times as fast"),
    Column("memory", "Peak memory"),
    Column("agreement", "Agreement", rank=1),
    Column("rounds", "Rounds", rank=1),
)
"""Of these a table has those that some of its rows fill."""

TWIN = "naive"
BUSY = "machine was busy: no undisturbed round"


def comparison_table(results: Sequence[Result]) -> Table:
    """One row a comparison: our time, its share of the machine's limit, the fastest alternative and the ratio."""
    notes = [
        "Times as fast: the alternative's time over ours, round by round; the median, and the range of all rounds.",
        f"A round counts when others kept less than {DISTURBED} processors busy during each of its cases.",
    ]
    if any(result.timing.left_behind for result in results):
        notes.append(
            f"An alternative that took {LEFT_BEHIND} times as long as the fastest one in the first round took part in"
            " no other."
        )
    if any(not result.timing.load_known for result in results):
        notes.append("This system does not tell what others do, so no round could be dropped.")
    failed = sorted({reason.rstrip(".") for result in results for reason in result.timing.failed.values()})
    notes += [f"Could not run: {reason}." for reason in failed]
    rows = [_row(one) for one in results]
    filled = [column for column in COLUMNS if any(column.key in row.cells for row in rows)]
    return Table(filled, rows, (), notes)


def in_words(result: Result) -> str:
    """The outcome of a comparison in a few words, for a log."""
    timing = result.timing
    counted = f"{timing.num_rounds} of {timing.rounds_run} rounds count"
    if OURS in timing.failed:
        return f"could not run: {timing.failed[OURS]}"
    if not timing.num_rounds:
        return f"{BUSY} of {timing.rounds_run}"
    best = timing.fastest(result.others)
    failed = f"; could not run: {', '.join(timing.failed)}" if timing.failed else ""
    if best is None:
        return f"{_time(timing.median_seconds(OURS), timing.facts[OURS]['tokens'])}; {counted}{failed}"
    cell = _against(result, best)["ratio"]
    return f"{cell.text} ({cell.note}) times as fast as {best}; {counted}{failed}"


def fastest_ratio(result: Result) -> float | None:
    """How many times as fast as the fastest alternative ours is; None where it is not known."""
    best = result.timing.fastest(result.others)
    known = best is not None and OURS in result.timing.seconds
    return statistics.median(result.timing.ratios(best, OURS)) if known and best else None


def memory_share(result: Result) -> float | None:
    """Our peak memory in that of the fastest alternative; None where it is not known."""
    best = result.timing.fastest(result.others)
    if best is None or OURS not in result.timing.facts or result.timing.facts[best]["peak_bytes"] <= 0:
        return None
    return result.timing.facts[OURS]["peak_bytes"] / result.timing.facts[best]["peak_bytes"]


def share_of_best_product(result: Result) -> float | None:
    """Our model FLOPs a second in those of the machine's best product; None where it is not known."""
    timing = result.timing
    if not timing.num_rounds or not {OURS, MACHINE} <= timing.seconds.keys():
        return None
    flops = timing.facts[OURS]["flops"]
    return flops / timing.median_seconds(OURS) / best_product(result) if flops else None


def _row(result: Result) -> Row:
    timing = result.timing
    cells = {"what": Cell(result.name, result.name)}
    cells["rounds"] = Cell(f"{timing.num_rounds} of {timing.rounds_run}", timing.num_rounds)
    if not timing.num_rounds:
        cells["ours"] = Cell("could not run" if OURS in timing.failed else BUSY)
    elif OURS in timing.seconds:
        seconds = timing.median_seconds(OURS)
        cells["ours"] = Cell(_time(seconds, timing.facts[OURS]["tokens"]), seconds)
        cells |= _against_machine(result, seconds) | _against_twin(result)
        best = timing.fastest(result.others)
        if best:
            cells |= _against(result, best)
    return Row(result.name, cells)


def _against_machine(result: Result, seconds: float) -> dict[str, Cell]:
    cells = {}
    facts = result.timing.facts
    if (share := share_of_best_product(result)) is not None:
        cells["rate"] = Cell(f"{share:.0%}", share)
    if "bytes" in facts[OURS] and MACHINE in facts:
        share = facts[OURS]["bytes"] / seconds / facts[MACHINE]["bandwidth"]
        cells["bandwidth"] = Cell(f"{share:.0%}", share)
    return cells


def _against_twin(result: Result) -> dict[str, Cell]:
    """The path of an operator, and the ratio to the equation as it stands: of the first round if it was so slow."""
    timing = result.timing
    if TWIN not in result.others:
        return {}
    (path,) = timing.facts[OURS]["paths"][timing.facts[OURS]["operator"]]
    if TWIN in timing.seconds:
        ratio = statistics.median(timing.ratios(TWIN, OURS))
    elif TWIN in timing.left_behind:
        ratio = timing.left_behind[TWIN] / timing.seconds[OURS][0]
    else:
        return {"path": Cell(path, path)}
    return {"path": Cell(path, path), "twin": Cell(f"{ratio:.2f}", ratio)}


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
    share = memory_share(result)
    if share is not None:
        cells["memory"] = Cell(f"{share:.2f} x", share, f"{ours['peak_bytes'] / 2**20:.0f} MiB")
    if "loss" in ours and "loss" in theirs:
        difference = abs(ours["loss"] - theirs["loss"])
        cells["agreement"] = Cell(f"loss {difference:.1e} apart", difference)
    elif "direction_error" in ours:
        cells["agreement"] = Cell(
            f"direction {ours['direction_error']:.1e} off, theirs {theirs['direction_error']:.1e}",
            ours["direction_error"],
        )
    elif "continuation" in ours:
        same = _common_prefix(ours["continuation"], theirs["continuation"])
        total = len(ours["continuation"])
        cells["agreement"] = Cell("same tokens" if same == total else f"{same} of {total} tokens", same)
    return cells


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a))


def _time(seconds: float, tokens: int | None) -> str:
    if tokens:
        return f"{tokens / seconds:,.0f} tokens/s"
    return f"{seconds * 1e3:.3g} ms" if seconds > 0 else MISSING
