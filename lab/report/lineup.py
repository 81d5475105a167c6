"""The contenders side by side at their published size: layers, parameters, cache, and how near to their reference."""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.model.config import ModelConfig
from lab.model.size import size
from lab.report.contenders import identities
from lab.report.formats import size_in_bytes
from lab.report.parity import Parity
from lab.report.tables import Cell, Column, Row, Table

CONTEXT = 131_072  # tokens


@dataclass(frozen=True)
class Entry:
    """What one contender's row says; parameters are without a multi-token block, whose count stands apart."""

    layers: int
    parameters_total: int
    parameters_active: int
    multi_token: int
    max_positions: int
    cache_bytes: int
    parity: Parity | None


def entry(config: ModelConfig, parity: Parity | None) -> Entry:
    """The row of ``config``."""
    record = size(config, CONTEXT)
    multi_token = record.parts["multi_token"]
    return Entry(
        layers=config.layers.count,
        parameters_total=record.parameters_total - multi_token,
        parameters_active=record.parameters_active - multi_token,
        multi_token=multi_token,
        max_positions=config.max_positions,
        cache_bytes=config.cache().at(CONTEXT),
        parity=parity,
    )


def lineup(entries: Mapping[str, Entry]) -> Table:
    """One row a contender; notes say what the columns leave out."""
    named = identities(list(entries))
    columns = (
        Column("name", "Contender"),
        Column("layers", "Layers"),
        Column("total", "Parameters"),
        Column("active", "Active", under="total"),
        Column("cache", "Cache at 128k"),
        Column("reference", "Reference"),
        Column("difference", "Max logit difference", under="reference"),
    )
    rows = [
        Row(
            key,
            {
                "name": Cell(named[key].title, key, note=named[key].maker),
                "layers": Cell(str(one.layers), one.layers),
                "total": Cell(f"{one.parameters_total:,}", one.parameters_total),
                "active": Cell(f"{one.parameters_active:,}", one.parameters_active),
                "cache": Cell(size_in_bytes(one.cache_bytes), one.cache_bytes),
                "reference": Cell(one.parity.reference, one.parity.reference) if one.parity else Cell(),
                "difference": Cell(f"{one.parity.difference:.1e}", one.parity.difference)
                if one.parity
                else Cell(),
            },
        )
        for key, one in entries.items()
    ]
    return Table(columns, rows, notes=_notes({named[key].title: one for key, one in entries.items()}))


def _notes(entries: Mapping[str, Entry]) -> list[str]:
    blocks = [f"{title} {one.multi_token:,}" for title, one in entries.items() if one.multi_token]
    shorter = [
        f"{title} {one.max_positions:,}" for title, one in entries.items() if one.max_positions < CONTEXT
    ]
    notes = ["Cache in bfloat16 (recurrent states in float32) for one sequence of 131,072 tokens."]
    if shorter:
        notes[0] += f" Published for fewer positions, so by arithmetic only: {', '.join(shorter)}."
    notes.append("A twin is a report's equations, written out in loops and float64 in the tests.")
    if blocks:
        notes.append(f"Multi-token blocks are not counted: {', '.join(blocks)}.")
    return notes
