"""The table of a sweep, and what it allows to be said: never more than its test shows."""

from __future__ import annotations

from lab.report.comparison import Comparison, compare, corrected
from lab.report.sweep_jobs import Sweep
from lab.report.tables import Table

UNITS = {"bits_per_byte": "bits/byte"}


def comparisons(sweep: Sweep, key: str) -> dict[str, Comparison | None]:
    """Each variant but the baseline against it in the number ``key``, corrected for as many as there are."""
    baseline = sweep.by_seed(sweep.baseline, key)
    return corrected(
        {
            variant: compare(sweep.by_seed(variant, key), baseline)
            for variant in sweep.variants
            if variant != sweep.baseline
        }
    )


def sweep_table(sweep: Sweep) -> Table:
    """A row a variant, in the order of the sweep's file; the baseline's differences stay empty."""
    raise NotImplementedError


def verdicts(sweep: Sweep) -> list[str]:
    """A sentence for each variant but the baseline, in the order of the table."""
    raise NotImplementedError
