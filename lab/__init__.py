"""The sovereign-model laboratory's public face.

Three lines in a notebook, and two more::

    import lab
    config = lab.compose(["model=k_exaone", "scale=nano"])
    model = lab.build(config)

    run = lab.train(config, steps=50)
    run

Names are imported when first used, so that composing a configuration does not load torch.
"""

import sys
from importlib import import_module
from typing import Any

_FACE = {
    "compose": "lab.config:compose",
    "Config": "lab.config:Config",
    "ConfigError": "lab.errors:ConfigError",
    "build": "lab.face:build",
    "load": "lab.face:load",
    "size": "lab.config:size",
    "read_run": "lab.notebook:read_run",
    "read_sweep": "lab.notebook:read_sweep",
    "run_sweep": "lab.sweep.run:run_sweep",
    "runs": "lab.notebook:runs",
    "swap": "lab.mechanisms:swap",
    "train": "lab.face:train",
}

__all__ = sorted(_FACE)


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    module, attribute = _FACE[name].split(":")
    if "IPython" in sys.modules:
        _show_in_ipython()
    return getattr(import_module(module), attribute)


def _show_in_ipython() -> None:
    """Have a running IPython show our objects as tables; whoever only imports :mod:`lab` changes nothing."""
    shell = sys.modules["IPython"].get_ipython()
    if shell is not None:
        import_module("lab.report.ipython").show_in(shell)


def __dir__() -> list[str]:
    return __all__
