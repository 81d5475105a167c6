"""What the twins of models that transformers does not have are made of.

A twin reads the tensors of a released folder by the names they have on disk and computes in float64 with
loops and dense masks; it shares no code with the decoder.
"""

import copy
import random
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from lab.config import compose
from lab.model.checkpoint.writer import export_released
from lab.model.context import Context
from lab.model.decoder import Decoder

LENGTH = 23
ROUNDING = 1e-6
"""Of gradients that vanish but for an epsilon: the first gates of equal streams scale what a norm undoes."""
SIZES = [
    "scale.width=32",
    "scale.layers=5",
    "scale.vocab_size=512",
    "scale.window=6",
    "scale.differential_groups=2",
    "scale.differential_head_dim=8",
    "scale.dense_width=40",
    "scale.experts=6",
    "scale.top_k=2",
    "scale.expert_width=12",
    "scale.original_positions=16",
]


SEEDS = (0, 2, 5)
"""Of :func:`some_sizes`; with 0 all is as ``SIZES`` say. Rounding leaves these room below the limit."""


def some_sizes(seed: int) -> list[str]:
    """Overrides that draw other sizes, odd ones among them.

    Heads have at least 10 channels: with fewer the delta rule amplifies rounding so much that even the twin, computed
    in float32, is 1e-4 away from itself in float64.
    """
    if seed == 0:
        return []
    draw = random.Random(seed)
    kv_heads, experts = draw.choice([1, 2, 3]), draw.choice([3, 5, 7])
    sizes = {
        "width": draw.choice([24, 35, 44]),
        "kv_heads": kv_heads,
        "heads": kv_heads * draw.choice([1, 2, 3]),
        "head_dim": draw.choice([10, 14, 18]),
        "query_rank": draw.choice([7, 20]),
        "latent_rank": draw.choice([5, 12]),
        "nope_dim": draw.choice([3, 8]),
        "rope_dim": draw.choice([2, 6]),
        "value_dim": draw.choice([5, 9]),
        "differential_groups": draw.choice([1, 3]),
        "differential_head_dim": draw.choice([4, 6, 10]),
        "dense_width": draw.choice([21, 40]),
        "experts": experts,
        "top_k": draw.randint(1, experts),
        "expert_width": draw.choice([5, 12]),
        "shared_experts": draw.choice([1, 2]),
    }
    return [f"scale.{name}={size}" for name, size in sizes.items()]


class Tensors:
    """The tensors of a folder below a prefix, in float64."""

    def __init__(self, tensors: dict[str, Tensor], prefix: str = "") -> None:
        self.tensors, self.prefix = tensors, prefix

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[self.prefix + name]

    def at(self, name: str) -> "Tensors":
        return Tensors(self.tensors, f"{self.prefix}{name}.")

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self[f"{name}.weight"].T


def made(name: str, tmp_path: Path, *overrides: str) -> tuple[Decoder, Tensors]:
    """A model of random weights and what its released folder holds."""
    model = Decoder(compose([f"model={name}", *SIZES, *overrides]).model).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            noise = torch.randn(tensor.shape, generator=generator)
            if tensor.ndim > 1:
                tensor.copy_(1.3 * noise * tensor.shape[-1] ** -0.5)
            else:
                tensor.copy_(1 + 0.3 * noise if "norm" in key else 0.5 * noise)
    return model, Tensors(stored(model, tmp_path / name))


def stored(model: Decoder, folder: Path) -> dict[str, Tensor]:
    """What a released folder of ``model`` holds, in float64, ready for gradients."""
    export_released(model, folder, dtype=torch.float32)
    tensors = load_file(folder / "model.safetensors")
    return {name: tensor.double().requires_grad_() for name, tensor in tensors.items()}


def require_same_gradients(
    model: Decoder, twin: Tensors, tokens: Tensor, logits: Tensor, folder: Path
) -> None:
    """Gradients of the next-token loss, ours and those of the twin whose ``logits [T, V]`` are given.

    Ours go through the released format as weights do. Every tensor must agree to 1e-3 of its largest value.
    """
    targets = tokens.roll(-1)
    functional.cross_entropy(logits, targets).backward()
    model.zero_grad()
    functional.cross_entropy(model.logits(tokens[None])[0], targets).backward()
    holder = copy.deepcopy(model)
    with torch.no_grad():
        for ours, parameter in zip(holder.parameters(), model.parameters(), strict=True):
            ours.copy_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
    compared = 0
    for name, gradient in stored(holder, folder).items():
        expected = twin.tensors[name].grad
        if expected is None:  # an expert that nobody chose, the multi-token block, or a selection bias
            assert name.endswith(("expert_bias", "correction_bias")) or not gradient.any(), name
            continue
        allowed = 1e-3 * expected.abs().max() + ROUNDING
        difference = (gradient - expected).abs().max()
        assert difference <= allowed, f"{name}: {difference:.1e} where {allowed:.1e} is allowed"
        compared += 1
    assert compared > len(twin.tensors) // 2


def some_tokens() -> Tensor:
    return torch.randint(0, 512, (LENGTH,), generator=torch.Generator().manual_seed(1))


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return weight * x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def rope(x: Tensor, frequencies: list[float]) -> Tensor:
    """Half-split rotation of ``x [T, .., d]`` at positions 0, 1, 2, ..."""
    angle = (torch.arange(len(x)).float()[:, None] * torch.tensor(frequencies)).double()
    angle = angle.view(len(x), *[1] * (x.ndim - 2), -1)
    first, second = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def plain_frequencies(base: float, dim: int) -> list[float]:
    return [base ** (-2 * i / dim) for i in range(dim // 2)]


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None = None) -> Tensor:
    """One head: ``[T, d], [T, d], [T, e] -> [T, e]``."""
    distance = torch.arange(len(q))[:, None] - torch.arange(len(k))
    seen = (distance >= 0) & (distance < (window or len(k)))
    return torch.softmax((q @ k.T * scale).masked_fill(~seen, -torch.inf), dim=-1) @ v


def poly_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    def normed(z: Tensor) -> Tensor:
        return z / (z.square().mean(-1, keepdim=True) + 1e-6).sqrt()

    return weight[0] * normed(x**3) + weight[1] * normed(x**2) + weight[2] * normed(x) + bias


def swiglu(at: Tensors, x: Tensor) -> Tensor:
    gate = at.linear("gate_proj", x)
    return at.linear("down_proj", gate * torch.sigmoid(gate) * at.linear("up_proj", x))


def one_step_further(model: Decoder, tokens: Tensor) -> Tensor:
    """The multi-token block's hidden state for a row of tokens."""
    context = Context(torch.arange(LENGTH)[None], None)
    hidden = model(tokens[None]).hidden
    return model.multi_token.step(hidden, model.embedding(tokens.roll(-1))[None], context)[0][0].double()
