# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A.X: how small can what attention remembers become, and how little of it need be read?
#
# SK Telecom's A.X K1 (519B, arXiv 2601.09200) keeps no keys and values but one *latent* a token, from which every head
# makes its own (multi-head latent attention, DeepSeek-V2). It adds a second norm behind its experts. A.X K2 (688B,
# arXiv 2608.30181) drops that norm for gated ones, gates attention's output, and lets an *indexer* pick 2,048 tokens
# to read: what attention reads no longer grows with the text; what the indexer scores still does.
#
# Below: the design, its size by hand, and two measurements. Decoding from the latent gives what expanded keys give;
# and an indexer, which no language-model loss ever trains, learns from its own loss to find the keys that matter.

# %%
import inspect

import matplotlib.pyplot as plt
import torch
from IPython.display import Code

import lab
from lab.kernels.latent_attention import absorbed
from lab.model.attention.sparse_latent import LightningIndexer, SparseLatentAttention, indexer_loss
from lab.model.context import Context
from lab.report.house import draw_cache_growth, draw_layer_patterns
from lab.report.instruments import cache_bytes_held, decoded_logits, indexer_shares

torch.set_num_threads(1)
HOUSE = ["ax_k1", "ax_k2"]
CONTENDERS = [
    *HOUSE, "k_exaone", "k_exaone_2", "solar_open", "solar_open_2", "motif_2_6b", "motif_2", "motif_3", "llama"
]  # fmt: skip
published = {name: lab.compose([f"model={name}", "scale=published"]) for name in CONTENDERS}

# %% [markdown]
# ## The layers
#
# All 61 see everything and rotate; the first has a dense feed-forward. What changes is inside.

# %%
figure, axis = plt.subplots(figsize=(11, 2.4))
draw_layer_patterns(axis, {name: published[name].model for name in HOUSE})
plt.show()

# %% [markdown]
# ## The equations
#
# From the normed input $x$ a latent $c$ of $r = 512$ numbers and one rotated key $k^R$ of 64 that all heads share:
#
# $$[c \mid k^R] = W_{DKV}\,x,\quad c \leftarrow N(c),\qquad [k^h \mid v^h] = W_{UKV}^h\,c,\qquad
# c_q = W_{DQ}\,x,\quad [q^h \mid q^{R,h}] = W_{UQ}^h\,N(c_q)$$
#
# $$a^h_{ts} \propto \exp\left(\frac{q^h_t \cdot k^h_s + q^{R,h}_t \cdot k^R_s}{\sqrt{128 + 64}}\right)
# \qquad\text{and since } q \cdot W_{UK} c = (W_{UK}^\top q) \cdot c\text{, only } c \text{ and } k^R
# \text{ are kept.}$$
#
# *YaRN.* K1 stretches 32,768 positions by 4 and puts YaRN's temperature, $0.1 \ln 4 + 1 = 1.1386$, into cosine and
# sine: rotated scores are multiplied by its square, 1.2965, the others are not. DeepSeek-V3 scales both. (The factor
# is a third party's reading of the released config: a secondary source.)
#
# *K2* gates the output with the latent **before** its norm, $o^h \odot \sigma(W_g^h c_q)$, and attends to the top
# 2,048 of the indexer's scores, made by small heads $j$ with one shared key:
#
# $$I_{ts} = \sum_j w_{tj}\,\mathrm{ReLU}\left(q^I_{tj} \cdot k^I_s / \sqrt{d_I}\right),\qquad
# L = \mathrm{KL}\left(\textstyle\frac1H\sum_h a^h_t \,\big\|\, \mathrm{softmax}\,I_t\right) \text{ over the picked.}$$

# %%
parts = (
    absorbed.latent_attention,
    LightningIndexer.forward,
    SparseLatentAttention.forward,
    indexer_loss,
)
Code("\n".join(inspect.getsource(part) for part in parts), language="python")

# %% [markdown]
# ## The sizes, by hand
#
# K1 comes to the 518,983,052,288 that `transformers` builds; K2 to 689,771,321,600. The stored K2 checkpoint counts
# 691,690,215,680: its fused query-and-gate matrix is half zeros by structure, $61 \cdot 64 \cdot 320 \cdot 1536$ of
# them, and we keep the two halves that are not. That K2's indexer has 64 heads is supported by this count; its
# config.json was not found.

