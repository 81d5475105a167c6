"""What is published, with source and status: devices, throughput, runs, prices and shapes of reference models.

The figures live in ``facts/*.yaml``. ``status`` is ``verified`` (read in the primary source), ``secondary`` (read
elsewhere) or ``derived`` (computed from published figures).
"""

import re
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lab.errors import ConfigError
from lab.model.config import ModelConfig
from lab.model.leaves.attention import GroupedQuery, Latent, MixerConfig
from lab.model.leaves.feed_forward import SwiGLU
from lab.model.leaves.layers import LayersConfig
from lab.model.leaves.linear_attention import NoLinear
from lab.model.leaves.multi_token import NoMultiToken
from lab.model.leaves.norm import Rms
from lab.model.leaves.position import NoPosition
from lab.model.leaves.residual import PreNorm
from lab.model.leaves.router import NoRouter, SigmoidRouter
from lab.planner.quantity import DEVICE_DAY, GB, GIB, SECOND, TFLOP, WATT, Quantity

FACTS = Path(__file__).with_suffix("")
USUAL_ACHIEVED = 0.78
"""Largest measured matrix product over dense peak, where none was measured: that of B200 (1745 of 2250 TFLOP/s)."""


@dataclass(frozen=True)
class Device:
    """An accelerator; rates in TFLOP/s (dense), GB/s per direction, GB = 10^9 bytes; memory in GiB = 2^30 bytes.

    ``assumed`` names the entries that have no source for this device.
    """

    name: str
    bf16: float
    fp8: float | None
    fp4: float | None
    achieved_bf16: float | None
    achieved_fp8: float | None
    memory_gib: float
    hbm: float
    watts: float
    scale_up: float
    node: int
    scale_out: float
    assumed: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        unknown = set(self.assumed) - {entry.name for entry in fields(self)}
        assert not unknown, f"{self.name} assumes {unknown}"

    def format_of(self, precision: str) -> str:
        """The fastest format this device has at ``precision`` or above: fp8 falls back to bf16."""
        for name in ("fp4", "fp8", "bf16")[("fp4", "fp8", "bf16").index(precision) :]:
            if getattr(self, name) is not None:
                return name
        raise AssertionError(precision)

    def peak(self, precision: str = "bf16") -> Quantity:
        """Dense peak, FLOP/s."""
        return getattr(self, self.format_of(precision)) * TFLOP / SECOND

    def achieved(self, precision: str = "bf16") -> Quantity:
        """The largest matrix product that was measured, FLOP/s; elsewhere the usual share of the dense peak."""
        measured = getattr(self, f"achieved_{self.format_of(precision)}", None)
        return measured * TFLOP / SECOND if measured else USUAL_ACHIEVED * self.peak(precision)

    @property
    def memory(self) -> Quantity:
        return self.memory_gib * GIB

    @property
    def memory_bandwidth(self) -> Quantity:
        return self.hbm * GB / SECOND

    @property
    def scale_up_bandwidth(self) -> Quantity:
        """The fast link, one direction."""
        return self.scale_up * GB / SECOND

    @property
    def scale_out_bandwidth(self) -> Quantity:
        """The network, one direction, per device."""
        return self.scale_out * GB / SECOND

    @property
    def power(self) -> Quantity:
        return self.watts * WATT


