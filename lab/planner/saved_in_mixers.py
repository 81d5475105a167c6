"""What token mixers save for the backward pass: see :mod:`lab.planner.saved`, whose conventions hold here."""

import math

from lab.model.leaves.attention import (
    GroupedDifferential,
    GroupedQuery,
    GroupedQueryGated,
    GroupedQueryNormed,
    LatentMixer,
    MixerConfig,
)
from lab.model.leaves.latent_differential import LatentDifferential
from lab.model.leaves.linear_attention import KimiDelta
from lab.model.leaves.sparse_latent import SparseLatent

CHUNK = 32
"""Tokens that Kimi delta solves together (``lab.kernels.kimi_delta.chunked.CHUNK``)."""
LONGEST_RUN = 4096
"""Tokens in sight up to which attention is C++ (``lab.kernels.attention.blockwise.LONGEST_RUN``)."""
BANDED_FROM, SMALLEST_BLOCK = 4, 64
"""When windows are attended block by block, and the least queries a block (``lab.kernels.attention``)."""
INDEX, BOOLEAN = 2.0, 0.25


def mixer_saves(mixer: MixerConfig, width: int, window: int | None, sequence: int, in_cpp: bool) -> float:
    """``width`` numbers of normed input, then what each kind keeps."""
    if isinstance(mixer, KimiDelta):
        return width + kimi_delta_saves(mixer)
    if isinstance(mixer, SparseLatent):
        return width + _latent(mixer, window, sequence, False) + _sparse(mixer, sequence)
    if isinstance(mixer, LatentMixer):
        return width + _latent(mixer, window, sequence, in_cpp)
    if isinstance(mixer, GroupedDifferential):
        groups, signal = mixer.num_groups, mixer.num_groups * mixer.signal_per_noise
        d, wide = mixer.head_dim, 2 * mixer.head_dim
        cores = sum(_core(heads, groups, d, wide, window, sequence, in_cpp) for heads in (signal, groups))
        if _is_cpp(window, sequence, in_cpp):
            cores -= groups * wide  # both read the same values
        return width + cores + (wide + 1) * signal + wide * signal  # the sub-norm, the output's input
    assert isinstance(mixer, GroupedQuery), mixer
    heads, d = mixer.num_heads, mixer.head_dim
    total = width + _core(heads, mixer.num_kv_heads, d, d, window, sequence, in_cpp)
    if isinstance(mixer, GroupedQueryGated):
        total += 2 * heads * d  # the gate and the product
    if isinstance(mixer, GroupedQueryNormed):
        total += (heads + mixer.num_kv_heads) * (d + 1)
    return total


def _is_cpp(window: int | None, sequence: int, in_cpp: bool) -> bool:
    """Whether attention is C++: where it can be and a query does not see too much."""
    return in_cpp and min(window or sequence, sequence) <= LONGEST_RUN


def _core(
    heads: int,
    keys: int,
    key_dim: int,
    value_dim: int,
    window: int | None,
    sequence: int,
    in_cpp: bool,
) -> float:
    """Attention itself: queries and outputs, keys and values, one sum a head.

    Library calls pad the narrower of keys and values, and keep keys and values as often as blocks read them.
    """
    if _is_cpp(window, sequence, in_cpp):
        return (key_dim + value_dim) * (heads + keys) + heads
    block = _block(window, sequence)
    reads = (_reach(window, block) / block) if window and block else 1
    return 2 * max(key_dim, value_dim) * (heads + keys * reads) + heads


def _block(window: int | None, sequence: int) -> int | None:
    """Queries a block where the window is attended block by block."""
    if window is None or sequence < BANDED_FROM * window:
        return None
    return max(SMALLEST_BLOCK, window // 2)


def _reach(window: int, block: int) -> int:
    """Keys a block of queries reads: its own and the blocks that the window reaches back."""
    return block + math.ceil((window - 1) / block) * block


def mask_saves(window: int | None, sequence: int, in_cpp: bool) -> float:
    """What layers of one window share: the additive mask, of which whole causal attention needs none.

    The C++ needs where a query's sight begins.
    """
    if _is_cpp(window, sequence, in_cpp):
        return INDEX
    if window is None or window >= sequence:
        return 0
    block = _block(window, sequence)
    return _reach(window, block) if block else sequence


def _latent(mixer: LatentMixer, window: int | None, sequence: int, in_cpp: bool) -> float:
    """Both latents before and after their norms, expanded heads, the output; differential heads their gates."""
    heads: int = getattr(mixer, "num_heads")  # noqa: B009
    latents = 2 * (mixer.query_rank + mixer.latent_rank + 1) + mixer.rope_dim
    sizes = (mixer.key_dim, mixer.value_dim, window, sequence, in_cpp)
    if isinstance(mixer, LatentDifferential):
        outputs = mixer.num_signal * mixer.value_dim
        # lambdas; the difference, its gate and their product
        differences = mixer.num_signal + 3 * outputs
        return latents + _core(heads, mixer.num_groups, *sizes) + differences
    padded = mixer.key_dim > mixer.value_dim and not _is_cpp(window, sequence, in_cpp)
    copied = heads * mixer.value_dim if padded else 0  # outputs without their padding
    return latents + _core(heads, heads, *sizes) + copied


def _sparse(mixer: SparseLatent, sequence: int) -> float:
    """The output gate and its product; the indexer, which is quadratic: relu of every head's scores of all keys.

    Also for each key: the additive mask of the selection, the index's log-probability and the attention's own, and
    two booleans.
    """
    return 2 * mixer.num_heads * mixer.value_dim + indexer_saves(mixer, sequence)


def indexer_saves(mixer: SparseLatent, sequence: int) -> float:
    indexer = mixer.index_heads * (mixer.index_dim + 1) + 2 * (mixer.index_dim + 1)  # queries, weights, keys
    learning = 2 + 2 * BOOLEAN if mixer.index_loss_weight > 0 else 0
    return indexer + sequence * (mixer.index_heads + 1 + learning)


def kimi_delta_saves(mixer: KimiDelta) -> float:
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
    return convolution_saves(mixer) + gates + chunks + matrices + state + per_head


def convolution_saves(mixer: KimiDelta) -> float:
    return 3 * mixer.num_heads * mixer.head_dim * (1 + (mixer.conv_width - 1) + 1 + 1 + 1)
