"""The sovereign-model laboratory's public face.

Three lines in a notebook::

    import lab
    config = lab.compose(["model=k_exaone", "scale=nano"])
    model = lab.build(config)

Names are imported when first used, so that composing a configuration does not load torch.
"""

from importlib import import_module
from typing import Any

_FACE = {
    "compose": "lab.config:compose",
    "Config": "lab.config:Config",
    "ConfigError": "lab.errors:ConfigError",
    "build": "lab.face:build",
    "load": "lab.face:load",
    "size": "lab.config:size",
    "runs": "lab.report.runs:runs",
}

__all__ = sorted(_FACE)


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    module, attribute = _FACE[name].split(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
