"""Muon: momentum whose matrices are made (nearly) orthogonal before they are added to the weights.

Of the momentum ``M = U S V^T`` only ``U V^T`` is used, so that every direction of a matrix moves equally far (Jordan et
al. 2024, "Muon: An optimizer for hidden layers in neural networks"; :mod:`lab.kernels.newton_schulz`). An update of
``[rows, columns]`` is scaled by ``0.2 sqrt(max(rows, columns))``, which gives it the root mean square of an AdamW
update, so that learning rate and weight decay carry over (Liu et al. 2025, arXiv 2502.16982, section 2.2; Motif's
released optimiser does the same).
"""

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lab.kernels.newton_schulz import choose_path, cpp, newton_schulz
from lab.trainer.config import MuonConfig
from lab.trainer.groups import FUSED_HALVES, Kind, is_decayed

UPDATE_SIZE = 0.2
"""Root mean square of an AdamW update in training, as measured in arXiv 2502.16982."""

CPU_STACK_ELEMENTS, GPU_STACK_ELEMENTS = 2**21, 2**27
"""Elements orthogonalised at once: on a CPU what its caches hold, on a GPU what its memory can spare."""


class Muon:
    """Muon over matrices ``[rows, columns]`` and expert stacks ``[E, rows, columns]``.

    Every expert is a matrix of its own, and so are the gate and up halves of a stack that stores them as one:
    how maps are stored must not change how they learn. Matrices of one shape, whichever way round and in
    whatever layer, go through one batched iteration.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], config: MuonConfig) -> None:
        self.parameters = dict(parameters)
        self.learning_rate = config.learning_rate
        self.config = config
        self._momenta = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self._groups: dict[torch.Size, list[str]] = defaultdict(list)
        for name, parameter in self.parameters.items():
            self._groups[as_stack(name, parameter).shape[1:]].append(name)

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Move every parameter that has a gradient, with ``factor`` times the peak learning rate."""
        active = {name: p for name, p in self.parameters.items() if p.grad is not None}
        if not active:
            return
        stacks = [as_matrices(name, parameter) for name, parameter in active.items()]
        if choose_path(stacks, self.config.newton_schulz_precision) == "cpp":
            self._step_at_once(active, factor * self.learning_rate)
        else:
            self._step_by_shape(active, factor * self.learning_rate)

    def _step_at_once(self, active: Mapping[str, nn.Parameter], learning_rate: float) -> None:
        """Momentum, orthogonalisation and movement of a matrix while the cache holds it."""
        moves = []
        for name, parameter in active.items():
            assert parameter.grad is not None
            gradient, momentum = parameter.grad.contiguous(), self._momenta[name]
            weight, gradient, momentum = (as_matrices(name, t) for t in (parameter, gradient, momentum))
            keep = 1 - learning_rate * self.config.weight_decay if is_decayed(parameter, Kind.MATRIX) else 1.0
            moves.append(
                cpp.Move(weight, gradient, momentum, keep, learning_rate * update_size(weight.shape))
            )
        cpp.update(moves, self.config.newton_schulz_steps, self.config.momentum, self.config.nesterov)

    def _step_by_shape(self, active: Mapping[str, nn.Parameter], learning_rate: float) -> None:
        """All parameters through one part of the step after the other, matrices of a shape together."""
        self._decay(active, 1 - learning_rate * self.config.weight_decay)
        updates = self._updates(active)
        for shape, names in self._groups.items():
            stacks = {name: as_stack(name, updates[name]) for name in names if name in active}
            if not stacks:
                continue
            orthogonal = self._orthogonalise(torch.cat(list(stacks.values())))
            torch._foreach_add_(
                [as_stack(name, active[name]) for name in stacks],
                orthogonal.split([stack.shape[0] for stack in stacks.values()]),
                alpha=-learning_rate * update_size(shape),
            )

    def state_tensors(self) -> dict[str, Tensor]:
        """``<parameter>/momentum``, the running mean of the gradient."""
        return {f"{name}/momentum": momentum for name, momentum in self._momenta.items()}

    def state_bytes(self) -> int:
        """Bytes of the state: one number for each of the parameters'."""
        return sum(p.numel() * p.element_size() for p in self.parameters.values())

    def _decay(self, active: Mapping[str, nn.Parameter], factor: float) -> None:
        decayed: list[Tensor] = [p for p in active.values() if is_decayed(p, Kind.MATRIX)]
        if decayed and factor != 1:
            torch._foreach_mul_(decayed, factor)

    def _updates(self, active: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
        """The running mean of the gradient, or where it will be one step on (Nesterov), by name."""
        gradients = [p.grad for p in active.values() if p.grad is not None]
        momenta = [self._momenta[name] for name in active]
        torch._foreach_lerp_(momenta, gradients, 1 - self.config.momentum)
        if self.config.nesterov:
            momenta = list(torch._foreach_lerp(gradients, momenta, self.config.momentum))
        return dict(zip(active, momenta, strict=True))

    def _orthogonalise(self, stack: Tensor) -> Tensor:
        """:func:`newton_schulz` over parts of the stack that fit into fast memory."""
        elements = CPU_STACK_ELEMENTS if stack.device.type == "cpu" else GPU_STACK_ELEMENTS
        at_once = max(1, elements // stack[0].numel())
        steps, precision = self.config.newton_schulz_steps, self.config.newton_schulz_precision
        return torch.cat([newton_schulz(part, steps, precision) for part in stack.split(at_once)])


def update_size(shape: torch.Size) -> float:
    """What an orthogonal update of ``[..., rows, columns]`` is multiplied by beside the learning rate."""
    return UPDATE_SIZE * max(shape[-2:]) ** 0.5


def as_matrices(name: str, tensor: Tensor) -> Tensor:
    """A view of a parameter, its gradient or its momentum as matrices ``[n, rows, columns]``."""
    matrices = tensor.unsqueeze(0) if tensor.ndim == 2 else tensor
    if name.rsplit(".", 1)[-1] in FUSED_HALVES:
        matrices = matrices.unflatten(1, (2, -1)).flatten(0, 1)
    return matrices


def as_stack(name: str, tensor: Tensor) -> Tensor:
    """:func:`as_matrices`, turned so that ``rows <= columns``."""
    matrices = as_matrices(name, tensor)
    return matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices
