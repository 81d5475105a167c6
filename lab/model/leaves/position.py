"""How a layer learns where a token stands: rotary embeddings, YaRN, or nothing at all."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from lab.checks import require, require_above_zero, require_at_least
from lab.model.leaves.base import Leaf


@dataclass(frozen=True)
class Rotation:
    """Rotary embedding of one layer, half-split layout (channel i turns with channel i + d/2).

    ``factor`` > 1 stretches the low frequencies as YaRN does (arXiv 2309.00071, section 3.2):
    ``original_positions`` is the length before stretching; ``beta_fast`` and ``beta_slow`` are the numbers of turns
    above which a channel is left alone and below which it is fully stretched. ``magnitude`` multiplies cosine and
    sine; ``softmax_scale`` multiplies the attention scale.
    """

    base: float
    factor: float = 1.0
    original_positions: int = 0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    magnitude: float = 1.0
    softmax_scale: float = 1.0

    def plain_frequencies(self, dim: int) -> list[float]:
        """``dim / 2`` angular frequencies in radians per position, before any stretching."""
        return [self.base ** (-2 * i / dim) for i in range(dim // 2)]

    def inverse_frequencies(self, dim: int) -> list[float]:
        """``dim / 2`` angular frequencies in radians per position."""
        plain = self.plain_frequencies(dim)
        if self.factor == 1.0:
            return plain
        low = max(math.floor(self._channel_turning(self.beta_fast, dim)), 0)
        high = min(math.ceil(self._channel_turning(self.beta_slow, dim)), dim - 1)
        ramp = (
            high - low
        ) or 1e-3  # below zero where even the slowest channel turns often: nothing is stretched
        stretched = [min(max((i - low) / ramp, 0.0), 1.0) for i in range(dim // 2)]
        return [f * (1 - s) + f / self.factor * s for f, s in zip(plain, stretched, strict=True)]

    def _channel_turning(self, turns: float, dim: int) -> float:
        """The (fractional) channel that makes ``turns`` turns within the original length."""
        wavelength = self.original_positions / (turns * 2 * math.pi)
        return dim * math.log(wavelength) / (2 * math.log(self.base))


@dataclass(frozen=True)
class BlendedRotation(Rotation):
    """Frequencies divided by ``stretch`` where a channel makes at most ``slow_turns`` turns within
    ``original_positions``, left alone from ``fast_turns`` turns on, blended between (Llama 3.1).
    """

    stretch: float = 1.0
    slow_turns: float = 1.0
    fast_turns: float = 4.0

    def inverse_frequencies(self, dim: int) -> list[float]:
        frequencies = []
        for plain in self.plain_frequencies(dim):
            turns = self.original_positions * plain / (2 * math.pi)
            kept = min(max((turns - self.slow_turns) / (self.fast_turns - self.slow_turns), 0.0), 1.0)
            frequencies.append(plain * kept + plain / self.stretch * (1 - kept))
        return frequencies


@dataclass(frozen=True)
class SlowedRotation(Rotation):
    """All frequencies divided by ``stretch``: positions interpolated (arXiv 2306.15595)."""

    stretch: float = 1.0

    def inverse_frequencies(self, dim: int) -> list[float]:
        return [plain / self.stretch for plain in self.plain_frequencies(dim)]


@dataclass
class PositionConfig(Leaf, ABC):
    """A rule that gives each layer its rotation, or none."""

    @abstractmethod
    def rotation(self, is_local: bool) -> Rotation | None:
        """The rotation of a layer; ``is_local`` tells layers with a window from layers that see everything."""


@dataclass
class NoPosition(PositionConfig):
    """No position signal anywhere (NoPE), as in Solar Open 2's softmax layers."""

    def rotation(self, is_local: bool) -> Rotation | None:
        return None


def _require_base(**bases: float) -> None:
    for name, base in bases.items():
        require(1 < base < math.inf, f"model.position.{name}", base, "it must be above 1")


@dataclass
class Rope(PositionConfig):
    """Plain rotary embedding on every layer (arXiv 2104.09864)."""

    base: float = 10_000.0

    def __post_init__(self) -> None:
        _require_base(base=self.base)

    def rotation(self, is_local: bool) -> Rotation | None:
        return Rotation(self.base)


