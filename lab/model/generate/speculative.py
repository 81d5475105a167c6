"""Self-speculative decoding: the multi-token head drafts, the model checks all drafts in one forward pass.

A draft stays where greedy decoding would have chosen the same token (arXiv 2211.17192, at temperature 0), so that the
output is that of greedy decoding; only the number of passes changes. One limit: tokens read together are summed in
another order than one by one, so that of two tokens whose scores differ by rounding alone either may be chosen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lab.errors import ConfigError
from lab.model.context import Context
from lab.model.generate.rows import Rows, at_last_token
from lab.model.sampling import Sampling

if TYPE_CHECKING:
    from lab.model.decoder import Decoder


@dataclass
class Speculation:
    """What speculative decoding came to, summed over rows; reading the prompt is not counted.

    In each of a row's ``passes`` the model checked a number of ``drafted`` tokens, agreed with the first few
    (``accepted``) and added one of its own.
    """

    passes: int = 0
    drafted: int = 0
    accepted: int = 0

    @property
    def acceptance_rate(self) -> float:
        """Accepted drafts over all drafts; nan before the first."""
        return self.accepted / self.drafted if self.drafted else float("nan")

    @property
    def tokens_per_pass(self) -> float:
        """Mean tokens that a forward pass of the model brought, 1 without speculation; nan before the first."""
        return 1 + self.accepted / self.passes if self.passes else float("nan")


class Drafter:
    """Drafts with a multi-token head just as it was trained: step k reads the states that step k - 1 left.

    A draft that was refused has spoilt the states of the steps that read it: those places are read once more.
    Throughout, ``length [B]`` is the number of tokens that the model has read; one more is known.
    """

    def __init__(self, model: "Decoder", batch: int, capacity: int) -> None:
        self._model = model
        self._head = model.multi_token
        self._steps = model.config.multi_token.steps
        self._caches = self._head.new_caches(batch, capacity, revocable=self._steps)
        self._offsets = torch.arange(self._steps + 1, device=model.embedding.weight.device)

    def start(self, hidden: Tensor, positions: Tensor, length: Tensor) -> None:
        """Take the model's hidden states ``[B, T, D]`` of the prompts."""
        self._hidden, self._positions = hidden, positions
        self._recent = _gather(
            hidden, (length.unsqueeze(1) + self._offsets[:-2] + 1 - self._steps).clamp(min=0)
        )

    def draft(self, text: Tensor, length: Tensor) -> None:
        """Write the drafts behind the known tokens of ``text [B, ..]``."""
        context = Context(self._positions, None, self._caches)
        self._caches.extend(self._positions)
        hidden = self._hidden
        for k, cache in enumerate(self._caches.layers, start=1):
            embedded = self._model.embedding(text.gather(1, self._positions + k))
            hidden, _ = self._head.step(hidden, embedded, context, cache)
            drafted = self._model.head(at_last_token(hidden, self._positions)).argmax(-1)
            text.scatter_(1, (length + k).unsqueeze(1), drafted.unsqueeze(1))

    def follow(self, hidden: Tensor, length: Tensor, accepted: Tensor, is_open: Tensor) -> None:
        """Take the model's hidden states ``[B, steps + 1, D]`` of what it checked, ``accepted [B]`` drafts of it."""
        known = torch.cat([self._recent, hidden], dim=1)  # places length - steps + 1 to length + steps
        first = length - self._steps + 1
        sound = torch.minimum(length, first + accepted).clamp(min=0)
        self._caches.shorten(sound)
        places = sound.unsqueeze(1) + self._offsets
        is_new = (places <= (length + accepted).unsqueeze(1)) & is_open.unsqueeze(1)
        self._positions = torch.where(is_new, places, -1)
        self._hidden = _gather(known, (places - first.unsqueeze(1)).clamp(max=known.shape[1] - 1))
        self._recent = _gather(known, accepted.unsqueeze(1) + 1 + self._offsets[:-2])


@torch.no_grad()
def decode_speculatively(model: "Decoder", rows: Rows, speculation: Speculation) -> Iterator[None]:
    """Let ``rows`` grow by one token or more a forward pass; pauses after each, so that rows can be closed."""
    device, batch = model.embedding.weight.device, len(rows.prompts)
    tokens, positions = rows.prompt_tensors(device)
    length = (positions >= 0).sum(dim=1)
    steps = model.config.multi_token.steps
    drafter = Drafter(model, batch, rows.longest + steps)
    caches = model.new_caches(batch, rows.longest + steps, revocable=steps)
    offsets = torch.arange(steps + 1, device=device)
    text = torch.zeros(batch, rows.longest + 2 * steps + 1, dtype=torch.long, device=device)
    text[:, : tokens.shape[1]] = tokens

    hidden = model(tokens, positions=positions, caches=caches).hidden
    caches.settle()
    drafter.start(hidden, positions, length)
    chosen = model.head(at_last_token(hidden, positions)).argmax(-1, keepdim=True)
    text.scatter_(1, length.unsqueeze(1), chosen)
    rows.add(chosen.tolist())
    yield
    while any(rows.is_open):
        is_open = torch.tensor(rows.is_open, device=device)
        drafter.draft(text, length)
        places = length.unsqueeze(1) + offsets
        candidates = text.gather(1, places)
        positions = torch.where(is_open.unsqueeze(1), places, -1)
        hidden = model(candidates, positions=positions, caches=caches).hidden
        best = model.head(hidden).argmax(-1)
        agrees = best[:, :-1] == candidates[:, 1:]
        accepted = agrees.long().cumprod(dim=1).sum(dim=1) * is_open
        caches.shorten(length + accepted + 1)
        drafter.follow(hidden, length, accepted, is_open)
        text.scatter_(1, places + 1, best)
        length = length + (accepted + 1) * is_open

        speculation.passes += sum(rows.is_open)
        speculation.drafted += steps * sum(rows.is_open)
        speculation.accepted += int(accepted.sum())
        rows.add([row[: count + 1] for row, count in zip(best.tolist(), accepted.tolist(), strict=True)])
        yield


def check_speculative(model: "Decoder", sampling: Sampling) -> None:
    """Raise :class:`ConfigError` where drafts cannot be made, or checking them would change the output."""
    if model.multi_token is None:
        raise ConfigError(
            "speculative=true cannot be used: the model has no multi-token head (model.multi_token=none)."
        )
    if not sampling.is_greedy:
        raise ConfigError(
            f"speculative=true cannot be used with temperature={sampling.temperature} and "
            f"repetition_penalty={sampling.repetition_penalty}: it needs temperature=0 and repetition_penalty=1."
        )


def _gather(hidden: Tensor, index: Tensor) -> Tensor:
    """``hidden [B, T, D]`` at ``index [B, N]``."""
    return hidden.gather(1, index.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
