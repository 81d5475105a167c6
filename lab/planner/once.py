"""What is counted of a model is counted once: a search asks for the same numbers at every layout."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from lab.model.config import ModelConfig

MOST_KEPT = 64
"""Results that each function keeps; the oldest go first."""

Settings = ParamSpec("Settings")
Result = TypeVar("Result")


def once_per_model(
    count: Callable[Concatenate[ModelConfig, Settings], Result],
) -> Callable[Concatenate[ModelConfig, Settings], Result]:
    """``count`` with its results kept by the identity of the model, which must not change afterwards."""
    kept: OrderedDict[object, tuple[ModelConfig, Result]] = OrderedDict()

    @wraps(count)
    def counted(model: ModelConfig, *args: Settings.args, **kwargs: Settings.kwargs) -> Result:
        key = (id(model), args, tuple(kwargs.items()))
        if key not in kept:
            if len(kept) >= MOST_KEPT:
                kept.popitem(last=False)
            # with the model itself, so that no other one gets its identity
            kept[key] = model, count(model, *args, **kwargs)
        return kept[key][1]

    return counted
