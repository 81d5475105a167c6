"""Expected utilisation, with its ingredients: where the time of one token goes.

Every ingredient is first an ideal time from shapes and data sheets alone (a roofline), then multiplied by a slowdown.
There are six slowdowns, the same for every model, device and layout; they are fitted to published throughput
(:mod:`lab.planner.calibration`) and live in ``facts/slowdowns.yaml``. Nothing else is fitted.
"""

from dataclasses import dataclass
from functools import cache

from lab.model.config import ModelConfig
from lab.model.leaves.router import SigmoidRouter
from lab.planner.communication import communication
from lab.planner.config import LayoutConfig
from lab.planner.facts import Device, read
from lab.planner.memory import all_activation_elements
from lab.planner.pipeline import bubble
from lab.planner.quantity import BYTE, DEVICE, SECOND, TOKEN, Quantity
from lab.planner.training import TRAINING_OVER_FORWARD, sparse_layers, training_work

PRIOR = {"dense": 1.2, "experts": 1.4, "attention": 2.0, "traffic": 1.3, "links": 0.5, "fp4": 0.5}
"""What one would guess before any fit; the layouts of rows without one are chosen by these, so that nothing circular
enters the fit."""
INGREDIENTS = tuple(PRIOR)
DEVICE_SECONDS_PER_TOKEN = DEVICE * SECOND / TOKEN
PASSES_OVER_ACTIVATIONS = 6
"""Times that a kept activation crosses the memory bus: written and read forward, the same and its gradient's two."""


@dataclass(frozen=True)
class Utilisation:
    """``ideal`` and ``expected`` time by ingredient (device-seconds per token), and what follows from them."""

    ideal: dict[str, Quantity]
    expected: dict[str, Quantity]
    bubble: float
    model_flops: Quantity
    peak: Quantity
    peak_bf16: Quantity

    @property
    def time(self) -> Quantity:
        """Device-seconds per token, the bubble included."""
        return sum(self.expected.values()) * (1 + self.bubble)  # type: ignore[return-value]

    @property
    def tokens_per_second(self) -> Quantity:
        """Tokens per second and device."""
        return 1 / self.time

    @property
    def rate(self) -> Quantity:
        """Model FLOP/s and device."""
        return self.model_flops / self.time * DEVICE

    @property
    def mfu(self) -> float:
        """Model FLOPs utilisation of the dense peak of the format of the matrix products."""
        return float(self.rate / self.peak)  # type: ignore[arg-type]

    @property
    def mfu_bf16(self) -> float:
        """The same against the dense bf16 peak."""
        return float(self.rate / self.peak_bf16)  # type: ignore[arg-type]

    def shares(self) -> dict[str, float]:
        """Share of the step by ingredient, and the bubble's."""
        shares = {name: part.value / self.time.value for name, part in self.expected.items()}
        return {**shares, "bubble": self.bubble / (1 + self.bubble)}


def ideal_times(model: ModelConfig, layout: LayoutConfig, device: Device) -> dict[str, Quantity]:
    """Roofline time by ingredient, device-seconds per token.

    ``dense``: projections and dense feed-forwards at the largest rate measured for a matrix product; ``experts``:
    routed experts, a roofline over their small matrices; ``attention``: scores and values in bf16; ``traffic``:
    activations through device memory; ``links``: all communication with nothing overlapped; ``fp4``: the dense time
    again where products are in fp4, whose achievable rate nobody has measured.
    """
    work = training_work(model, layout.sequence)
    again = (TRAINING_OVER_FORWARD + 1) / TRAINING_OVER_FORWARD if layout.recompute == "full" else 1.0
    fast, plain = device.achieved(layout.precision), device.achieved("bf16")
    dense = again * work.dense / fast + work.head / plain
    experts = again * work.experts / fast + _expert_bytes(model, layout, again) / device.memory_bandwidth
    elements, _ = all_activation_elements(model)
    traffic = again * PASSES_OVER_ACTIVATIONS * elements * 2 * (BYTE / TOKEN) / device.memory_bandwidth
    fp4 = (dense if layout.precision == "fp4" else 0 * dense) if device.fp4 else 0 * dense
    return {
        "dense": dense * DEVICE,
        "experts": experts * DEVICE,
        "attention": again * work.attention / plain * DEVICE,
        "traffic": traffic * DEVICE,
        "links": communication(model, layout, device).total,
        "fp4": fp4 * DEVICE,
    }


def utilisation(
    model: ModelConfig, layout: LayoutConfig, device: Device, slowdowns: dict[str, float] | None = None
) -> Utilisation:
    """Expected throughput and utilisation of ``model`` in ``layout`` on ``device``."""
    factors = slowdowns or fitted_slowdowns()
    ideal = ideal_times(model, layout, device)
    return Utilisation(
        ideal=ideal,
        expected={name: factors[name] * part for name, part in ideal.items()},
        bubble=bubble(layout),
        model_flops=training_work(model, layout.sequence).total,
        peak=device.peak(layout.precision),
        peak_bf16=device.peak("bf16"),
    )


@cache
def fitted_slowdowns() -> dict[str, float]:
    """The committed fit; not to be changed."""
    return {name: float(value) for name, value in read("slowdowns")["slowdowns"].items()}


def _expert_bytes(model: ModelConfig, layout: LayoutConfig, again: float) -> Quantity:
    """Bytes through device memory for the three matrices of routed experts, weights and rows, per token.

    A weight is read once per micro-batch and device however few rows its expert has.
    """
    router = model.router
    if not isinstance(router, SigmoidRouter):
        return 0 * BYTE / TOKEN
    width, hidden = model.width, router.expert_width
    tokens = layout.micro_batch * layout.sequence / layout.context
    rows = max(1.0, tokens * layout.expert * router.top_k / router.num_experts)
    per_row = 3 * (width + hidden) + 3 * width * hidden / rows
    sparse = sparse_layers(model)
    return again * TRAINING_OVER_FORWARD * sparse * router.top_k * per_row * 2 * BYTE / TOKEN
