"""From overrides to a typed configuration: Hydra composes, this module checks, and nothing else instantiates.

Composition goes ``conf/*.yaml`` + overrides -> resolved container -> dataclasses. A leaf names its class by ``kind``; a
key that no dataclass has, a value of the wrong type or an unknown option is one :class:`ConfigError` naming the key and
the nearest valid one. Only torch-free modules are imported, so that a typo costs a fraction of a second.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lab.data.config import DataConfig, FolderData, HubData, PackagesData, TokenizerConfig
from lab.errors import ConfigError
from lab.evaluation.config import EvaluationConfig
from lab.model.config import ModelConfig
from lab.model.leaves import (
    attention,
    feed_forward,
    latent_differential,
    linear_attention,
    multi_token,
    norm,
    position,
    residual,
    router,
    sparse_latent,
)
from lab.model.size import Size
from lab.model.size import size as size_of_model
from lab.trainer.config import (
    AdamWConfig,
    MuonConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrackerConfig,
    TrainerConfig,
)

CONF = Path(__file__).resolve().parent.parent / "conf"

KINDS: dict[type, dict[str, type]] = {
    attention.MixerConfig: {
        "grouped_query": attention.GroupedQuery,
        "grouped_query_normed": attention.GroupedQueryNormed,
        "latent": attention.Latent,
        "grouped_query_gated": attention.GroupedQueryGated,
        "grouped_differential": attention.GroupedDifferential,
        "sparse_latent": sparse_latent.SparseLatent,
        "latent_differential": latent_differential.LatentDifferential,
        "kimi_delta": linear_attention.KimiDelta,
        "none": linear_attention.NoLinear,
    },
    position.PositionConfig: {
        "none": position.NoPosition,
        "rope": position.Rope,
        "rope_on_local": position.RopeOnLocal,
        "yarn": position.Yarn,
        "yarn_on_global": position.YarnOnGlobal,
    },
    feed_forward.FeedForwardConfig: {
        "swiglu": feed_forward.SwiGLU,
        "clamped_swiglu": feed_forward.ClampedSwiGLU,
        "polynorm": feed_forward.PolyNorm,
        "sigmoid_polynorm": feed_forward.SigmoidPolyNorm,
    },
    router.RouterConfig: {"none": router.NoRouter, "sigmoid": router.SigmoidRouter},
    residual.ResidualConfig: {
        "pre_norm": residual.PreNorm,
        "dual_norm": residual.DualNorm,
        "hyper_connections": residual.HyperConnections,
    },
    norm.NormConfig: {"rms": norm.Rms, "gated_rms": norm.GatedRms},
    multi_token.MultiTokenConfig: {
        "none": multi_token.NoMultiToken,
        "shared_block": multi_token.SharedBlock,
        "hidden_first_block": multi_token.HiddenFirstBlock,
    },
    DataConfig: {"packages": PackagesData, "folder": FolderData, "hub": HubData},
    OptimizerConfig: {"adamw": AdamWConfig, "muon": MuonConfig},
}
"""Leaf kinds by base class: the words that ``kind:`` may say in a YAML file."""

COMPOSITION_ONLY = ("scale", "experiment", "model.published")
"""Nodes that other nodes are composed from and that no part is built from."""


@dataclass
class Config:
    """Everything one run is made of; the groups of ``conf/`` in the order of ``conf/config.yaml``."""

    model: ModelConfig
    data: DataConfig
    tokenizer: TokenizerConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    trainer: TrainerConfig
    evaluation: EvaluationConfig
    tracker: TrackerConfig
    seed: int
    device: str
    output: str
    name: str | None
    fresh: bool

    def __post_init__(self) -> None:
        if self.tokenizer.vocab_size != self.model.vocab_size:
            raise ConfigError(
                f"tokenizer.vocab_size={self.tokenizer.vocab_size} must equal "
                f"model.vocab_size={self.model.vocab_size}: set scale.vocab_size."
            )
        if self.trainer.sequence_length > self.model.max_positions:
            raise ConfigError(
                f"trainer.sequence_length={self.trainer.sequence_length} must be at most "
                f"model.max_positions={self.model.max_positions}."
            )


def compose(overrides: Iterable[str] = (), root: str = "config") -> Config:
    """The typed configuration that ``overrides`` select, the same one a command line would.

    ``root`` names the primary file in ``conf/``. Raises :class:`ConfigError` for anything that cannot be used.
    """
    return typed(compose_container(overrides, root))


def compose_container(overrides: Iterable[str] = (), root: str = "config") -> DictConfig:
    """The composed container before typing, every override checked."""
    overrides = list(overrides)
    with _hydra():
        parsed = _parse(overrides)
        groups = [o for o in parsed if _is_group(o.key_or_group)]
        for override in groups:
            _check_option(override)
        try:
            known = set(_keys(hydra_compose(root, [str(o.input_line) for o in groups])))
            for override in parsed:
                if override not in groups and not override.is_add() and not override.is_delete():
                    _check_key(override.key_or_group, known)
            return hydra_compose(root, overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(_one_sentence(error)) from error


def typed(container: DictConfig, schema: type = Config) -> Any:
    """The ``schema`` object a composed container describes; see :func:`compose`."""
    try:
        plain = OmegaConf.to_container(container, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_one_sentence(error)) from error
    assert isinstance(plain, dict)
    plain.pop("hydra", None)
    for dotted in COMPOSITION_ONLY:
        *parents, last = dotted.split(".")
        node: Any = plain
        for parent in parents:
            node = node.get(parent, {})
        node.pop(last, None)
    return _build(schema, plain, "")


def size(config: Config, sequence: int | None = None) -> Size:
    """What ``config`` will cost, by arithmetic alone; FLOPs at ``sequence`` tokens (default: the trainer's)."""
    return size_of_model(config.model, sequence or config.trainer.sequence_length)


def plain(config: Any) -> dict[str, Any]:
    """A typed configuration as plain data: the inverse of :func:`typed`, for YAML and JSON."""
    return dataclasses.asdict(config)


def from_plain(data: dict[str, Any]) -> Config:
    """The typed configuration that :func:`plain` wrote."""
    return _build(Config, data, "")


# Typing: dictionaries to dataclasses.


def _build(schema: type, value: Any, path: str) -> Any:
    """An instance of dataclass ``schema`` (or of the kind that ``value`` names) from a dictionary at ``path``."""
    if not isinstance(value, dict):
        raise ConfigError(f"{path}={value} cannot be used: it is a group of settings.")
    schema = _class_of_kind(schema, value, path)
    fields = {field.name: field for field in dataclasses.fields(schema)}
    prefix = f"{path}." if path else ""
    for key in value:
        if key not in fields:
            _unknown(f"{prefix}{key}", [f"{prefix}{name}" for name in fields])
    missing = [
        name
        for name, field in fields.items()
        if name not in value
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{prefix}{missing[0]} is missing: it must be given.")
    hints = typing.get_type_hints(schema)
    return schema(**{key: _convert(hints[key], item, f"{prefix}{key}") for key, item in value.items()})


def _class_of_kind(schema: type, value: dict[str, Any], path: str) -> type:
    if schema not in KINDS:
        return schema
    kinds = KINDS[schema]
    if value.get("kind") not in kinds:
        raise ConfigError(f"{path}.kind={value.get('kind')} is unknown: it can be {', '.join(sorted(kinds))}.")
    return kinds[value["kind"]]


def _convert(hint: Any, value: Any, key: str) -> Any:
    """``value`` as type ``hint``: a dataclass, a plain type, ``T | None``, ``list[T]`` or ``dict[K, V]``."""
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _build(hint, value, key)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else _convert(inner, value, key)
    if origin is list and isinstance(value, list):
        return [_convert(arguments[0], item, f"{key}.{index}") for index, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {_convert(arguments[0], k, key): _convert(arguments[1], v, f"{key}.{k}") for k, v in value.items()}
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str, bool) and type(value) is hint:
        return value
    expected = getattr(hint, "__name__", None) if origin is None else str(hint)
    raise ConfigError(f"{key}={value} cannot be used: it must be {_article(expected or str(hint))}.")


def _article(name: str) -> str:
    words = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}
    return words.get(name, f"a {name}")


# Checking overrides before Hydra does, to name the nearest valid key.


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra initialised on ``conf/``, whatever was initialised before (a notebook's, a running command's)."""
    instance = GlobalHydra.instance()
    outer, instance.hydra = instance.hydra, None
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            yield
    finally:
        instance.hydra = outer


def _parse(overrides: list[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise ConfigError(f"An override cannot be read: {_one_sentence(error)}") from error


def _is_group(key: str) -> bool:
    return (CONF / key.split("@")[0]).is_dir()


def _check_option(override: Override) -> None:
    group, option = override.key_or_group.split("@")[0], override.value()
    if override.is_delete() or option is None:
        return
    options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    if not isinstance(option, str) or option not in options:
        near = difflib.get_close_matches(str(option), options, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"{group}={option} is not an option{hint}: {group} can be {', '.join(options)}.")


def _check_key(key: str, known: set[str]) -> None:
    if key not in known and not key.startswith("hydra"):
        _unknown(key, sorted(known))


def _unknown(key: str, valid: list[str]) -> typing.NoReturn:
    tail = key.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5) or [
        name for name in valid if difflib.SequenceMatcher(None, tail, name.rsplit(".", 1)[-1]).ratio() > 0.7
    ]
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(valid[:12])}."
    raise ConfigError(f"{key} is not a setting: {hint}")


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every dotted key below ``node``, groups included, unresolved."""
    for key in node:
        yield f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            yield from _keys(child, f"{prefix}{key}.")


def _one_sentence(error: Exception) -> str:
    """The first lines of a library's message, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])
