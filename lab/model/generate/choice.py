"""From scores to the next tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lab.model.sampling import Sampling


class Chooser:
    """Chooses the next token of each row, and remembers what each has seen."""

    def __init__(
        self, sampling: Sampling, prompts: Sequence[Sequence[int]], vocab_size: int, device: torch.device
    ) -> None:
        self._sampling = sampling
        self._generators = [torch.Generator().manual_seed(sampling.seed + row) for row in range(len(prompts))]
        self._seen: Tensor | None = None
        if sampling.repetition_penalty != 1:
            self._seen = torch.zeros(len(prompts), vocab_size, dtype=torch.bool, device=device)
            for row, prompt in enumerate(prompts):
                self._seen[row, list(prompt)] = True

    def __call__(self, logits: Tensor) -> Tensor:
        """Next tokens ``[B]`` from ``logits [B, V]``."""
        scores = logits.float()
        if self._seen is not None:
            scores = penalise(scores, self._seen, self._sampling.repetition_penalty)
        if self._sampling.temperature == 0:
            chosen = scores.argmax(-1)
        else:
            chosen = self._draw(restrict(scores, self._sampling)).to(logits.device)
        if self._seen is not None:
            self._seen.scatter_(1, chosen.unsqueeze(1), True)
        return chosen

    def _draw(self, scores: Tensor) -> Tensor:
        """One token a row by its softmax: where its cumulative probability passes a number drawn for the row.

        On the CPU in float64, so that the device changes as little as can be.
        """
        cumulative = torch.softmax(scores.cpu().double(), dim=-1).cumsum(-1)
        drawn = [torch.rand(1, generator=each, dtype=torch.double) for each in self._generators]
        level = torch.stack(drawn) * cumulative[:, -1:]
        return torch.searchsorted(cumulative, level, right=True).squeeze(-1)


def penalise(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """``scores [B, V]`` with those of the tokens in ``seen [B, V]`` made smaller by ``penalty`` (CTRL)."""
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def restrict(scores: Tensor, sampling: Sampling) -> Tensor:
    """``scores [B, V]`` over the temperature, minus infinity where a token cannot be drawn."""
    scores = scores / sampling.temperature
    if 0 < sampling.top_k < scores.shape[-1]:
        least = scores.topk(sampling.top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if sampling.top_p < 1:
        ascending, order = scores.sort(dim=-1)
        beyond = ascending.softmax(-1).cumsum(-1) <= 1 - sampling.top_p
        beyond[:, -1] = False
        scores = scores.masked_fill(torch.zeros_like(beyond).scatter(1, order, beyond), -torch.inf)
    if sampling.min_p > 0:
        probabilities = scores.softmax(-1)
        best = probabilities.amax(-1, keepdim=True)
        scores = scores.masked_fill(probabilities < sampling.min_p * best, -torch.inf)
    return scores
