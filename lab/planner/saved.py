"""Numbers that a step saves for its backward pass with this laboratory's kernels and nothing computed again.

Everything is for one token, in words of the element (four bytes in fp32; an index of eight bytes counts as two, a
boolean as a quarter). Read off the forward passes of ``lab.model`` and ``lab.kernels``; a test counts what autograd
really keeps. A tensor is counted where it is kept first: the input of a matrix belongs to the mixer or feed-forward
that has the matrix, the input of a norm to the join. Fused production kernels keep less:
:func:`lab.planner.memory.activation_elements`.
"""

import math

from lab.model.config import ModelConfig
from lab.model.leaves.attention import (
    GroupedDifferential,
    GroupedQuery,
    GroupedQueryGated,
    GroupedQueryNormed,
    LatentMixer,
    MixerConfig,
)
from lab.model.leaves.feed_forward import ClampedSwiGLU, FeedForwardConfig, PolyNorm
from lab.model.leaves.latent_differential import LatentDifferential
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.linear_attention import KimiDelta
from lab.model.leaves.multi_token import HiddenFirstBlock, SharedBlock
from lab.model.leaves.norm import GatedRms, NormConfig, Rms
from lab.model.leaves.residual import DualNorm, HyperConnections, ResidualConfig
from lab.model.leaves.router import SigmoidRouter
from lab.model.leaves.sparse_latent import SparseLatent
from lab.model.size import feed_forward_site

CHUNK = 32
"""Tokens that Kimi delta solves together (``lab.kernels.kimi_delta.chunked.CHUNK``)."""
BANDED_FROM, SMALLEST_BLOCK = 4, 64
"""When windows are attended block by block, and the least queries a block (``lab.kernels.attention``)."""
INDEX, BOOLEAN = 2.0, 0.25


def saved_in_layer(model: ModelConfig, layer: LayerPlan, sequence: int) -> float:
    """One layer at sequences of ``sequence`` tokens: two joins, the mixer, the feed-forward."""
    width, unit, router = model.width, model.feed_forward, model.router
    joins = sum(
        _join(model.residual, model.norm, width, site) for site in ("attention", feed_forward_site(layer))
    )
    total = joins + _mixer(model.mixer(layer), width, layer.window, sequence)
    clamped = isinstance(unit, ClampedSwiGLU) and layer.index >= layer.depth - unit.clamped_layers
    if not layer.sparse:
        return total + width + _unit(unit, unit.width, clamped)
    assert isinstance(router, SigmoidRouter)
    return total + _experts(router, unit, width, clamped)


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
        total += _kimi_delta(mixer) - _convolution(mixer)
    if isinstance(mixer, SparseLatent):
        total += _indexer(mixer, sequence)
    if layer.sparse:
        assert isinstance(router, SigmoidRouter)
        total += 2 * width + _routing(router) + router.top_k * (2 * INDEX + 1 + 2 * width)
    return total


def _matrices(mixer: MixerConfig) -> int:
    """Matrices that read a mixer's normed input: of queries, keys and values or latents, and of gates."""
    if isinstance(mixer, LatentMixer):
        return 2
    return 4 if isinstance(mixer, GroupedQueryGated) else 3


def saved_outside_layers(model: ModelConfig, sequence: int) -> float:
    """Shared masks and rotations, the final norm, the head's gradient of its input, multi-token steps."""
    width, plan, multi = model.width, model.plan(), model.multi_token
    # token indices; the final norm's input and one number; the gradient that the fused head makes at once
    total = INDEX + (width + 1) + width
    if isinstance(model.residual, HyperConnections):
        total += width  # the embedding, of which the first streams are copies
    windows = {layer.window for layer in plan if layer.mixer != "linear"}
    rotations = {layer.rotation for layer in plan if layer.mixer != "linear"}
    if isinstance(multi, SharedBlock):
        windows.add(multi.window)
        rotations.add(model.position.rotation(is_local=True))
        total += multi.num_steps * _multi_token_step(model, multi, sequence)
    if not isinstance(model.attention, SparseLatent):  # whose masks are each layer's own
        total += sum(_mask(window, sequence) for window in windows)
    rotated: int = getattr(model.attention, "rope_dim", 0) or getattr(model.attention, "head_dim", 0)
    return total + rotated * len(rotations - {None})  # cosines and sines of half the channels each


