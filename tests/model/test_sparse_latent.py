"""Sparse latent attention: selection, the two losses kept apart, and decoding against prefill."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lab.kernels.sparse_attention import select
from lab.model.attention.latent import LatentAttention
from lab.model.attention.sparse_latent import (
    SparseLatentAttention,
    attention_over_heads,
    indexer_loss,
)
from lab.model.cache import Caches
from lab.model.context import Context
from lab.model.leaves.attention import Latent
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import Rms
from lab.model.leaves.position import Yarn
from lab.model.leaves.sparse_latent import SparseLatent

WIDTH = 24
CONFIG = SparseLatent(
    kind="sparse_latent",
    num_heads=3,
    query_rank=10,
    latent_rank=8,
    nope_dim=6,
    rope_dim=4,
    value_dim=5,
    index_heads=8,  # enough that no two keys tie at a score of exactly zero
    index_dim=7,
    index_top_k=4,
)
SIZES = {name: getattr(CONFIG, name) for name in Latent.__dataclass_fields__ if name != "kind"}
ROTATION = Yarn("yarn", base=100.0, factor=4.0, original_positions=16).rotation(is_local=False)


def make(top_k: int, window: int | None = None) -> SparseLatentAttention:
    plan = LayerPlan(0, 1, "global" if window is None else "local", window, sparse=False, rotation=ROTATION)
    module = SparseLatentAttention(replace(CONFIG, index_top_k=top_k), WIDTH, plan, Rms("rms")).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return module


def tokens(length: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, length, WIDTH, dtype=torch.double, generator=torch.Generator().manual_seed(2))


def positions_of(x: Tensor, start: int = 0) -> Tensor:
    return torch.arange(start, start + x.shape[1]).expand(x.shape[:2])


def decode(module: SparseLatentAttention, x: Tensor, prefill: int) -> Tensor:
    window = module.layer.window
    caches = Caches([(CONFIG, window)], batch=len(x), capacity=x.shape[1], device=x.device)
    outputs = []
    for chunk in (x[:, :prefill], *x[:, prefill:].split(1, dim=1)):
        positions = positions_of(chunk, start=caches.length)
        caches.extend(positions)
        outputs.append(module(chunk, Context(positions, None, caches), caches.layers[0])[0])
    return torch.cat(outputs, dim=1)


def index_scores_written_out(module: SparseLatentAttention, x: Tensor) -> Tensor:
    """``I_ts = sum_j w_tj relu(q_tj . k_s / sqrt(d))`` of one row ``[T, D]``, pair by pair."""
    indexer, d, rope = module.indexer, CONFIG.index_dim, CONFIG.rope_dim
    assert ROTATION is not None
    frequencies = torch.tensor(ROTATION.inverse_frequencies(rope))

    def turned(z: Tensor, t: int) -> Tensor:
        angle = t * frequencies.double()
        first, second, rest = z[: rope // 2], z[rope // 2 : rope], z[rope:]
        cos, sin = angle.cos() * ROTATION.magnitude, angle.sin() * ROTATION.magnitude
        return torch.cat([first * cos - second * sin, second * cos + first * sin, rest])

    c_q = module.query_norm(x @ module.query_down.weight.T)
    raw = x @ indexer.key.weight.T
    centred = raw - raw.mean(-1, keepdim=True)
    k = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    k = k * indexer.key_norm.weight + indexer.key_norm.bias
    weight = x @ indexer.head_weight.weight.T / CONFIG.index_heads**0.5
    scores = torch.zeros(len(x), len(x), dtype=x.dtype)
    for t in range(len(x)):
        for j in range(CONFIG.index_heads):
            q = turned(indexer.query.weight[j * d : (j + 1) * d] @ c_q[t], t)
            for s in range(len(x)):
                scores[t, s] += weight[t, j] * torch.relu(q @ turned(k[s], s) / d**0.5)
    return scores


def test_index_scores_follow_the_equation() -> None:
    module = make(top_k=4)
    x = tokens(9)
    context = Context(positions_of(x), None)
    scores = module.indexer(x, module.query_norm(module.query_down(x)), context, None)
    assert scores.dtype == torch.float32
    expected = torch.stack([index_scores_written_out(module, row) for row in x])
    torch.testing.assert_close(scores.double(), expected, rtol=1e-4, atol=1e-5)


def test_selection_keeps_the_best_allowed_keys_and_all_of_few() -> None:
    scores = torch.tensor([[[9.0, 1, 2, 8], [3, 9, 9, 9], [1, 3, 2, 9], [4, 1, 2, 3]]])
    causal = torch.ones(1, 4, 4, dtype=torch.bool).tril()
    kept = select(scores, causal, top_k=2).kept
    assert kept[0].tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [False, True, True, False],
        [True, False, False, True],
    ]


@pytest.mark.parametrize("documents", [None, torch.tensor([[0] * 5 + [1] * 6] * 2)])
def test_gated_latent_attention_where_the_selection_keeps_everything(documents: Tensor | None) -> None:
    sparse, x = make(top_k=11), tokens(11)
    dense = LatentAttention(Latent("latent", **SIZES), WIDTH, sparse.layer, Rms("rms")).double()
    dense.load_state_dict({name: sparse.state_dict()[name] for name in dense.state_dict()})
    dense.output = torch.nn.Identity()
    context = Context(positions_of(x), documents)
    pre_norm_latent = x @ sparse.query_down.weight.T
    gate = torch.sigmoid(pre_norm_latent @ sparse.gate.weight.T)
    expected = (dense(x, context, None) * gate) @ sparse.output.weight.T
    torch.testing.assert_close(sparse(x, context, None)[0], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("window", [None, 6])
@pytest.mark.parametrize(("top_k", "prefill"), [(4, 1), (4, 7), (13, 7)])
def test_decoding_equals_prefill(window: int | None, top_k: int, prefill: int) -> None:
    module, x = make(top_k, window), tokens(13)
    expected = module(x, Context(positions_of(x), None), None)[0]
    torch.testing.assert_close(decode(module, x, prefill), expected, rtol=1e-6, atol=1e-7)


def test_a_selection_smaller_than_the_sequence_changes_the_result() -> None:
    x = tokens(13)
    few, all_keys = (make(top_k)(x, Context(positions_of(x), None), None)[0] for top_k in (4, 13))
    torch.testing.assert_close(few[:, :4], all_keys[:, :4])
    assert (few[:, 4:] - all_keys[:, 4:]).abs().max() > 1e-2


def test_each_loss_trains_its_own_part() -> None:
    module, x = make(top_k=4).train(), tokens(11)
    y, record = module(x, Context(positions_of(x), None), None)
    indexer = dict(module.indexer.named_parameters(prefix="indexer"))
    others = {name: p for name, p in module.named_parameters() if name not in indexer}

    def trained_by(loss: Tensor, parameters: dict[str, Tensor]) -> set[str]:
        gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
        return {
            name for name, g in zip(parameters, gradients, strict=True) if g is not None and g.abs().max() > 0
        }

    assert trained_by(y.square().sum(), indexer) == set()
    assert trained_by(record.losses["indexer"], others) == set()
    assert trained_by(record.losses["indexer"], indexer) == set(indexer)
    assert module.eval()(x, Context(positions_of(x), None), None)[1].losses == {}


def test_indexer_loss_is_the_divergence_over_kept_keys() -> None:
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(1, 5, 5, generator=generator)
    q, k = torch.randn(1, 5, 3, 4, generator=generator), torch.randn(1, 5, 3, 4, generator=generator)
    kept = torch.ones(1, 5, 5, dtype=torch.bool).tril()
    kept[0, 3, 1] = False
    kept[0, 4] = False  # a padded query counts for nothing
    expected = 0.0
    for t in range(4):
        at = [s for s in range(t + 1) if kept[0, t, s]]
        target = torch.stack([torch.softmax(k[0, at, h] @ q[0, t, h] * 0.5, dim=0) for h in range(3)]).mean(0)
        expected += (target * (target.log() - torch.log_softmax(scores[0, t, at], dim=0))).sum() / 4
    loss = indexer_loss(scores, attention_over_heads(q, k, kept, 0.5), kept)
    torch.testing.assert_close(loss, torch.as_tensor(expected))


def test_descent_on_the_indexer_loss_finds_the_attended_keys() -> None:
    module, x = make(top_k=16).train(), tokens(16, batch=4)
    context = Context(positions_of(x), None)
    optimiser = torch.optim.Adam(module.indexer.parameters(), lr=3e-2)
    losses = []
    for _ in range(60):
        loss = module(x, context, None)[1].losses["indexer"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
