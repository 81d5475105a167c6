"""One optimiser for a whole model, whatever it is made of, with its state by parameter name."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lab.model.decoder import Decoder
from lab.trainer.adamw import AdamW
from lab.trainer.config import AdamWConfig, MuonConfig, OptimizerConfig
from lab.trainer.groups import Kind, parameter_kinds
from lab.trainer.muon import Muon


class Optimizer:
    """Parts that each move parameters of their own, as one; build it with :func:`build_optimizer`.

    ``learning_rate`` is the peak that is logged: with Muon that of the matrices.
    """

    def __init__(self, parts: Sequence[AdamW | Muon], learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._parts = parts

    def step(self, factor: float) -> None:
        """Move every parameter that has a gradient, with ``factor`` times the peak learning rates."""
        for part in self._parts:
            part.step(factor)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def parameters(self) -> list[nn.Parameter]:
        """Everything this optimiser moves."""
        return [parameter for part in self._parts for parameter in part.parameters.values()]

    def state_tensors(self) -> dict[str, Tensor]:
        """The state as ``<parameter>/exp_avg``, ``/exp_avg_sq``, ``/step`` and ``<parameter>/momentum``."""
        return {name: tensor for part in self._parts for name, tensor in part.state_tensors().items()}

    @torch.no_grad()
    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state_tensors` gave; raises KeyError where a name is missing."""
        for name, tensor in self.state_tensors().items():
            tensor.copy_(tensors[name])

    def state_bytes(self) -> int:
        """Bytes of the state, step counts aside."""
        return sum(part.state_bytes() for part in self._parts)


def build_optimizer(model: Decoder, config: OptimizerConfig) -> Optimizer:
    """The optimiser of ``config`` over everything in ``model`` that is trained, by :mod:`groups`."""
    kinds = parameter_kinds(model)
    parameters = {name: parameter for name, parameter in model.named_parameters() if name in kinds}
    if isinstance(config, MuonConfig):
        matrices = {name: p for name, p in parameters.items() if kinds[name] is Kind.MATRIX}
        rest = {name: p for name, p in parameters.items() if name not in matrices}
        return Optimizer([AdamW(rest, kinds, config.adamw), Muon(matrices, config)], config.learning_rate)
    assert isinstance(config, AdamWConfig)
    return Optimizer([AdamW(parameters, kinds, config)], config.learning_rate)