@dataclass
class RopeLinear(Rope):
    """Rotary on every layer with positions interpolated: all frequencies divided by ``factor`` (arXiv 2306.15595)."""

    factor: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.factor < math.inf, "model.position.factor", self.factor, "it must be at least 1")

    def rotation(self, is_local: bool) -> Rotation | None:
        return SlowedRotation(self.base, stretch=self.factor)


@dataclass
class RopeBlended(RopeLinear):
    """Rotary of Llama 3.1 and later (arXiv 2407.21783): slow channels interpolated, fast ones kept, others blended.

    A channel is slow below ``slow_turns`` turns within ``original_positions`` tokens, fast above ``fast_turns``; in
    released files these are ``low_freq_factor`` and ``high_freq_factor``.
    """

    factor: float = 8.0
    original_positions: int = 8_192
    slow_turns: float = 1.0
    fast_turns: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("model.position", 1, original_positions=self.original_positions)
        require_above_zero("model.position", slow_turns=self.slow_turns, fast_turns=self.fast_turns)
        allowed = f"it must be above model.position.slow_turns={self.slow_turns}"
        require(self.fast_turns > self.slow_turns, "model.position.fast_turns", self.fast_turns, allowed)

    def rotation(self, is_local: bool) -> Rotation | None:
        return BlendedRotation(
            self.base,
            original_positions=self.original_positions,
            stretch=self.factor,
            slow_turns=self.slow_turns,
            fast_turns=self.fast_turns,
        )


@dataclass
class RopeOnLocal(Rope):
    """Rotary on layers with a window, nothing on global layers (K-EXAONE report, arXiv 2601.01739)."""

    def rotation(self, is_local: bool) -> Rotation | None:
        return Rotation(self.base) if is_local else None


@dataclass
class Yarn(Rope):
    """YaRN on every layer, its temperature carried by cosine and sine.

    The magnitude is ``attention_factor``, or ``0.1 ln(factor) + 1`` where that is None, as transformers computes it
    when ``mscale_all_dim`` is zero or absent: the released form of A.X K1 (only the rotary half of the scores grows)
    and of Solar Open. ``softmax_mscale`` is DeepSeek's ``mscale_all_dim``: it multiplies the softmax scale by
    ``(0.1 softmax_mscale ln(factor) + 1)^2``.
    """

    factor: float = 4.0
    original_positions: int = 32_768
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    softmax_mscale: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.factor < math.inf, "model.position.factor", self.factor, "it must be at least 1")
        require_at_least("model.position", 1, original_positions=self.original_positions)
        require_above_zero("model.position", beta_fast=self.beta_fast, beta_slow=self.beta_slow)
        if self.attention_factor is not None:
            require_above_zero("model.position", attention_factor=self.attention_factor)

    def _stretched(self, magnitude: float, softmax_scale: float) -> Rotation:
        return Rotation(
            self.base,
            self.factor,
            self.original_positions,
            self.beta_fast,
            self.beta_slow,
            magnitude,
            softmax_scale,
        )

    def temperature(self, mscale: float = 1.0) -> float:
        """``0.1 mscale ln(factor) + 1``."""
        return 0.1 * mscale * math.log(self.factor) + 1

    def rotation(self, is_local: bool) -> Rotation | None:
        given = self.attention_factor
        magnitude = self.temperature() if given is None else given
        return self._stretched(magnitude, self.temperature(self.softmax_mscale) ** 2)


@dataclass
class YarnOnGlobal(Yarn):
    """YaRN on global layers with its temperature in the softmax scale; plain rotary on local layers (Motif 3).

    The softmax scale is multiplied by ``(0.1 ln(factor) + 1)^2``; ``local_base`` is the base of windowed layers.
    """

    local_base: float = 10_000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_base(local_base=self.local_base)

    def rotation(self, is_local: bool) -> Rotation | None:
        if is_local:
            return Rotation(self.local_base)
        return self._stretched(magnitude=1.0, softmax_scale=self.temperature() ** 2)
