"""Reading a released ``config.json``: what is read is checked, what we cannot compute is refused."""

from typing import Any

from lab.errors import ConfigError
from lab.model.leaves.layers import LayersConfig
from lab.model.leaves.position import PositionConfig, Rope, RopeBlended, RopeLinear, Yarn, YarnOnGlobal


class HubConfig:
    """The keys of one ``config.json``. Errors name the file, the key, its value and what is allowed."""

    def __init__(self, values: dict[str, Any], source: str = "config.json") -> None:
        self.values = values
        self.source = source

    def has(self, key: str) -> bool:
        """Whether ``key`` is there and not null."""
        return self.values.get(key) is not None

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number; ``default`` None where it must be given."""
        return self._typed(key, default, (int,), "a whole number")

    def number(self, key: str, default: float | None = None) -> float:
        """A number."""
        return float(self._typed(key, default, (int, float), "a number"))

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        return self._typed(key, default, (str,), "a text")

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, "it must be true or false")
        return default if value is None else value

    def items(self, key: str) -> list[Any]:
        """A list with one item a layer."""
        value = self.values.get(key)
        layers = self.integer("num_hidden_layers")
        if not isinstance(value, list) or len(value) != layers:
            raise self.error(key, f"it must list one item for each of {layers} layers")
        return value

    def group(self, key: str) -> "HubConfig":
        """The keys below ``key``."""
        value = self.values.get(key)
        if not isinstance(value, dict):
            raise self.error(key, "it must be a group of keys")
        return HubConfig(value, f"{self.source} {key}")

    def with_defaults(self, **defaults: Any) -> "HubConfig":
        """The same file with keys that it lacks; one that is null stays so."""
        return HubConfig({**defaults, **self.values}, self.source)

    def require(self, **expected: Any) -> None:
        """Every key, where it is there, must have the expected value: another would need other code."""
        for key, value in expected.items():
            if self.has(key) and self.values[key] != value:
                raise self.error(key, f"only {value} is known here")

    def error(self, key: str, allowed: str) -> ConfigError:
        """What to raise for ``key``."""
        return ConfigError(f"{self.source} {key}={self.values.get(key)} cannot be used: {allowed}.")

    def _typed(self, key: str, default: Any, types: tuple[type, ...], name: str) -> Any:
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise ConfigError(f"{self.source} has no {key}: it must be {name}.")
        if not isinstance(value, types) or isinstance(value, bool):
            raise self.error(key, f"it must be {name}")
        return value


# Layers: a list of letters and back.


def leading_dense(hub: HubConfig) -> int:
    """How many leading layers are dense, from whichever of the keys the folder has."""
    for key in ("mlp_layer_types", "is_moe_layer"):
        if hub.has(key):
            sparse = [item in ("sparse", True) for item in hub.items(key)]
            count = sparse.index(True) if True in sparse else len(sparse)
            if not all(sparse[count:]):
                raise hub.error(key, "dense layers must come first")
            return count
    hub.require(moe_layer_freq=1)
    return hub.integer("first_k_dense_replace", 0)


def layers_from(letters: str, windows: list[int], window: int, num_dense: int) -> LayersConfig:
    """The shortest ``lead`` and ``pattern`` that spell ``letters``.

    ``windows`` has one item a layer and counts in local layers, where ``window`` is the usual one.
    """
    special = {
        index: size
        for index, (letter, size) in enumerate(zip(letters, windows, strict=True))
        if letter == "L" and size != window
    }
    lead, pattern = _shortest(letters)
    return LayersConfig(len(letters), pattern, lead, window, special, num_dense)


def _shortest(letters: str) -> tuple[str, str]:
    for total in range(1, len(letters) + 1):
        for lead in range(total):
            pattern = letters[lead:total]
            if all(letter == pattern[i % len(pattern)] for i, letter in enumerate(letters[lead:])):
                return letters[:lead], pattern
    raise AssertionError("a list of letters is its own pattern")


# Positions: rope_parameters, or rope_theta and rope_scaling of older folders.


ROPE_TYPES = ("default", "linear", "llama3", "yarn")


def rope_group(hub: HubConfig, default_base: float) -> HubConfig:
    """The rotary settings under today's names, from either spelling."""
    if hub.has("rope_parameters"):
        values = dict(hub.group("rope_parameters").values)
    else:
        values = dict(hub.values.get("rope_scaling") or {})
        values.setdefault("rope_type", values.get("type"))
        values.setdefault("rope_theta", hub.values.get("rope_theta"))
    values["rope_type"] = values.get("rope_type") or "default"
    values["rope_theta"] = values.get("rope_theta") or default_base
    rope = HubConfig(values, f"{hub.source} rope")
    if rope.text("rope_type") not in ROPE_TYPES:
        raise rope.error("rope_type", f"it can be {', '.join(ROPE_TYPES)}")
    rope.require(partial_rotary_factor=1.0, truncate=True)
    hub.require(partial_rotary_factor=1.0)
    return rope