# %%
by_hand = {}
for name in HOUSE:
    model = published[name].model
    width, heads, experts, layers = model.width, model.attention, model.router, model.layers.count
    key_dim, expanded = heads.nope_dim + heads.rope_dim, heads.nope_dim + heads.value_dim
    attention = (
        width * heads.query_rank + heads.query_rank
        + heads.query_rank * heads.num_heads * key_dim
        + width * (heads.latent_rank + heads.rope_dim) + heads.latent_rank
        + heads.latent_rank * heads.num_heads * expanded
        + heads.num_heads * heads.value_dim * width
    )  # fmt: skip
    norms = 2 * layers * width + width
    if name == "ax_k1":
        norms += (layers - 1) * width  # behind the experts
    else:
        attention += heads.query_rank * heads.num_heads * heads.value_dim  # the output gate
        attention += heads.query_rank * heads.index_heads * heads.index_dim  # the indexer
        attention += width * (heads.index_dim + heads.index_heads) + 2 * heads.index_dim
        norms += (2 * layers - 1) * 2 * width * model.norm.rank  # gates, all but the dense layer's second
    mixture = (experts.num_experts + experts.num_shared) * 3 * width * experts.expert_width
    router = experts.num_experts * width
    dense = 3 * width * model.feed_forward.width
    total = (
        layers * attention + dense + (layers - 1) * (mixture + router) + norms + 2 * model.vocab_size * width
    )
    by_hand[name] = total
    assert total == lab.size(published[name], sequence=4096).parameters_total
    print(f"{name}: {total:,}, of which attention {layers * attention:,}")
zeros = 61 * 64 * (128 + 64 + 128) * 1536
assert by_hand["ax_k1"] == 518_983_052_288
assert by_hand["ax_k2"] + zeros == 691_690_215_680

# %% [markdown]
# ## The cache against the others
#
# 576 numbers a token and layer; K2's index key makes it 704. Grouped-query attention of Solar Open's shape keeps
# 2,048. Windows can keep less still (K-EXAONE, Motif 3), but only because most of their layers forget.

# %%
figure, axis = plt.subplots(figsize=(9, 4.6))
figure.subplots_adjust(right=0.76)
draw_cache_growth(axis, {name: config.model.cache() for name, config in published.items()}, HOUSE)
plt.show()

# %% [markdown]
# ## Measured: the latent on real caches
#
# Nano models, bfloat16: K1 as it is, and with grouped-query attention put in its place. Then, in float32, each reads
# a text at once, where keys and values are expanded, and once more token by token, where they never are.

# %%
nano = {
    "A.X K1": ["model=ax_k1"],
    "A.X K2": ["model=ax_k2"],
    "A.X K1 with grouped-query": ["model=ax_k1", "model/attention=grouped_query"],
}
tokens = torch.randint(0, 2048, (1, 512), generator=torch.Generator().manual_seed(1))
held, apart = {}, {}
with torch.no_grad():
    for name, overrides in nano.items():
        config = lab.compose(overrides)
        model = lab.build(config).bfloat16().eval()
        caches = model.new_caches(1, 512)
        model(tokens, caches=caches)
        held[name] = cache_bytes_held(caches)
        assert held[name] == config.model.cache().at(512)
        model = lab.build(config).eval()
        decoded, _ = decoded_logits(model, tokens[:, :160], prompt=80)
        apart[name] = (decoded - model.logits(tokens[:, :160])[:, 80:]).abs().max().item()
        print(f"{name:<26} {held[name] / 1024:6.0f} KiB at 512 tokens; decoding differs by {apart[name]:.1e}")

# %% [markdown]
# ## Measured: an indexer that learns
#
# K2 trains attention densely first and lets the indexer learn alone at the end. So we do, with a layer whose attention
# is sharp (queries scaled up by 8, as random weights would look everywhere alike): the layer is frozen and the indexer
# minimises its KL loss on its own 32 keys of 256, from the start. Each step draws new random inputs; the shares are
# measured on inputs it has not seen.

