"""The tables of an evaluation: bits per byte by position, and accuracy by task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lab.evaluation.tasks.task import TaskKind
from lab.report.formats import decimal, percent
from lab.report.tables import Cell, Column, Row, Table


def bits_table(results: Mapping[str, Any]) -> Table:
    """Bits per byte of each kind of text, over all positions and by range of positions in tokens."""
    kinds = results["bits_per_byte"]
    ranges = list(
        dict.fromkeys((row["first"], row["end"]) for kind in kinds.values() for row in kind["positions"])
    )
    length = results["trained_length"]
    columns = [Column("text", "text"), Column("all", "bits per byte")]
    columns += [
        Column(f"{first}", f"{first}–{end - 1}{' *' if first >= length else ''}", rank=rank)
        for rank, (first, end) in enumerate(ranges)
    ]
    rows = []
    for name, kind in kinds.items():
        cells = {"text": Cell(name), "all": _interval(kind)}
        cells |= {f"{row['first']}": _interval(row) for row in kind["positions"]}
        rows.append(Row(name, cells))
    notes = ["Bits per byte by position in tokens, with 95 % intervals over texts."]
    if any(first >= length for first, _ in ranges):
        notes.append(f"* beyond the {length} tokens of training.")
    return Table(columns, rows, notes=notes)


def tasks_table(results: Mapping[str, Any]) -> Table:
    """Accuracy by task beside chance and what the tokenizer gives away; with a baseline, how much was gained.

    With a control too, how many of the untrained models that it asked the same rule told apart from the baseline.
    """
    comparison, control = results.get("comparison"), results.get("control") or []
    columns = [
        Column("task", "task"),
        Column("accuracy", "accuracy"),
        Column("chance", "chance", rank=1),
        Column("tokens", "fewest tokens", rank=3),
        Column("items", "items", rank=4),
    ]
    if comparison is not None:
        columns += [
            Column("gain", "over the baseline"),
            Column("p", "p", rank=6),
            Column("margin", "margin over it"),
            Column("holm", "Holm p", rank=2),
            Column("separates", "separates"),
        ]
    if control:
        columns.append(Column("control", "control", rank=5))
    rows = []
    for name, task in results["tasks"].items():
        cells = {
            "task": Cell(name),
            "accuracy": Cell(
                percent(task["accuracy"]),
                task["accuracy"],
                f"[{percent(task['low'])}, {percent(task['high'])}]",
                {"low": task["low"], "high": task["high"]},
                faint=task["low"] <= task["chance"],
            ),
            "chance": Cell(percent(task["chance"]), task["chance"]),
            "tokens": Cell(percent(task["fewest_tokens"]), task["fewest_tokens"]),
            "items": Cell(str(task["num_items"]), task["num_items"]),
        }
        if comparison is not None and name in comparison:
            gained = comparison[name]
            cells["gain"] = Cell(
                f"{100 * gained['difference']:+.1f}",
                gained["difference"],
                f"[{100 * gained['low']:+.1f}, {100 * gained['high']:+.1f}]",
                {"low": gained["low"], "high": gained["high"]},
                faint=gained["low"] <= 0,
            )
            cells["p"] = Cell(f"{gained['p_value']:.2g}", gained["p_value"])
            cells |= _margin(gained)
        if control:
            told = sum(one[name]["separates"] or one[name]["trails"] for one in control)
            cells["control"] = Cell(f"{told} of {len(control)}", told)
        rows.append(Row(name, cells))
    notes = ["Accuracy with 95 % intervals (Wilson)."]
    if comparison is not None:
        notes.append(
            f"Over the baseline {results['baseline']['checkpoint']}: percentage points with 95 % paired bootstrap "
            "intervals over the same items; p by the exact McNemar test."
        )
        told = sum(one["separates"] for one in comparison.values())
        notes.append(
            "Margin: how much more probable the right choice is than the wrong ones on average, thousandths of a nat "
            "per byte, less the same of the baseline, with 95 % intervals (paired t-test clustered by document). "
            f"Separates: it is above 0 and Holm's p for {len(comparison)} tasks below 0.05, in {told}."
        )
    if control:
        families = sum(any(one["separates"] or one["trails"] for one in each.values()) for each in control)
        notes.append(
            f"Control: of {len(control)} more untrained models, how many the same rule tells apart from the baseline, "
            f"either way; {families} in any task."
        )
    if results["missing_tasks"]:
        notes.append(f"The held-out text has no items for {', '.join(results['missing_tasks'])}.")
    return Table(columns, rows, notes=notes)


def catalogue_table(kinds: Iterable[TaskKind], pins: Mapping[str, Mapping[str, Any]]) -> Table:
    """What each task asks, how it is made and scored, and its items in the default corpus."""
    columns = [
        Column(name, name.replace("_", " "))
        for name in ("task", "asks_whether_a_model", "construction", "chance", "score", "items", "manifest")
    ]
    rows = []
    for kind in kinds:
        pin = pins.get(kind.name, {"items": 0, "manifest": ""})
        texts = (
            f"`{kind.name}`",
            kind.ability,
            kind.construction,
            percent(kind.chance, 0),
            kind.score.replace("_", " "),
            str(pin["items"]),
            f"`{pin['manifest'][:12]}`",
        )
        cells = {column.key: Cell(text) for column, text in zip(columns, texts, strict=True)}
        rows.append(Row(kind.name, cells))
    return Table(columns, rows)


def _interval(figures: Mapping[str, Any]) -> Cell:
    return Cell(
        decimal(figures["bits_per_byte"]),
        figures["bits_per_byte"],
        f"[{decimal(figures['low'], 2)}, {decimal(figures['high'], 2)}]",
        {"low": figures["low"], "high": figures["high"]},
    )


def _margin(gained: Mapping[str, Any]) -> dict[str, Cell]:
    margin = gained["margin"]
    mean, low, high = (f"{1000 * margin[key]:+.3g}" for key in ("mean", "low", "high"))
    verdict = "yes" if gained["separates"] else "worse" if gained["trails"] else "no"
    bounds = {"low": margin["low"], "high": margin["high"]}
    return {
        "margin": Cell(mean, margin["mean"], f"[{low}, {high}]", bounds, faint=verdict != "yes"),
        "holm": Cell(f"{margin['p_holm']:.2g}", margin["p_holm"]),
        "separates": Cell(verdict),
    }