def plain_position(hub: HubConfig, default_base: float) -> Rope:
    """RoPE, plain or stretched; YaRN's temperature sits in cosine and sine."""
    rope = rope_group(hub, default_base)
    base = rope.number("rope_theta")
    if rope.text("rope_type") == "default":
        return Rope("rope", base)
    if rope.text("rope_type") == "linear":
        return RopeLinear("rope_linear", base, rope.number("factor"))
    if rope.text("rope_type") == "llama3":
        return RopeBlended(
            "rope_blended",
            base,
            rope.number("factor"),
            rope.integer("original_max_position_embeddings"),
            slow_turns=rope.number("low_freq_factor"),
            fast_turns=rope.number("high_freq_factor"),
        )
    yarn = Yarn(
        "yarn",
        base,
        factor=rope.number("factor"),
        original_positions=rope.integer("original_max_position_embeddings"),
        beta_fast=rope.number("beta_fast", 32.0),
        beta_slow=rope.number("beta_slow", 1.0),
    )
    mscale, mscale_all_dim = rope.number("mscale", 0.0), rope.number("mscale_all_dim", 0.0)
    if rope.has("attention_factor"):
        yarn.attention_factor = rope.number("attention_factor")
    elif mscale and mscale_all_dim:
        yarn.attention_factor = yarn.temperature(mscale) / yarn.temperature(mscale_all_dim)
    return yarn


def latent_position(hub: HubConfig, default_base: float) -> Rope:
    """The same for latent attention as DeepSeek codes it: ``mscale_all_dim`` scales the softmax too."""
    position = plain_position(hub, default_base)
    if isinstance(position, Yarn):
        position.softmax_mscale = rope_group(hub, default_base).number("mscale_all_dim", 0.0)
    return position


def rope_parameters(position: PositionConfig) -> dict[str, Any]:
    """``rope_parameters`` of a position leaf."""
    assert isinstance(position, Rope)
    if isinstance(position, RopeBlended):
        return {
            "rope_type": "llama3",
            "rope_theta": position.base,
            "factor": position.factor,
            "original_max_position_embeddings": position.original_positions,
            "low_freq_factor": position.slow_turns,
            "high_freq_factor": position.fast_turns,
        }
    if isinstance(position, RopeLinear):
        return {"rope_type": "linear", "rope_theta": position.base, "factor": position.factor}
    if not isinstance(position, Yarn):
        return {"rope_type": "default", "rope_theta": position.base}
    rotation = position.rotation(is_local=False)
    assert rotation is not None
    values = {
        "rope_type": "yarn",
        "rope_theta": position.base,
        "factor": position.factor,
        "original_max_position_embeddings": position.original_positions,
        "beta_fast": position.beta_fast,
        "beta_slow": position.beta_slow,
    }
    if rotation.magnitude != position.temperature():
        values["attention_factor"] = rotation.magnitude
    softmax_mscale = 1.0 if isinstance(position, YarnOnGlobal) else position.softmax_mscale
    if softmax_mscale:
        values |= {
            "mscale": softmax_mscale,
            "mscale_all_dim": softmax_mscale,
            "attention_factor": rotation.magnitude,
        }
    return values
