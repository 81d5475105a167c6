"""Layer (a) of the calibration: counts that are known to the last digits, against ours."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.model.config import ModelConfig
from lab.model.leaves.multi_token import NoMultiToken, SharedBlock
from lab.model.size import size
from lab.planner import facts
from lab.planner.config import LayoutConfig
from lab.planner.memory import activation_2022, stages_in_flight
from lab.planner.quantity import BYTE, GIB

Models = Callable[[str], ModelConfig]
"""The model of a name: a contender's configuration, or a reference model."""


@dataclass(frozen=True)
class Golden:
    """A published count and ours."""

    what: str
    published: float
    ours: float
    unit: str

    @property
    def error(self) -> float:
        """Ours over published, less one."""
        return self.ours / self.published - 1


def goldens(models: Models) -> list[Golden]:
    """Layer (a): parameters (billion), training FLOPs per token, memory (GiB)."""
    rows: list[Golden] = []
    known = facts.read("models")
    for name, shape in {**known["models"], **known["contenders"]}.items():
        whole = _one_step_ahead(models(name))
        trunk = replace(whole, multi_token=NoMultiToken("none"))
        for suffix, model in (("", trunk), ("_multi_token", whole)):
            counted = size(model, 1)
            counts = {"total": counted.parameters_total, "active": counted.parameters_active}
            for key, count in counts.items():
                if key + suffix in shape:
                    what = f"{name}: {key}{suffix} parameters".replace("_multi_token", " with multi-token")
                    rows.append(Golden(what, shape[key + suffix], count / 1e9, "billion"))
            for sequence, value in shape.get(f"flops{suffix}", {}).items():
                ours = size(model, sequence).flops_per_token_training
                what = f"{name}: FLOPs at {sequence:,} tokens{', with multi-token' if suffix else ''}"
                rows.append(Golden(what, value, ours, "FLOP/token"))
    for name, row in known["memory_2022"].items():
        rows += _memory_2022(name, *row)
    return rows


def _one_step_ahead(model: ModelConfig) -> ModelConfig:
    """``model`` with one multi-token step, as the golden counts have it (K-EXAONE 2.0 trains four)."""
    multi_token = model.multi_token
    if not isinstance(multi_token, SharedBlock):
        return model
    return replace(model, multi_token=replace(multi_token, num_steps=1))


def _memory_2022(
    name: str,
    width: int,
    layers: int,
    heads: int,
    batch: int,
    tensor: int,
    pipeline: int,
    virtual: int,
    state: float,
    plain: float,
    selective: float,
) -> list[Golden]:
    """GPT models of arXiv 2205.05198: 18 bytes for each of 12 L h^2 parameters, activations by its formulas."""
    held = 12 * layers * width**2 / (tensor * pipeline) * 18 * BYTE
    layout = LayoutConfig(pipeline=pipeline, tensor=tensor, virtual_stages=virtual)
    stash = stages_in_flight(layout) * layers / pipeline
    rows = [Golden(f"{name} of 2022: state", state, held.to(GIB), "GiB")]
    for label, value, is_selective in (("activations", plain, False), ("selective", selective, True)):
        ours = stash * activation_2022(2048, batch, width, heads, tensor, is_selective)
        rows.append(Golden(f"{name} of 2022: {label}", value, ours.to(GIB), "GiB"))
    return rows
