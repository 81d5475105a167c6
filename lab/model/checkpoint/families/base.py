"""What a house's checkpoint format consists of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lab.model.checkpoint.hub_config import HubConfig
from lab.model.checkpoint.layout.entry import Entry
from lab.model.config import ModelConfig


@dataclass(frozen=True)
class Family:
    """One released format.

    ``kinds`` names the leaves it can express, by group; ``matches`` recognises its ``config.json``; ``read``
    and
    ``write`` translate that file from and to our configuration; ``entries`` lists its tensors.
    """

    name: str
    kinds: dict[str, tuple[str, ...]]
    matches: Callable[[HubConfig], bool]
    read: Callable[[HubConfig], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]]
    entries: Callable[[ModelConfig], Iterable[Entry]]
