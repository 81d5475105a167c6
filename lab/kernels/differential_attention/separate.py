"""Attention of signal and noise by the attention operator, then the difference of what they read."""

from torch import Tensor

from lab.kernels.attention import AttentionMask, attention


def differential_attention(
    q: Tensor, k: Tensor, v: Tensor, noise_weight: Tensor, mask: AttentionMask, scale: float
) -> Tensor:
    """Shapes as in the package. Where signal and noise share their keys, one call attends for both."""
    if k.shape[3] == 1:
        heads = attention(q.flatten(2, 3), k[:, :, :, 0], v, mask, scale).unflatten(2, q.shape[2:4])
        signal, noise = heads[:, :, :, :-1], heads[:, :, :, -1:]
    else:
        signal = attention(q[:, :, :, :-1].flatten(2, 3), k[:, :, :, 0], v, mask, scale)
        noise = attention(q[:, :, :, -1], k[:, :, :, 1], v, mask, scale).unsqueeze(3)
        signal = signal.unflatten(2, (q.shape[2], -1))
    return signal - noise_weight.to(signal.dtype) * noise
