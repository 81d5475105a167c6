"""Blocks whose activations are made again in the backward pass instead of being kept until then."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lab.kernels.bfloat16 import same_arithmetic
from lab.model.cache import Cache
from lab.model.context import Context
from lab.model.record import Record


def apply_block(block: nn.Module, x: Tensor, context: Context, cache: Cache | None) -> tuple[Tensor, Record]:
    """``block(x, context, cache)``; with ``context.recomputes_blocks`` only ``x`` is kept (arXiv 1604.06174).

    The backward pass runs the block once more, in the same arithmetic, and throws away what it records, so that loads
    and losses count once. No block draws random numbers, so no generator's state is kept.
    """
    if not context.recomputes_blocks:
        kept: tuple[Tensor, Record] = block(x, context, cache)
        return kept
    again = same_arithmetic()

    def contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), again

    result: tuple[Tensor, Record] = checkpoint(
        block, x, context, cache, use_reentrant=False, preserve_rng_state=False, context_fn=contexts
    )
    return result
