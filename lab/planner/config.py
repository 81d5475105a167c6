"""What a plan is asked for: the cluster, the layout and the budget. Torch-free."""

from dataclasses import dataclass

from lab.checks import require_above_zero, require_at_least, require_choice
from lab.errors import ConfigError

PRODUCT_PRECISIONS = ("bf16", "fp8", "fp4")
"""Formats of matrix products that devices have peaks for."""
PRECISIONS = ("fp32", "autocast", *PRODUCT_PRECISIONS)
"""Formats whose memory can be counted; autocast is this laboratory's own bf16: float32 weights, products cast."""
RECOMPUTE = ("none", "selective", "full")
SHARDING = ("none", "optimizer", "gradients", "weights")
OPTIMIZERS = ("adamw", "muon")


@dataclass
class ClusterConfig:
    """``devices`` accelerators of kind ``device`` (a name of ``lab/planner/facts/devices.yaml``).

    ``devices_per_node`` share the fast link; ``scale_out_gb_per_second`` leave the node per device and direction
    (10^9 bytes); None takes the device's usual values. ``storage_gb_per_second`` is what all devices together can
    write checkpoints at. ``watts_per_device_overhead`` is the share of hosts, network and storage;
    ``power_usage_effectiveness`` the building's factor.
    """

    name: str
    device: str
    devices: int
    devices_per_node: int | None = None
    scale_out_gb_per_second: float | None = None
    storage_gb_per_second: float = 100.0
    watts_per_device_overhead: float = 400.0
    power_usage_effectiveness: float = 1.3

    def __post_init__(self) -> None:
        require_at_least("cluster", 1, devices=self.devices, devices_per_node=self.devices_per_node)
        require_above_zero(
            "cluster",
            scale_out_gb_per_second=self.scale_out_gb_per_second,
            storage_gb_per_second=self.storage_gb_per_second,
        )
        require_at_least("cluster", 0, watts_per_device_overhead=self.watts_per_device_overhead)
        require_at_least("cluster", 1, power_usage_effectiveness=self.power_usage_effectiveness)


@dataclass(frozen=True)
class LayoutConfig:
    """How a model is laid over devices: ``data x tensor x pipeline x context`` of them.

    ``expert`` devices share the experts of a layer; they are taken from the ``data x context x tensor`` ones.
    ``sharding`` says what the data-parallel devices divide among themselves (ZeRO 1, 2, 3: optimizer, gradients,
    weights), over groups of ``shard`` devices (None: all of them; fewer is hybrid sharding). ``virtual_stages`` is
    the interleaving of pipeline stages. ``micro_batch`` sequences go through a device at once, and
    ``global_batch`` sequences make a step (None: eight micro-batches a pipeline stage). ``precision`` is that of
    matrix products; ``recompute`` what is computed again in the backward pass: nothing, the attention core, or all. A
    fused head makes the logits of a micro-batch in ``logit_chunks`` parts, a plain one all at once.
    """

    data: int = 1
    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    expert: int = 1
    virtual_stages: int = 1
    sharding: str = "optimizer"
    shard: int | None = None
    micro_batch: int = 1
    global_batch: int | None = None
    sequence: int = 4096
    precision: str = "bf16"
    recompute: str = "selective"
    optimizer: str = "adamw"
    logit_chunks: int = 8

    def __post_init__(self) -> None:
        require_at_least(
            "layout",
            1,
            data=self.data,
            tensor=self.tensor,
            pipeline=self.pipeline,
            context=self.context,
            expert=self.expert,
            virtual_stages=self.virtual_stages,
            shard=self.shard,
            micro_batch=self.micro_batch,
            global_batch=self.global_batch,
            sequence=self.sequence,
            logit_chunks=self.logit_chunks,
        )
        require_choice("layout.precision", self.precision, PRECISIONS)
        require_choice("layout.recompute", self.recompute, RECOMPUTE)
        require_choice("layout.sharding", self.sharding, SHARDING)
        require_choice("layout.optimizer", self.optimizer, OPTIMIZERS)
        pool = self.data * self.context * self.tensor
        if pool % self.expert:
            raise ConfigError(
                f"layout.expert={self.expert} cannot be used: it must divide data x context x tensor = {pool}."
            )

    @property
    def devices(self) -> int:
        """Devices that the layout occupies."""
        return self.data * self.tensor * self.pipeline * self.context

    @property
    def tokens_per_step(self) -> int:
        """Tokens that all devices see between two updates."""
        return self.data * self.micro_batch * self.micro_batches * self.sequence

    @property
    def micro_batches(self) -> int:
        """Micro-batches that one pipeline runs in a step."""
        if self.global_batch is None:
            return 8 * self.pipeline
        return max(1, self.global_batch // (self.data * self.micro_batch))


@dataclass
class BudgetConfig:
    """What may be spent; None sets no bound. ``won_per_dollar`` converts, ``won_per_device_hour`` overrides prices."""

    name: str = "unbounded"
    won: float | None = None
    dollars: float | None = None
    device_hours: float | None = None
    deadline_days: float | None = None
    won_per_dollar: float = 1400.0
    won_per_device_hour: float | None = None

    def __post_init__(self) -> None:
        require_above_zero(
            "budget",
            won=self.won,
            dollars=self.dollars,
            device_hours=self.device_hours,
            deadline_days=self.deadline_days,
            won_per_dollar=self.won_per_dollar,
            won_per_device_hour=self.won_per_device_hour,
        )
