"""Numbers that a step saves for its backward pass with this laboratory's kernels and nothing computed again.

Everything is for one token, in words of the element (four bytes in fp32; an index of eight bytes counts as two, a
boolean as a quarter). Read off the forward passes of ``lab.model`` and ``lab.kernels``; a test counts what autograd
really keeps. A tensor is counted where it is kept first: the input of a matrix belongs to the mixer or feed-forward
that has the matrix, the input of a norm to the join. Fused production kernels keep less:
:func:`lab.planner.memory.activation_elements`.

``in_cpp`` is for float32 on a CPU with a C++ compiler, where attention neither pads nor copies nor makes a mask, and
experts neither gather rows nor keep their outputs. The order of an expert's rows, three integers each, is not counted.
"""

from lab.model.config import ModelConfig
from lab.model.leaves.attention import (
    GroupedQueryGated,
    LatentMixer,
    MixerConfig,
)
from lab.model.leaves.feed_forward import ClampedSwiGLU, FeedForwardConfig, PolyNorm
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.linear_attention import KimiDelta
from lab.model.leaves.multi_token import HiddenFirstBlock, SharedBlock
from lab.model.leaves.norm import GatedRms, NormConfig, Rms
from lab.model.leaves.residual import DualNorm, HyperConnections, ResidualConfig
from lab.model.leaves.router import SigmoidRouter
from lab.model.leaves.sparse_latent import SparseLatent
from lab.model.size import feed_forward_site
from lab.planner.saved_in_mixers import (
    INDEX,
    convolution_saves,
    indexer_saves,
    kimi_delta_saves,
    mask_saves,
    mixer_saves,
)


def saved_in_layer(model: ModelConfig, layer: LayerPlan, sequence: int, in_cpp: bool) -> float:
    """One layer at sequences of ``sequence`` tokens: two joins, the mixer, the feed-forward."""
    width, unit, router = model.width, model.feed_forward, model.router
    joins = sum(
        _join(model.residual, model.norm, width, site) for site in ("attention", feed_forward_site(layer))
    )
    total = joins + mixer_saves(model.mixer(layer), width, layer.window, sequence, in_cpp)
    clamped = isinstance(unit, ClampedSwiGLU) and layer.index >= layer.depth - unit.clamped_layers
    if not layer.sparse:
        return total + width + _unit(unit, unit.width, clamped)
    assert isinstance(router, SigmoidRouter)
    return total + _experts(router, unit, width, clamped, in_cpp)


def float32_in_layer(model: ModelConfig, layer: LayerPlan, sequence: int) -> float:
    """Numbers of which two bytes more are kept where products are cast to bf16 (``trainer.precision=bfloat16``).

    Those that stay in float32: the residual stream and its norms, routing and two of an expert's three rows, the
    recurrence of Kimi delta, the indexer. The router has a float32 copy of its input to itself (two numbers of two
    bytes), and every matrix its own cast of an input that several share.
    """
    width, router, mixer = model.width, model.router, model.mixer(layer)
    total = sum(
        _join(model.residual, model.norm, width, site) for site in ("attention", feed_forward_site(layer))
    )
    total += width * (_matrices(mixer) - 1) + width  # of the mixer; of gate and up in the feed-forward
    if isinstance(mixer, KimiDelta):
        total += kimi_delta_saves(mixer) - convolution_saves(mixer)
    if isinstance(mixer, SparseLatent):
        total += indexer_saves(mixer, sequence)
    if layer.sparse:
        assert isinstance(router, SigmoidRouter)
        total += 2 * width + _routing(router) + router.top_k * (2 * INDEX + 1 + 2 * width)
    return total


def _matrices(mixer: MixerConfig) -> int:
    """Matrices that read a mixer's normed input: of queries, keys and values or latents, and of gates."""
    if isinstance(mixer, LatentMixer):
        return 2
    return 4 if isinstance(mixer, GroupedQueryGated) else 3


