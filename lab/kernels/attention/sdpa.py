"""Torch's fused attention, which never holds the scores of more than a tile."""

from torch import Tensor
from torch.nn import functional

from lab.kernels.attention.mask import AttentionMask
from lab.kernels.precision import product_type


def attention(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, scale: float) -> Tensor:
    """Shapes as in the package. Plainly causal masks let the kernel skip what lies above the diagonal."""
    causal = q.shape[1] > 1 and mask.plainly_causal
    additive = None if causal else mask.additive(product_type(q))
    return fused_attention(q, k, v, additive, scale, causal)


def fused_attention(
    q: Tensor, k: Tensor, v: Tensor, additive: Tensor | None, scale: float, causal: bool = False
) -> Tensor:
    """``[B, Tq, H, d]``, ``[B, Tk, K, d]``, ``[B, Tk, K, e]``, ``[B, 1, Tq, Tk]`` to ``[B, Tq, H, e]``.

    The kernel wants keys and values of one width, so the narrower ones get channels of zeros. For a single
    query a row (decoding) the query heads of a group become rows of one head: each key head is read once.
    """
    heads, value_width = q.shape[2], v.shape[-1]
    dtype = product_type(q)
    width = max(q.shape[-1], value_width)
    q, k, v = (functional.pad(x.to(dtype), (0, width - x.shape[-1])) for x in (q, k, v))
    grouped = heads != k.shape[2]
    if grouped and q.shape[1] == 1:
        q, grouped = q.unflatten(2, (k.shape[2], -1)).squeeze(1), False
    else:
        q = q.transpose(1, 2)
    y = functional.scaled_dot_product_attention(
        q, k.transpose(1, 2), v.transpose(1, 2), additive, is_causal=causal, scale=scale, enable_gqa=grouped
    )
    if y.shape[1] != heads:
        y = y.flatten(1, 2).unsqueeze(2)
    return y.transpose(1, 2)[..., :value_width]