def cast_outside_layers(model: ModelConfig, sequence: int) -> float:
    """Of the numbers outside the layers, those that products in bf16 cast: a multi-token step's mixer, feed-forward and
    matrices' inputs, less what every matrix keeps to itself of an input that several share."""
    multi, unit, width = model.multi_token, model.feed_forward, model.width
    if not isinstance(multi, SharedBlock):
        return 0.0
    kept = 3 * width + _mixer(model.attention, width, multi.window, sequence) + _unit(unit, unit.width)
    return multi.num_steps * (kept - width * _matrices(model.attention))


def _multi_token_step(model: ModelConfig, multi: SharedBlock, sequence: int) -> float:
    """A step of the plain pre-norm block: each keeps everything again, for the block is applied anew."""
    width, unit, plain = model.width, model.feed_forward, Rms("rms", model.norm.eps)
    normed_inputs = 1 if isinstance(multi, HiddenFirstBlock) else 2
    norms = normed_inputs + 3  # the embedding's (and the hidden state's), two joins, the last one
    matrix_inputs = 2 * width + width  # of the input projection and of the feed-forward
    return (
        norms * _norm(plain, width, "final")
        + matrix_inputs
        + _mixer(model.attention, width, multi.window, sequence)
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


def _mixer(mixer: MixerConfig, width: int, window: int | None, sequence: int) -> float:
    """``width`` numbers of normed input, then what each kind keeps."""
    if isinstance(mixer, KimiDelta):
        return width + _kimi_delta(mixer)
    if isinstance(mixer, SparseLatent):
        return width + _latent(mixer, window, sequence) + _sparse(mixer, sequence)
    if isinstance(mixer, LatentMixer):
        return width + _latent(mixer, window, sequence)
    if isinstance(mixer, GroupedDifferential):
        groups, signal = mixer.num_groups, mixer.num_groups * mixer.signal_per_noise
        wide = 2 * mixer.head_dim  # queries and keys are padded to the width of values
        cores = _core(signal, groups, wide, window, sequence) + _core(groups, groups, wide, window, sequence)
        return width + cores + (wide + 1) * signal + wide * signal  # the sub-norm, the output's input
    assert isinstance(mixer, GroupedQuery), mixer
    heads, d = mixer.num_heads, mixer.head_dim
    total = width + _core(heads, mixer.num_kv_heads, d, window, sequence)
    if isinstance(mixer, GroupedQueryGated):
        total += 2 * heads * d  # the gate and the product
    if isinstance(mixer, GroupedQueryNormed):
        total += (heads + mixer.num_kv_heads) * (d + 1)
    return total


def _core(heads: int, keys: int, width: int, window: int | None, sequence: int) -> float:
    """Fused attention: queries and outputs, keys and values as often as blocks read them, one sum a head."""
    block = _block(window, sequence)
    reads = (_reach(window, block) / block) if window and block else 1
    return 2 * width * (heads + keys * reads) + heads


def _block(window: int | None, sequence: int) -> int | None:
    """Queries a block where the window is attended block by block."""
    if window is None or sequence < BANDED_FROM * window:
        return None
    return max(SMALLEST_BLOCK, window // 2)


def _reach(window: int, block: int) -> int:
    """Keys a block of queries reads: its own and the blocks that the window reaches back."""
    return block + math.ceil((window - 1) / block) * block


def _mask(window: int | None, sequence: int) -> float:
    """The additive mask that layers of one window share; whole causal attention needs none."""
    if window is None or window >= sequence:
        return 0
    block = _block(window, sequence)
    return _reach(window, block) if block else sequence


def _latent(mixer: LatentMixer, window: int | None, sequence: int) -> float:
    """Both latents before and after their norms, expanded heads, the output; differential heads their gates."""
    heads: int = getattr(mixer, "num_heads")  # noqa: B009
    latents = 2 * (mixer.query_rank + mixer.latent_rank + 1) + mixer.rope_dim
    kernel = max(mixer.key_dim, mixer.value_dim)  # the narrower ones are padded
    if isinstance(mixer, LatentDifferential):
        outputs = mixer.num_signal * mixer.value_dim
        # lambdas; the difference, its gate and their product
        differences = mixer.num_signal + 3 * outputs
        return latents + _core(heads, mixer.num_groups, kernel, window, sequence) + differences
    copied = heads * mixer.value_dim if kernel > mixer.value_dim else 0  # outputs without their padding
    return latents + _core(heads, heads, kernel, window, sequence) + copied


def _sparse(mixer: SparseLatent, sequence: int) -> float:
    """The output gate and its product; the indexer, which is quadratic: relu of every head's scores of all keys.

    Also for each key: the additive mask of the selection, the index's log-probability and the attention's own, and
    two booleans.
    """
    return 2 * mixer.num_heads * mixer.value_dim + _indexer(mixer, sequence)


def _indexer(mixer: SparseLatent, sequence: int) -> float:
    indexer = mixer.index_heads * (mixer.index_dim + 1) + 2 * (mixer.index_dim + 1)  # queries, weights, keys
    learning = 2 + 2 * BOOLEAN if mixer.index_loss_weight > 0 else 0
    return indexer + sequence * (mixer.index_heads + 1 + learning)


def _kimi_delta(mixer: KimiDelta) -> float:
    """The convolution and the chunked kernel, which autograd differentiates operation by operation.

    ``channels`` is heads times head width. Convolution: its three inputs, ``conv_width - 1`` shifted copies, the
    result, and the inputs kept for the cache's tail; then SiLU of it. Gates: softplus's input and result, the output
    gate and the norm's input and result, the product. Kernel, in chunks of C tokens: queries and keys; decays since
    the start of a chunk (also across documents) and to its end; queries and keys times these; the right side and the
    solution of the triangular system (keys and values each); writes. Products of decayed queries with decayed keys
    are joined from blocks of 1, 2, 4, ... tokens: two decays of half the tokens, queries and keys before and after
    them, four times the channels a level. Three ``[C, C]`` matrices a head; a state and its decay a chunk.
    """
    heads, d = mixer.num_heads, mixer.head_dim
    channels = heads * d
    gates = 6 * channels + 2 * d if mixer.output_gate else 4 * channels + d
    chunks = 12 * channels + 4 * math.log2(CHUNK) * channels
    matrices, state = 3 * heads * CHUNK, channels * (d + 2) / CHUNK
    per_head = 5 * heads  # lengths of queries and keys, write strengths twice, the norm's number
    return _convolution(mixer) + gates + chunks + matrices + state + per_head


def _convolution(mixer: KimiDelta) -> float:
    return 3 * mixer.num_heads * mixer.head_dim * (1 + (mixer.conv_width - 1) + 1 + 1 + 1)


def _unit(unit: FeedForwardConfig, hidden: int, clamped: bool = False) -> float:
    """Gate, up, the product; clamped gate and up besides.

    PolyNorm keeps its two inputs, three numbers a row and the product.
    """
    if isinstance(unit, PolyNorm):
        return 3 * hidden + 3
    return (5 if clamped else 3) * hidden


def _experts(router: SigmoidRouter, unit: FeedForwardConfig, width: int, clamped: bool) -> float:
    """Normed input, router, ``top_k`` rows before and after the expert and once weighted, shared experts."""
    k = router.top_k
    per_row = 2 * INDEX + 1 + 3 * width + _unit(unit, router.expert_width, clamped)
    if isinstance(unit, PolyNorm):
        per_row += INDEX + 4  # its expert, and that expert's coefficients
    shared = _unit(unit, router.num_shared * router.expert_width, clamped) if router.num_shared else 0
    return width + _routing(router) + k * per_row + shared


def _routing(router: SigmoidRouter) -> float:
    """All scores, the chosen ones, their weights and sum, and one number where balance is learnt from."""
    balance = 1 if router.balance_loss_weight > 0 else 0
    return router.num_experts + (INDEX + 1) * router.top_k + 1 + balance
