"""Which released format a folder has, and which one a configuration fits."""

from dataclasses import asdict
from typing import Any

from lab.errors import ConfigError
from lab.model.checkpoint.families.ax import AX_K1, AX_K2
from lab.model.checkpoint.families.base import Family
from lab.model.checkpoint.families.exaone import EXAONE
from lab.model.checkpoint.families.llama import LLAMA
from lab.model.checkpoint.families.motif import MOTIF_2
from lab.model.checkpoint.families.motif_3 import MOTIF_3
from lab.model.checkpoint.families.solar import SOLAR_OPEN, SOLAR_OPEN_2
from lab.model.checkpoint.hub_config import HubConfig
from lab.model.config import ModelConfig

FAMILIES = (LLAMA, EXAONE, AX_K1, AX_K2, SOLAR_OPEN, SOLAR_OPEN_2, MOTIF_2, MOTIF_3)

UNSAID = {
    "name",
    "layers",  # compared layer by layer
    "position",
    "router.bias_update_rate",
    "router.balance_loss_weight",
    "attention.index_loss_weight",
    "multi_token.loss_weight",
    "branch_init_scale",
}
"""What ``config.json`` does not say: names and settings of training."""


def detect(hub: HubConfig) -> Family:
    """The format of a folder, by its ``config.json``."""
    for family in FAMILIES:
        if family.matches(hub):
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise hub.error("model_type", f"formats known here are {known}")


def format_for(config: ModelConfig) -> tuple[Family, dict[str, Any]]:
    """The format that says all of ``config``, and its ``config.json``.

    Raises :class:`ConfigError` where no house has released a model of these mechanisms, or where a value
    would be lost on the way.
    """
    for family in FAMILIES:
        if all(getattr(config, group).kind in kinds for group, kinds in family.kinds.items()):
            values = family.write(config)
            _require_same(family, config, family.read(HubConfig(values)))
            return family, values
    kinds = {group: getattr(config, group).kind for group in FAMILIES[0].kinds}
    raise ConfigError(
        f"model={config.name} cannot be exported: no released format has "
        f"{', '.join(f'{group}={kind}' for group, kind in kinds.items())} together."
    )


def _require_same(family: Family, config: ModelConfig, back: ModelConfig) -> None:
    """Fail where ``config.json`` cannot say what ``config`` asks for."""
    for ours, theirs in zip(config.plan(), back.plan(), strict=True):
        if ours != theirs:
            raise ConfigError(
                f"model.layers cannot be exported as {family.name}: layer {ours.index} is {ours}, "
                f"the format could only say {theirs}."
            )
    wanted, said = _flat(asdict(config)), _flat(asdict(back))
    if all(layer.sparse for layer in config.plan()):
        wanted.pop("feed_forward.width")  # no layer is dense
    for key, value in wanted.items():
        if said.get(key) != value:
            raise ConfigError(
                f"model.{key}={value} cannot be exported as {family.name}: the format can only say "
                f"{said.get(key)}."
            )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if f"{prefix}{key}" in UNSAID:
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