@dataclass(frozen=True)
class Throughput:
    """A published step rate, in tokens per second and device, or TFLOP/s per device (``tflops``)."""

    name: str
    model: str
    device: str
    devices: int
    precision: str
    sequence: int
    source: str
    status: str
    group: str
    tokens: float | None = None
    tflops: float | None = None
    peak_gib: float | None = None
    layout: dict[str, Any] = field(default_factory=dict)
    assumed: dict[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Run:
    """A public training run. ``total`` and ``active`` in billions of parameters, for a run without shape."""

    name: str
    device: str
    hours: float
    precision: str
    source: str
    status: str
    tokens: float | None
    model: str | None = None
    total: float | None = None
    active: float | None = None
    devices: int | None = None
    sequence: int = 4096
    layout: dict[str, Any] = field(default_factory=dict)
    assumed: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    fit: bool = True
    use: bool = True
    why: str = ""

    @property
    def house(self) -> str:
        """Who trained it: the first word of its name."""
        return re.split(r"[ -]", self.name)[0]


@cache
def read(name: str) -> dict[str, Any]:
    """The plain content of ``facts/<name>.yaml``; not to be changed."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: dict[str, Any] = yaml.load((FACTS / f"{name}.yaml").read_text(encoding="utf-8"), Loader=loader)
    return loaded


@cache
def devices() -> dict[str, Device]:
    """All accelerators by name."""
    return {
        name: Device(name=name, **{**values, "assumed": tuple(values.get("assumed", ()))})
        for name, values in read("devices")["devices"].items()
    }


def device(name: str) -> Device:
    """The accelerator ``name``; raises :class:`ConfigError` for one that is unknown."""
    if name not in devices():
        raise ConfigError(f"cluster.device={name} is unknown: it can be {', '.join(sorted(devices()))}.")
    return devices()[name]


def throughputs() -> list[Throughput]:
    """All published step rates that are fitted."""
    return _throughputs(read("throughput")["rows"])


def later_throughputs() -> list[Throughput]:
    """Published step rates that were looked up after the fit, and that no fit sees."""
    return _throughputs(read("later")["rates"])


def _throughputs(rows: list[dict[str, Any]]) -> list[Throughput]:
    sources = read("throughput")["sources"]
    return [Throughput(**row, **sources[row["group"]]) for row in rows]


def runs() -> list[Run]:
    """All public runs, those left out of the fit included."""
    return [Run(**row) for row in read("runs")["runs"]]


def later_runs() -> list[Run]:
    """Public runs that were looked up after the fit, and that no fit sees."""
    return [Run(**row) for row in read("later")["runs"]]


def explanation(kind: str, name: str) -> str:
    """Why the prediction of a row (``rates``) or of a run (``runs``) missed: what is known, and what is inferred."""
    found: str = read("misses")[kind].get(name, "unexplained")
    return found


def prices(device_name: str) -> list[dict[str, Any]]:
    """What an hour of a device costs, as published: ``dollars`` or ``won`` ranges with source and status."""
    return [price for price in read("prices")["prices"] if price["device"] == device_name]


def failure_rate() -> Quantity:
    """Unexpected interruptions per device and second."""
    return read("prices")["failures"]["per_device_day"] / DEVICE_DAY


def golden(name: str) -> dict[str, Any]:
    """The published shape of a reference model with its golden counts."""
    return dict(read("models")["models"][name])


@cache
def reference_model(name: str) -> ModelConfig:
    """A reference model in the laboratory's own leaves, for counting (its position signal is left out)."""
    shape = golden(name)
    heads = shape["heads"]
    attention: MixerConfig
    if "latent" in shape:
        query, latent, nope, rope, value = shape["latent"]
        attention = Latent("latent", query, latent, nope, rope, value, num_heads=heads)
    else:
        attention = GroupedQuery("grouped_query", heads, shape["kv_heads"], shape["head_dim"])
    router: Any = NoRouter("none")
    if "experts" in shape:
        number, top_k, width, shared = shape["experts"]
        router = SigmoidRouter("sigmoid", number, top_k, width, num_shared=shared)
    return ModelConfig(
        name=name,
        width=shape["width"],
        vocab_size=shape["vocab"],
        max_positions=131072,
        tied_embeddings=False,
        init_std=0.02,
        layers=LayersConfig(
            count=shape["layers"],
            pattern=shape.get("pattern", "G"),
            window=shape.get("window", 128),
            num_dense=shape.get("num_dense", 0),
        ),
        attention=attention,
        linear_attention=NoLinear("none"),
        position=NoPosition("none"),
        feed_forward=SwiGLU("swiglu", shape.get("dense_width", shape["width"])),
        router=router,
        residual=PreNorm("pre_norm"),
        norm=Rms("rms", 1e-6),
        multi_token=NoMultiToken("none"),
    )
