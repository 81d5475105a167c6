"""Sweeps: many runs from one question, finished whatever happens in between."""

from lab.sweep.config import AblationConfig, SearchConfig
from lab.sweep.run import run_sweep

__all__ = ["AblationConfig", "SearchConfig", "run_sweep"]
