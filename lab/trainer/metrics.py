"""``metrics.jsonl``: one line a logged step, whatever happened to the process that wrote it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO


class MetricsFile:
    """Appends lines ``{"step": ..., ...}`` in the order of their steps.

    A line is handed to the operating system as soon as it is written, so that killing the process loses
    nothing; what a crash of the machine cut short is removed by :meth:`truncate_after`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def truncate_after(self, step: int) -> int:
        """Remove the lines after ``step`` and a damaged end; the last step that had been logged, 0 if none.

        Called before training goes on from a checkpoint of ``step``.
        """
        self.close()
        if not self.path.exists():
            return 0
        kept, last = 0, 0
        with open(self.path, "rb+") as file:
            for line in file:
                logged = _step_of(line)
                if logged is None:
                    break
                last = logged
                if logged <= step:
                    kept += len(line)
            file.truncate(kept)
            os.fsync(file.fileno())
        return last

    def append(self, metrics: Mapping[str, float]) -> None:
        """Write one line; raises ValueError for NaN and infinity, which JSON does not have."""
        if self._file is None:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (open for the whole run)
        self._file.write(json.dumps(metrics, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Let go of the file; the next :meth:`append` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _step_of(line: bytes) -> int | None:
    """The step of a line, None where the line is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        step = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return None
    return step if isinstance(step, int) else None
