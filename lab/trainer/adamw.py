"""AdamW with its state by parameter name; the arithmetic is torch's fused kernel."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.trainer.config import AdamWConfig
from lab.trainer.groups import Kind, is_decayed


@dataclass
class Moments:
    """What AdamW remembers of a parameter: means of the gradient and of its square, number of steps."""

    exp_avg: Tensor
    exp_avg_sq: Tensor
    step: Tensor


class AdamW:
    """AdamW (arXiv 1711.05101) over named parameters; those that are no vectors are decayed.

    The kernel behind ``torch.optim.AdamW(fused=True)`` is called directly: that class imports torch's
    compiler, which takes seconds, and keeps its state by number.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], kinds: Mapping[str, Kind], config: AdamWConfig
    ) -> None:
        self.parameters = dict(parameters)
        self.learning_rate = config.learning_rate
        self.config = config
        self._moments = {
            name: Moments(torch.zeros_like(p), torch.zeros_like(p), torch.zeros((), device=p.device))
            for name, p in parameters.items()
        }
        decayed = [name for name, p in parameters.items() if is_decayed(p, kinds[name])]
        others = [name for name in parameters if name not in set(decayed)]
        self._groups = ((decayed, config.weight_decay), (others, 0.0))

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Move every parameter that has a gradient, with ``factor`` times the peak learning rate."""
        for names, weight_decay in self._groups:
            active = [name for name in names if self.parameters[name].grad is not None]
            moments = [self._moments[name] for name in active]
            if not active:
                continue
            torch._foreach_add_([m.step for m in moments], 1)
            torch._fused_adamw_(
                [self.parameters[name] for name in active],
                [gradient for name in active if (gradient := self.parameters[name].grad) is not None],
                [m.exp_avg for m in moments],
                [m.exp_avg_sq for m in moments],
                [],
                [m.step for m in moments],
                lr=factor * self.learning_rate,
                beta1=self.config.betas[0],
                beta2=self.config.betas[1],
                weight_decay=weight_decay,
                eps=self.config.eps,
                amsgrad=False,
                maximize=False,
            )

    def state_tensors(self) -> dict[str, Tensor]:
        """``<parameter>/exp_avg``, ``/exp_avg_sq`` and ``/step`` of every parameter."""
        return {f"{name}/{key}": value for name, m in self._moments.items() for key, value in vars(m).items()}

    def state_bytes(self) -> int:
        """Bytes of the state: two numbers for each of the parameters'."""
        return sum(2 * p.numel() * p.element_size() for p in self.parameters.values())
