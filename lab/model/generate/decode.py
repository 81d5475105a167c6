"""Decoding: from prompts, one token a row after the other, with caches."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lab.model.generate.choice import Chooser
from lab.model.generate.rows import Rows, at_last_token
from lab.model.generate.speculative import Speculation, check_speculative, decode_speculatively
from lab.model.sampling import Sampling

if TYPE_CHECKING:
    from lab.model.decoder import Decoder


def decode(
    model: "Decoder", rows: Rows, sampling: Sampling, speculation: Speculation | None = None
) -> Iterator[None]:
    """Let ``rows`` grow until all have ended; pauses after each forward pass, so that rows can be closed.

    With ``speculation`` the model's multi-token head drafts, and the counts are added there. Raises
    :class:`ConfigError` where that cannot be done.
    """
    if speculation is None:
        return _decode(model, rows, sampling)
    check_speculative(model, sampling)
    return decode_speculatively(model, rows, speculation)


@torch.no_grad()
def _decode(model: "Decoder", rows: Rows, sampling: Sampling) -> Iterator[None]:
    device = model.embedding.weight.device
    tokens, positions = rows.prompt_tensors(device)
    caches = model.new_caches(len(rows.prompts), rows.longest)
    choose = Chooser(sampling, rows.prompts, model.config.vocab_size, device)
    while any(rows.is_open):
        hidden = model(tokens, positions=positions, caches=caches).hidden
        tokens = choose(model.head(at_last_token(hidden, positions))).unsqueeze(1)
        rows.add(tokens.tolist())
        positions = rows.last_positions(device)
        yield


def continuations(
    model: "Decoder",
    prompts: Sequence[Sequence[int]],
    num_new: int,
    sampling: Sampling | None = None,
    end_ids: Collection[int] = (),
    speculation: Speculation | None = None,
) -> list[list[int]]:
    """What follows each of ``prompts``, which may differ in length: up to ``num_new`` tokens a row.

    A row ends with the first of ``end_ids`` that it produces. The other arguments are those of :func:`decode`, the
    errors those of :class:`Rows` as well.
    """
    rows = Rows(prompts, num_new, end_ids, model.config)
    for _ in decode(model, rows, sampling or Sampling(), speculation):
        pass
    return rows.produced


def generate(
    model: "Decoder",
    prompt: Tensor,
    num_new: int,
    sampling: Sampling | None = None,
    end_id: int | None = None,
    speculation: Speculation | None = None,
) -> Tensor:
    """Continue ``prompt [B, T]`` by up to ``num_new`` tokens; returns ``[B, T + new]``.

    Stops early once every row has produced ``end_id``; rows that ended earlier are filled with it. See
    :func:`continuations` for the rest, and for prompts of different lengths.
    """
    end_ids = () if end_id is None else (end_id,)
    produced = continuations(model, prompt.tolist(), num_new, sampling, end_ids, speculation)
    longest = max(len(row) for row in produced)
    filled = [row + row[-1:] * (longest - len(row)) for row in produced]
    return torch.cat([prompt, torch.tensor(filled, device=prompt.device)], dim=1)
