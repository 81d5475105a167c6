"""The items of the default corpus, pinned: how many each task has there, and the SHA-256 of them all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.evaluation.items import Probe

PINS = Path(__file__).parent / "pins.json"
"""Made by ``python -m experiments.evaluate catalogue=pin`` from the default corpus, settings of ``suite``."""


def pins_of(tasks: Mapping[str, Probe]) -> dict[str, dict[str, Any]]:
    """What pins ``tasks``."""
    return {
        name: {
            "items": len(task.items),
            "documents": len({item.document for item in task.items}),
            "manifest": task.manifest,
        }
        for name, task in tasks.items()
    }


def read_pins() -> dict[str, dict[str, Any]]:
    """The pinned figures of the default corpus by task."""
    return json.loads(PINS.read_text(encoding="utf-8"))
