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
    """Accuracy by task beside chance and what the tokenizer gives away; with a baseline, how much was gained."""
    comparison = results.get("comparison")
    columns = [
        Column("task", "task"),
        Column("accuracy", "accuracy"),
        Column("chance", "chance", rank=1),
        Column("tokens", "fewest tokens", rank=3),
        Column("items", "items", rank=4),
    ]
    if comparison is not None:
        columns += [Column("gain", "over the baseline"), Column("p", "p", rank=2)]
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
                faint=not gained["separates"],
            )
            cells["p"] = Cell(f"{gained['p_value']:.2g}", gained["p_value"])
        rows.append(Row(name, cells))
    notes = ["Accuracy with 95 % intervals (Wilson)."]
    if comparison is not None:
        notes.append(
            f"Over the baseline {results['baseline']['checkpoint']}: percentage points with 95 % paired bootstrap "
            "intervals over the same items; p by the exact McNemar test."
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
