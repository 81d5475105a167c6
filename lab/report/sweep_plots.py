"""The figures of a sweep."""

from __future__ import annotations

from lab.report.sweep_jobs import Sweep


def sweep_figures(sweep: Sweep) -> dict[str, dict[str, str]]:
    """The figures by name, each as SVG for a page: ``{"wide": ..., "narrow": ...}``."""
    raise NotImplementedError
