"""A batch of texts that grow together."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from lab.errors import ConfigError
from lab.model.config import ModelConfig


class Rows:
    """What each row of a batch has produced, and which rows still go on; prompts may differ in length.

    A row ends after one of ``end_ids``, which it keeps, after ``num_new`` tokens, or when it is closed. Raises
    :class:`ConfigError` for an empty prompt, one with unknown tokens, or one that leaves no room below
    ``model.max_positions``.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        num_new: int,
        end_ids: Collection[int],
        config: ModelConfig,
    ) -> None:
        check_prompts(prompts, num_new, config)
        self.prompts = [list(prompt) for prompt in prompts]
        self.produced: list[list[int]] = [[] for _ in prompts]
        self.is_open = [True] * len(prompts)
        self.longest = max(len(prompt) for prompt in prompts) + num_new
        """Tokens of the longest row when it is full."""
        self._num_new, self._end_ids = num_new, frozenset(end_ids)

    def add(self, tokens: Sequence[Sequence[int]]) -> None:
        """Append some tokens to each row, as far as it goes on."""
        for row, produced in enumerate(self.produced):
            for token in tokens[row]:
                if self.is_open[row]:
                    produced.append(token)
                    self.is_open[row] = token not in self._end_ids and len(produced) < self._num_new

    def close(self, row: int) -> None:
        """End a row here."""
        self.is_open[row] = False

    def prompt_tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Tokens and positions of the prompts, ``[B, T]``; shorter ones are padded at their end (position -1)."""
        length = max(len(prompt) for prompt in self.prompts)
        tokens = [prompt + [0] * (length - len(prompt)) for prompt in self.prompts]
        positions = [[*range(len(prompt)), *[-1] * (length - len(prompt))] for prompt in self.prompts]
        return torch.tensor(tokens, device=device), torch.tensor(positions, device=device)

    def last_positions(self, device: torch.device) -> Tensor:
        """Position of each row's newest token, ``[B, 1]``."""
        lengths = [len(prompt) + len(new) for prompt, new in zip(self.prompts, self.produced, strict=True)]
        return torch.tensor(lengths, device=device).unsqueeze(1) - 1


def check_prompts(prompts: Sequence[Sequence[int]], num_new: int, config: ModelConfig) -> None:
    """Raise :class:`ConfigError` for what cannot be continued."""
    if num_new < 1:
        raise ConfigError(f"new_tokens={num_new} cannot be used: it must be at least 1.")
    if not prompts:
        raise ConfigError("prompt=[] cannot be used: there must be at least one.")
    for prompt in prompts:
        if not prompt:
            raise ConfigError("prompt='' cannot be used: it must hold at least one token.")
        unknown = [token for token in prompt if not 0 <= token < config.vocab_size]
        if unknown:
            raise ConfigError(
                f"prompt with token {unknown[0]} cannot be used: tokens lie below "
                f"model.vocab_size={config.vocab_size}."
            )
        if len(prompt) + num_new > config.max_positions:
            raise ConfigError(
                f"prompt of {len(prompt)} tokens with new_tokens={num_new} cannot be used: together they must stay "
                f"within model.max_positions={config.max_positions}."
            )


def at_last_token(hidden: Tensor, positions: Tensor) -> Tensor:
    """``hidden [B, T, D]`` at the last token of each row, ``[B, D]``; ``positions [B, T]``, padded at the end."""
    if hidden.shape[1] == 1:
        return hidden[:, 0]
    last = (positions >= 0).sum(dim=1).sub(1).clamp(min=0)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]
