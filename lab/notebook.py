"""What a notebook needs to know of where it is: its shell, and the folders of the repository. No torch."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from lab.overrides import CONF
from lab.report import runs as reader
from lab.report import sweeps

REPOSITORY = CONF.parent


def located(directory: str | Path) -> Path:
    """``directory`` as it stands, else the one in the repository: a notebook need not know where it lies."""
    here, there = Path(directory), REPOSITORY / directory
    return there if there.exists() and not here.exists() else here


def runs(directory: str | Path) -> pd.DataFrame:
    """One row a run below ``directory``, which may be relative to the repository; see :mod:`lab.report.runs`."""
    return reader.runs(located(directory))


def read_run(folder: str | Path) -> reader.Run:
    """A run folder, finished or not, which may be relative to the repository; shown as figures and a curve."""
    return reader.read_run(located(folder))


def read_sweep(folder: str | Path) -> sweeps.Sweep:
    """A sweep's folder, finished or not, or committed results, also of the repository; shown as its table."""
    return sweeps.read_sweep(located(folder))


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel, which can renew what it has shown."""
    shell = current_shell()
    return shell is not None and getattr(shell, "kernel", None) is not None


def current_shell() -> Any:
    """IPython's shell, None where it does not run; IPython is not imported for the question."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
