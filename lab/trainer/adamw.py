"""AdamW with its state by parameter name; the arithmetic is torch's fused kernel."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lab.trainer.config import AdamWConfig
from lab.trainer.groups import Kind, is_decayed

STATE = ("exp_avg", "exp_avg_sq", "step")


class AdamW:
    """AdamW (arXiv 1711.05101) over named parameters; those that are no vectors are decayed."""

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], kinds: Mapping[str, Kind], config: AdamWConfig
    ) -> None:
        self.parameters = dict(parameters)
        self.learning_rate = config.learning_rate
        decayed = [p for name, p in parameters.items() if is_decayed(p, kinds[name])]
        others = [p for name, p in parameters.items() if not is_decayed(p, kinds[name])]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        self._torch = torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            betas=(config.betas[0], config.betas[1]),
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,
        )

    def step(self, factor: float) -> None:
        """Move every parameter that has a gradient, with ``factor`` times the peak learning rate."""
        for group in self._torch.param_groups:
            group["lr"] = factor * self.learning_rate
        self._torch.step()

    def state_tensors(self) -> dict[str, Tensor]:
        """``<parameter>/exp_avg``, ``/exp_avg_sq`` and ``/step`` of every parameter that has moved."""
        return {
            f"{name}/{key}": value
            for name, parameter in self.parameters.items()
            for key, value in self._torch.state[parameter].items()
        }

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over copies of what :meth:`state_tensors` gave."""
        for name, parameter in self.parameters.items():
            if f"{name}/step" in tensors:
                state = {key: tensors[f"{name}/{key}"].to(parameter.device, copy=True) for key in STATE}
                self._torch.state[parameter] = state

    def state_bytes(self) -> int:
        """Bytes of the state once every parameter has moved: two numbers for each of theirs."""
        return sum(2 * p.numel() * p.element_size() for p in self.parameters.values())