# %%
layer = lab.build(lab.compose(["model=ax_k2"])).blocks[1].mixer.requires_grad_(False)
layer.query_up.weight.mul_(8)
layer.indexer.requires_grad_(True)
generator = torch.Generator().manual_seed(2)
unseen = torch.randn(4, 256, 128, generator=generator)
TOP_K = layer.top_k
steps, losses, shares = [], [], [(0, indexer_shares(layer, unseen, TOP_K))]
positions = torch.arange(256).expand(4, -1)
optimizer = torch.optim.Adam(layer.indexer.parameters(), lr=1e-2)
layer.train()
for step in range(1, 241):
    inputs = torch.randn(4, 256, 128, generator=generator)
    _, record = layer(inputs, Context(positions, None), None)
    loss = record.losses["indexer"]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    if step % 30 == 0:
        shares.append((step, indexer_shares(layer, unseen, TOP_K)))
best, chance = shares[0][1].best, shares[0][1].random

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6))
left.plot(range(1, len(losses) + 1), losses, color="#0065e3", linewidth=1.2)
left.set(
    xlabel="step", ylabel="indexer's loss, nats a query", ylim=(0, None), title="What the indexer minimises"
)
right.axhline(100 * best, color="#23201d", linewidth=1)
right.annotate("attention's own best 32 keys", (0, 100 * best + 1.5), color="#23201d")
right.axhline(100 * chance, color="#b4aea7", linewidth=1)
right.annotate("32 keys at random", (240, 100 * chance - 6), color="#6b6660", ha="right")
right.plot(
    [step for step, _ in shares],
    [100 * share.chosen for _, share in shares],
    "o-",
    color="#0065e3",
    linewidth=2,
)
right.set(
    xlabel="step",
    ylabel="attention carried, %",
    ylim=(0, 100),
    title="What the picked keys carry, unseen inputs",
)
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Counted: what the picking saves
#
# Attention proper stops growing at 2,048 keys, but the indexer still scores every key: 64 heads of 128 channels over
# one shared key, against 64 heads of $128 + 64$ and $128$ in attention. Forward FLOPs a token at the last position, one
# layer, in the expanded form; projections are left out.

# %%
heads = published["ax_k2"].model.attention
contexts = [2**power for power in range(11, 19)]
attended = 2 * heads.num_heads * (heads.nope_dim + heads.rope_dim + heads.value_dim)
indexed = 2 * heads.index_heads * heads.index_dim
dense = [attended * context for context in contexts]
sparse = [attended * min(context, heads.index_top_k) + indexed * context for context in contexts]
figure, axis = plt.subplots(figsize=(7, 3))
axis.loglog(contexts, dense, "o-", color="#0065e3", label="dense, as K1")
axis.loglog(contexts, sparse, "s--", color="#0047a3", label="indexer and 2,048 keys, as K2")
axis.set_xscale("log", base=2)
axis.set_xticks(contexts, [f"{context // 1024}k" for context in contexts])
axis.set(xlabel="context, tokens", ylabel="FLOPs a token and layer")
axis.legend(frameon=False)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## What this does not show
#
# Attention of random weights is no text's attention: that an indexer can be trained is shown, not how much a language
# model loses by it. SK Telecom's figures for that (LongBench 62.80 dense, 62.99 sparse) are known to us from secondary
# reading only; the steps and weights of its indexer training were not found. The count speaks of a sparse kernel; ours
# narrows a mask while training and gathers only when it decodes.

# %%
assert max(apart.values()) < 1e-4, "decoding in latent space gives what expanded keys and values give"
latent, grouped = published["ax_k1"].model.cache(), published["solar_open"].model.cache()
assert latent.per_token == 61 * (512 + 64) * 2
assert held["A.X K1"] < held["A.X K2"] < held["A.X K1 with grouped-query"]
assert grouped.per_token / 48 == latent.per_token / 61 * 2048 / 576
before, after = shares[0][1].chosen, shares[-1][1].chosen
print(
    f"32 of 256 keys: {before:.0%} of attention before, {after:.0%} after; possible {best:.0%}, chance {chance:.0%}"
)
assert abs(before - chance) < 0.05, "untrained, it picks at random"
assert after - chance > (best - chance) / 3, "trained, it has more than a third of what there is to have"
assert dense[0] < sparse[0], "at 2k the indexer only costs"
assert sparse[-1] < 0.5 * dense[-1], "at 256k it saves"