def saved_outside_layers(model: ModelConfig, sequence: int, in_cpp: bool) -> float:
    """Shared masks and rotations, the final norm, the head's gradient of its input, multi-token steps."""
    width, plan, multi = model.width, model.plan(), model.multi_token
    # token indices; the final norm's input and one number; the gradient that the fused head makes at once
    total = INDEX + (width + 1) + width
    windows = {layer.window for layer in plan if layer.mixer != "linear"}
    rotations = {layer.rotation for layer in plan if layer.mixer != "linear"}
    if isinstance(multi, SharedBlock):
        windows.add(multi.window)
        rotations.add(model.position.rotation(is_local=True))
        total += multi.num_steps * _multi_token_step(model, multi, sequence, in_cpp)
    if not isinstance(model.attention, SparseLatent):  # whose masks are each layer's own
        total += sum(mask_saves(window, sequence, in_cpp) for window in windows)
    rotated: int = getattr(model.attention, "rope_dim", 0) or getattr(model.attention, "head_dim", 0)
    return total + rotated * len(rotations - {None})  # cosines and sines of half the channels each


def cast_outside_layers(model: ModelConfig, sequence: int) -> float:
    """Of the numbers outside the layers, those that products in bf16 cast: a multi-token step's mixer, feed-forward and
    matrices' inputs, less what every matrix keeps to itself of an input that several share."""
    multi, unit, width = model.multi_token, model.feed_forward, model.width
    if not isinstance(multi, SharedBlock):
        return 0.0
    kept = (
        3 * width
        + mixer_saves(model.attention, width, multi.window, sequence, False)
        + _unit(unit, unit.width)
    )
    return multi.num_steps * (kept - width * _matrices(model.attention))


def _multi_token_step(model: ModelConfig, multi: SharedBlock, sequence: int, in_cpp: bool) -> float:
    """A step of the plain pre-norm block: each keeps everything again, for the block is applied anew."""
    width, unit, plain = model.width, model.feed_forward, Rms("rms", model.norm.eps)
    normed_inputs = 1 if isinstance(multi, HiddenFirstBlock) else 2
    norms = normed_inputs + 3  # the embedding's (and the hidden state's), two joins, the last one
    matrix_inputs = 2 * width + width  # of the input projection and of the feed-forward
    return (
        norms * _norm(plain, width, "final")
        + matrix_inputs
        + mixer_saves(model.attention, width, multi.window, sequence, in_cpp)
        + _unit(unit, unit.width)
        + INDEX
        + width  # the head's gradient of its input
    )


def _join(residual: ResidualConfig, norm: NormConfig, width: int, site: str) -> float:
    total = _norm(norm, width, site)
    if isinstance(residual, DualNorm) and site == "experts":
        return total + _norm(norm, width, "inner")
    if not isinstance(residual, HyperConnections):
        return total
    s = residual.streams
    coefficients = s * (2 + s)
    streams = 2 * s * width + 1  # as they are and normed, and the norm's one number
    gates = 2 * coefficients + 3 * s  # before and after scale and bias; three sigmoids
    sinkhorn = s * s  # its logits
    return total + streams + gates + sinkhorn + width  # and what the branch returned


def _norm(norm: NormConfig, width: int, site: str) -> float:
    """The input and one number; a gated norm also its plain result, the gate and the low rank twice."""
    gated = isinstance(norm, GatedRms) and site in ("attention", "experts")
    return width + 1 + (2 * width + 2 * norm.rank if gated else 0)  # type: ignore[attr-defined]


def _unit(unit: FeedForwardConfig, hidden: int, clamped: bool = False) -> float:
    """Gate, up, the product; clamped gate and up besides.

    PolyNorm keeps its two inputs, three numbers a row and the product.
    """
    if isinstance(unit, PolyNorm):
        return 3 * hidden + 3
    return (5 if clamped else 3) * hidden


def _experts(
    router: SigmoidRouter, unit: FeedForwardConfig, width: int, clamped: bool, in_cpp: bool
) -> float:
    """Normed input, router, ``top_k`` rows, shared experts.

    A row is kept before and after the expert and once weighted; by C++ only within the expert.
    """
    k = router.top_k
    outside = 1 if in_cpp else 2 * INDEX + 1 + 3 * width
    per_row = outside + _unit(unit, router.expert_width, clamped)
    if isinstance(unit, PolyNorm):
        per_row += INDEX + 4  # its expert, and that expert's coefficients
    shared = _unit(unit, router.num_shared * router.expert_width, clamped) if router.num_shared else 0
    return width + _routing(router) + k * per_row + shared


def _routing(router: SigmoidRouter) -> float:
    """All scores, the chosen ones, their weights and sum, and one number where balance is learnt from."""
    balance = 1 if router.balance_loss_weight > 0 else 0
    return router.num_experts + (INDEX + 1) * router.top_k + 1 + balance
