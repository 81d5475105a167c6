"""From overrides to a typed configuration: Hydra composes, this module checks, and nothing else instantiates.

Composition goes ``conf/*.yaml`` + overrides -> resolved container -> dataclasses. A leaf names its class by ``kind``; a
key that no dataclass has, a value of the wrong type or an unknown option is one :class:`ConfigError` naming the key and
the nearest valid one. Only torch-free modules are imported, so that a typo costs a fraction of a second.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from lab.checks import require_choice
from lab.data.config import (
    DataConfig,
    ExercisesData,
    FolderData,
    HubData,
    PackagesData,
    RecallData,
    TextData,
    TokenizerConfig,
)
from lab.errors import ConfigError
from lab.evaluation.config import EvaluationConfig
from lab.evaluation.measures.catalogue import MEASURES
from lab.kernels.registry import AUTO, KERNEL_KINDS
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
from lab.overrides import compose_container, one_sentence
from lab.schema import build_typed
from lab.trainer.config import (
    FREE_SETTINGS,
    LATER_SETTINGS,
    AdamWConfig,
    MuonConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrackerConfig,
    TrainerConfig,
)

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
        "rope_blended": position.RopeBlended,
        "rope_linear": position.RopeLinear,
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
    DataConfig: {
        "packages": PackagesData,
        "exercises": ExercisesData,
        "folder": FolderData,
        "hub": HubData,
        "recall": RecallData,
    },
    OptimizerConfig: {"adamw": AdamWConfig, "muon": MuonConfig},
}
"""Leaf kinds by base class: the words that ``kind:`` may say in a YAML file."""

COMPOSITION_ONLY = ("scale", "experiment", "ablation", "model.published", "model.traits")
"""Nodes that other nodes are composed from and that no part is built from."""


@dataclass
class Config:
    """Everything one run is made of; the groups of ``conf/`` in the order of ``conf/config.yaml``.

    ``kernels`` is the kind of path that operators take, one of :data:`lab.kernels.registry.KERNEL_KINDS`; ``auto``
    leaves it to each operator. Other kinds round differently, so they are part of what the run is.
    """

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
    kernels: str = field(default=AUTO, kw_only=True)

    def __post_init__(self) -> None:
        require_choice("kernels", self.kernels, KERNEL_KINDS)
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
        self._check_task()

    def _check_task(self) -> None:
        """Hold a synthetic task to what it needs, and measures to what they can be taken of."""
        trained_on = "texts" if isinstance(self.data, TextData) else self.data.kind
        for name in self.evaluation.measures:
            if MEASURES[name].data != trained_on:
                raise ConfigError(
                    f"evaluation.measures={name} cannot be used with data={self.data.kind}: "
                    f"it is taken of models that were trained on {MEASURES[name].data}."
                )
        if isinstance(self.data, RecallData):
            self.data.require_room(self.trainer.sequence_length, self.model.vocab_size)
            if "recall" not in self.evaluation.measures:
                raise ConfigError(
                    "data=recall needs evaluation.measures=[recall]: it has no text to be judged by."
                )


def compose(overrides: Iterable[str] = (), root: str = "config") -> Config:
    """The typed configuration that ``overrides`` select, the same one a command line would.

    ``root`` names the primary file in ``conf/``. Raises :class:`ConfigError` for anything that cannot be used.
    """
    return typed(compose_container(overrides, root))


def typed(container: DictConfig, schema: type = Config) -> Any:
    """The ``schema`` object a composed container describes; see :func:`compose`."""
    try:
        plain = OmegaConf.to_container(container, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key} must be given: {error.full_key}=...") from error
    except OmegaConfBaseException as error:
        raise ConfigError(one_sentence(error)) from error
    assert isinstance(plain, dict)
    plain.pop("hydra", None)
    for dotted in COMPOSITION_ONLY:
        *parents, last = dotted.split(".")
        node: Any = plain
        for parent in parents:
            node = node.get(parent, {})
        node.pop(last, None)
    return build_typed(schema, plain, KINDS)


def size(config: Config, sequence: int | None = None) -> Size:
    """What ``config`` will cost, by arithmetic alone; FLOPs at ``sequence`` tokens (default: the trainer's)."""
    return size_of_model(config.model, sequence or config.trainer.sequence_length)


def plain(config: Any) -> dict[str, Any]:
    """A typed configuration as plain data: the inverse of :func:`typed`, for YAML and JSON."""
    return dataclasses.asdict(config)


def from_plain(data: dict[str, Any]) -> Config:
    """The typed configuration that :func:`plain` wrote."""
    return build_typed(Config, data, KINDS)


def fingerprint(config: Config) -> str:
    """Eight hexadecimal digits that differ when any setting differs that could change the weights."""
    settings = plain(config)
    for dotted in FREE_SETTINGS:
        *parents, last = dotted.split(".")
        node = settings
        for parent in parents:
            node = node[parent]
        node.pop(last, None)
    for name, of_older_runs in LATER_SETTINGS.items():
        if settings[name] == of_older_runs:
            del settings[name]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
