"""How near each contender comes to its reference: the largest difference of a logit, as the parity tests measured it.

``parity.json`` is written by the tests in ``tests/model/test_parity_*.py`` when ``LAB_RECORD_PARITY`` is set, and held
to by them otherwise.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

RECORD = Path(__file__).with_name("parity.json")
MARGIN = 4.0
"""Another machine adds in another order: a difference up to this many times the recorded one is the same result."""


@dataclass(frozen=True)
class Parity:
    """``reference`` names what a contender was compared with; ``difference`` is of logits in float32."""

    reference: str
    difference: float


def read_parity() -> dict[str, Parity]:
    """The record, by contender."""
    if not RECORD.is_file():
        return {}
    values = json.loads(RECORD.read_text(encoding="utf-8"))
    return {contender: Parity(**entry) for contender, entry in values.items()}


def write_parity(record: Mapping[str, Parity]) -> None:
    """Replace the record."""
    values = {contender: asdict(record[contender]) for contender in sorted(record)}
    RECORD.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
