"""Tensor names of token mixers, below ``self_attn`` of a layer."""

from collections.abc import Iterator

from lab.model.checkpoint.layout.entry import Entry, Prefix
from lab.model.checkpoint.layout.rotary import InterleavedRows, QueryAndGate
from lab.model.leaves.attention import (
    GroupedDifferential,
    GroupedQuery,
    GroupedQueryGated,
    GroupedQueryNormed,
    Latent,
)
from lab.model.leaves.latent_differential import LatentDifferential
from lab.model.leaves.linear_attention import KimiDelta
from lab.model.leaves.sparse_latent import SparseLatent


def grouped_query(at: Prefix, leaf: GroupedQuery, width: int) -> Iterator[Entry]:
    """Llama's names; ``q_norm`` and ``k_norm`` as in K-EXAONE, ``g_proj`` as in Solar Open 2."""
    channels, kv_channels = leaf.num_heads * leaf.head_dim, leaf.num_kv_heads * leaf.head_dim
    yield at.same("query.weight", "q_proj.weight", channels, width)
    yield at.same("key.weight", "k_proj.weight", kv_channels, width)
    yield at.same("value.weight", "v_proj.weight", kv_channels, width)
    yield at.same("output.weight", "o_proj.weight", width, channels)
    if isinstance(leaf, GroupedQueryNormed):
        yield at.same("query_norm.weight", "q_norm.weight", leaf.head_dim)
        yield at.same("key_norm.weight", "k_norm.weight", leaf.head_dim)
    if isinstance(leaf, GroupedQueryGated):
        yield at.same("gate.weight", "g_proj.weight", channels, width)


def latent(at: Prefix, leaf: Latent, width: int) -> Iterator[Entry]:
    """A.X: DeepSeek's names, rotary channels in interleaved pairs.

    A.X K2 keeps queries and output gate in one matrix over ``[normed latent | latent]``, half of it zeros.
    """
    heads, rank = leaf.num_heads, leaf.query_rank
    query_rows = InterleavedRows(heads, leaf.key_dim, leaf.rope_dim)
    key_rows = InterleavedRows(1, leaf.latent_rank + leaf.rope_dim, leaf.rope_dim)
    query = at.same("query_up.weight", "q_b_proj.weight", heads * leaf.key_dim, rank)
    yield at.same("query_down.weight", "q_a_proj.weight", rank, width)
    yield at.same("query_norm.weight", "q_a_layernorm.weight", rank)
    if isinstance(leaf, SparseLatent):
        fused_rows = heads * (leaf.key_dim + leaf.value_dim)
        fused = at.same("query_up.weight", "q_b_proj.weight", fused_rows, 2 * rank)
        ours = (*fused.ours, f"{at.ours}gate.weight")
        yield Entry(ours, fused.stored, QueryAndGate(fused.stored[0].name, query_rows, leaf.value_dim))
        yield from _indexer(at.below("indexer", "indexer"), leaf, width)
    else:
        yield Entry(query.ours, query.stored, query_rows)
    down = at.same("latent_down.weight", "kv_a_proj_with_mqa.weight", leaf.latent_rank + leaf.rope_dim, width)
    yield Entry(down.ours, down.stored, key_rows)
    yield at.same("latent_norm.weight", "kv_a_layernorm.weight", leaf.latent_rank)
    expanded = heads * (leaf.nope_dim + leaf.value_dim)
    yield at.same("latent_up.weight", "kv_b_proj.weight", expanded, leaf.latent_rank)
    yield at.same("output.weight", "o_proj.weight", width, heads * leaf.value_dim)


def _indexer(at: Prefix, leaf: SparseLatent, width: int) -> Iterator[Entry]:
    """The indexer's rotary channels are half-split on disk already."""
    yield at.same("query.weight", "wq_b.weight", leaf.index_heads * leaf.index_dim, leaf.query_rank)
    yield at.same("key.weight", "wk.weight", leaf.index_dim, width)
    yield at.same("key_norm.weight", "k_norm.weight", leaf.index_dim)
    yield at.same("key_norm.bias", "k_norm.bias", leaf.index_dim)
    yield at.same("head_weight.weight", "weights_proj.weight", leaf.index_heads, width)


def grouped_differential(at: Prefix, leaf: GroupedDifferential, width: int) -> Iterator[Entry]:
    """Motif-2.6B and Motif 2: heads stored group by group, the noise head last, as ours."""
    groups, signal, d = leaf.num_groups, leaf.signal_per_noise, leaf.head_dim
    yield at.same("query.weight", "q_proj.weight", groups * (signal + 1) * d, width)
    yield at.same("key.weight", "k_proj.weight", groups * 2 * d, width)
    yield at.same("value.weight", "v_proj.weight", groups * 2 * d, width)
    yield at.same("output.weight", "o_proj.weight", width, groups * signal * 2 * d)
    yield at.joined("lambdas", *((f"lambda_{name}", (d,)) for name in ("q1", "k1", "q2", "k2")))
    yield at.same("sub_norm.weight", "subln.weight", 2 * d)


def latent_differential(at: Prefix, leaf: LatentDifferential, width: int) -> Iterator[Entry]:
    """Motif 3: heads stored group by group, the noise head last; rotary channels half-split as ours."""
    rank, channels = leaf.query_rank, leaf.num_signal * leaf.value_dim
    yield at.same("query_down.weight", "wq_a.weight", rank, width)
    yield at.same("query_norm.weight", "q_norm.weight", rank)
    yield at.same("query_up.weight", "wq_b.weight", leaf.num_heads * leaf.key_dim, rank)
    yield at.same("gate.weight", "wq_b_gate.weight", channels, rank)
    yield at.same("latent_down.weight", "wkv_a.weight", leaf.latent_rank + leaf.rope_dim, width)
    yield at.same("latent_norm.weight", "kv_norm.weight", leaf.latent_rank)
    expanded = leaf.num_groups * (leaf.nope_dim + leaf.value_dim)
    yield at.same("latent_up.weight", "wkv_b.weight", expanded, leaf.latent_rank)
    yield at.same("noise_weight.weight", "lambda_proj.weight", leaf.num_signal, width)
    yield at.same("output.weight", "wo.weight", width, channels)


def kimi_delta(at: Prefix, leaf: KimiDelta, width: int) -> Iterator[Entry]:
    """Solar Open 2: one convolution each for queries, keys and values, with an axis of length one."""
    heads, d, channels = leaf.num_heads, leaf.head_dim, leaf.num_heads * leaf.head_dim
    yield at.same("query.weight", "q_proj.weight", channels, width)
    yield at.same("key.weight", "k_proj.weight", channels, width)
    yield at.same("value.weight", "v_proj.weight", channels, width)
    yield at.joined(
        "convolution",
        *((f"{name}_conv1d.weight", (channels, 1, leaf.conv_width)) for name in ("q", "k", "v")),
    )
    yield at.same("decay_down.weight", "f_a_proj.weight", d, width)
    yield at.same("decay_up.weight", "f_b_proj.weight", channels, d)
    yield at.joined("A_log", ("A_log", (1, 1, heads, 1)))
    yield at.same("dt_bias", "dt_bias", channels)
    yield at.same("beta.weight", "b_proj.weight", heads, width)
    yield at.same("gate_down.weight", "g_a_proj.weight", d, width)
    yield at.same("gate_up.weight", "g_b_proj.weight", channels, d)
    yield at.same("norm.weight", "o_norm.weight", d)
    yield at.same("output.weight", "o_proj.weight", width, channels)
