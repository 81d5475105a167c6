"""The learning rate over a run: warm-up, constant, decay (WSD, arXiv 2404.06395, section 4)."""

import math

from lab.trainer.config import ScheduleConfig


class Schedule:
    """Multiples of the peak learning rate for the steps 0 to ``steps - 1`` of a run."""

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        if config.warmup_steps is not None:
            self.warmup_steps = config.warmup_steps
        else:
            assert config.warmup_fraction is not None
            self.warmup_steps = round(config.warmup_fraction * steps)
        self.decay_steps = round(config.decay_fraction * steps)
        self.steps = steps
        self.shape = config.decay_shape
        self.final_fraction = config.final_fraction

    def factor(self, step: int) -> float:
        """The multiple at ``step``: ``1 / warmup_steps`` at the first, ``final_fraction`` at the last.

        Where a long warm-up meets the decay, the smaller of the two counts.
        """
        return min(self._warmup(step), self._decay(step))

    def _warmup(self, step: int) -> float:
        return min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0

    def _decay(self, step: int) -> float:
        """With u from 0 to 1 over the decay and f the final fraction:

        linear ``1 - (1 - f) u``, cosine ``f + (1 - f)(1 + cos(pi u)) / 2``, inverse square root ``1 / sqrt(1
        + (1 / f^2 - 1) u)``, whose clock starts at the decay: a plain ``1 / sqrt(step)`` over the last fifth
        of a run would only fall to 0.89 and not to Motif's 0.25.
        """
        into = step + 1 - (self.steps - self.decay_steps)
        if into <= 0:
            return 1.0
        u, final = into / self.decay_steps, self.final_fraction
        if self.shape == "linear":
            return 1 - (1 - final) * u
        if self.shape == "cosine":
            return final + (1 - final) * (1 + math.cos(math.pi * u)) / 2
        return 1 / math.sqrt(1 + (1 / final**2 - 1) * u)
