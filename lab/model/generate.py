"""Decoding: from a prompt, one token after the other, with caches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from lab.errors import ConfigError

if TYPE_CHECKING:
    from lab.model.decoder import Decoder


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: ``temperature`` 0 takes the most probable one (greedy)."""

    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ConfigError(
                f"temperature={self.temperature} cannot be used: it must be 0 (greedy) or above."
            )

    def choose(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Next tokens ``[B]`` from ``logits [B, V]``."""
        if self.temperature == 0:
            return logits.argmax(-1)
        probabilities = torch.softmax(logits.float() / self.temperature, dim=-1)
        return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)


@torch.no_grad()
def generate(
    model: "Decoder",
    prompt: Tensor,
    num_new: int,
    sampling: Sampling | None = None,
    end_id: int | None = None,
) -> Tensor:
    """Continue ``prompt [B, T]`` by up to ``num_new`` tokens; returns ``[B, T + new]``.

    Stops early once every row has produced ``end_id``; rows that ended earlier are filled with it. Raises
    :class:`ConfigError` for an empty prompt or one that leaves no room below ``model.max_positions``.
    """
    length, limit = prompt.shape[1], model.config.max_positions
    if length == 0:
        raise ConfigError("prompt='' cannot be used: it must hold at least one token.")
    if length + num_new > limit:
        raise ConfigError(
            f"prompt of {length} tokens and num_new={num_new} cannot be used: together they must stay within "
            f"model.max_positions={limit}."
        )
    sampling = sampling or Sampling()
    generator = torch.Generator(device=prompt.device).manual_seed(sampling.seed)
    caches = model.new_caches(prompt.shape[0], length + num_new)
    tokens, step_input = prompt, prompt
    ended = torch.zeros(prompt.shape[0], dtype=torch.bool, device=prompt.device)
    for _ in range(num_new):
        hidden = model(step_input, caches=caches).hidden[:, -1]
        chosen = sampling.choose(model.head(hidden), generator)
        if end_id is not None:
            chosen = torch.where(ended, end_id, chosen)
            ended |= chosen == end_id
        step_input = chosen.unsqueeze(1)
        tokens = torch.cat([tokens, step_input], dim=1)
        if ended.all():
            break
    return tokens


class TextTokenizer(Protocol):
    """What text generation needs of a tokenizer."""

    @property
    def begin_id(self) -> int: ...

    @property
    def end_id(self) -> int: ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


def generate_text(
    model: "Decoder", tokenizer: TextTokenizer, prompt: str, num_new: int, sampling: Sampling | None = None
) -> str:
    """``prompt`` and its continuation by up to ``num_new`` tokens, up to the end of the document.

    Raises :class:`ConfigError` for an empty prompt, one that is no valid text, or one that is too long.
    """
    if not prompt:
        raise ConfigError("prompt='' cannot be used: it must hold at least one character.")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigError(f"prompt={prompt!r} cannot be used: it must be valid UTF-8.") from error
    device = model.embedding.weight.device
    tokens = torch.tensor([[tokenizer.begin_id, *tokenizer.encode(prompt)]], device=device)
    produced = generate(model, tokens, num_new, sampling, end_id=tokenizer.end_id)[
        0, tokens.shape[1] :
    ].tolist()
    if tokenizer.end_id in produced:
        produced = produced[: produced.index(tokenizer.end_id)]
    return prompt + tokenizer.decode(produced)
