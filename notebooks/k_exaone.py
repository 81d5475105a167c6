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
# # K-EXAONE: what can be made local, so that a long context stays cheap?
#
# LG AI Research answers: three layers of four. They see the last 128 tokens and know where those stand (RoPE). The
# fourth sees everything and knows no positions at all (NoPE). K-EXAONE (236B, arXiv 2601.01739) is built so from 48
# layers; K-EXAONE 2.0 (750B, arXiv 2608.04505) is the same design grown to 78 layers and twice the experts.
#
# This notebook shows the design, counts it, and measures three things: what the cache holds, what attention
# computes, and how far a token is heard.

# %%
import inspect

import matplotlib.pyplot as plt
import torch
from IPython.display import Code

import lab
from lab.kernels.attention import AttentionMask
from lab.model.attention.grouped_query import GroupedQueryAttention, NormedGroupedQueryAttention
from lab.model.feed_forward.activation import ClampedSwiGLU
from lab.model.leaves.layers import keys_seen
from lab.model.multi_token import SharedBlockHead
from lab.report.house import draw_cache_growth, draw_layer_patterns
from lab.report.instruments import cache_bytes_held, decoded_logits, influence_of_first_token

torch.set_num_threads(1)
HOUSE = ["k_exaone", "k_exaone_2"]
CONTENDERS = [
    *HOUSE,
    "ax_k1",
    "ax_k2",
    "solar_open",
    "solar_open_2",
    "motif_2_6b",
    "motif_2",
    "motif_3",
    "llama",
]
published = {name: lab.compose([f"model={name}", "scale=published"]) for name in CONTENDERS}

# %% [markdown]
# ## The layers
#
# K-EXAONE repeats *local, local, local, global*. In 2.0 a global layer and one with a window of 4,096 go before.

# %%
figure, axis = plt.subplots(figsize=(11, 2.4))
draw_layer_patterns(axis, {name: published[name].model for name in HOUSE})
plt.show()

# %% [markdown]
# ## The equations
#
# With $x_t$ the normed input of a layer at position $t$, $H$ query heads over $K$ key heads of width $d$, and $N$
# RMSNorm over one head with a weight that all heads share:
#
# $$q_t = N(W_q x_t),\qquad k_t = N(W_k x_t),\qquad v_t = W_v x_t$$
#
# $$\text{local: } q_t \leftarrow R_t q_t,\; k_s \leftarrow R_s k_s,\; S_t = \{s : 0 \le t - s < 128\}
# \qquad \text{global: no rotation, } S_t = \{s \le t\}$$
#
# $$y_t = W_o \operatorname*{concat}_h
# \sum_{s \in S_t} \operatorname{softmax}_s\!\left(q_t \cdot k_s / \sqrt d\right) v_s$$
#
# The window counts the token itself. The multi-token head reads what the trunk made of token $t$ together with token
# $t + k$, and predicts token $t + k + 1$: $u_t = W [N(e_{t+k}); N(h_t^{k-1})]$. 2.0 also clamps the gated units of
# its last 16 layers: $\mathrm{silu}(\min(g, 7)) \cdot \mathrm{clip}(u, -7, 7)$. This is the code they live in:

# %%
parts = (
    NormedGroupedQueryAttention.normalise,
    GroupedQueryAttention.forward,
    SharedBlockHead.combine,
    ClampedSwiGLU.forward,
)
Code("\n".join(inspect.getsource(part) for part in parts), language="python")

# %% [markdown]
# ## The sizes, by hand
#
# Attention, dense layers, experts with their router, norms, embedding and head. The multi-token block has one dense
# layer, a matrix of $2D \times D$ and five norms. The results are those that the released checkpoints have: 236.6 B
# (published as 236B; 237,099,663,616 with the block) and 2.0's 749,357,484,800 values, where the last 19,456 are the
# routers' selection biases, which we keep as buffers.

# %%
by_hand = {}
for name in HOUSE:
    model = published[name].model
    width, heads, experts = model.width, model.attention, model.router
    attention = 2 * width * (heads.num_heads + heads.num_kv_heads) * heads.head_dim + 2 * heads.head_dim
    dense = 3 * width * model.feed_forward.width
    mixture = (experts.num_experts + experts.num_shared) * 3 * width * experts.expert_width
    router = experts.num_experts * width
    layers, lead = model.layers.count, model.layers.num_dense
    trunk = layers * (attention + 2 * width) + lead * dense + (layers - lead) * (mixture + router) + width
    multi_token = 2 * width * width + attention + dense + 5 * width
    biases = (layers - lead) * experts.num_experts
    trunk += 2 * model.vocab_size * width
    by_hand[name] = (trunk, trunk + multi_token, trunk + multi_token + biases)
    counted = lab.size(published[name], sequence=4096)
    assert trunk + multi_token == counted.parameters_total
    print(
        f"{name:<11} {trunk:>16,} + multi-token {multi_token:,} = {trunk + multi_token:>16,}, biases {biases:,}"
    )
assert by_hand["k_exaone"] == (236_571_150_336, 237_099_663_616, 237_099_669_632)
assert by_hand["k_exaone_2"] == (748_828_952_064, 749_357_465_344, 749_357_484_800)

# %% [markdown]
# ## The cache against the others
#
# A global layer keeps $2 K d$ numbers a token, a local one a ring of 128 tokens and no more. So K-EXAONE's 48 layers
# grow like 12: 48 KiB a token, and 18 MiB once. The curves are arithmetic on published configurations; K-EXAONE itself
# was made for 262,144 tokens.

# %%
figure, axis = plt.subplots(figsize=(9, 4.6))
figure.subplots_adjust(right=0.76)
draw_cache_growth(axis, {name: config.model.cache() for name, config in published.items()}, HOUSE)
plt.show()

# %% [markdown]
# ## Measured: what the rings hold
#
# Nano models in bfloat16 read texts of growing length, and the tensors of their caches are counted. Beside each
# stands the same model with every layer global, one override away.

# %%
nano = {
    "K-EXAONE": lab.compose(["model=k_exaone"]),
    "K-EXAONE 2.0": lab.compose(["model=k_exaone_2"]),
    "all layers global": lab.compose(["model=k_exaone", "model.layers.pattern=G"]),
}
lengths = [128, 256, 512, 1024]
held = {name: [] for name in nano}
with torch.no_grad():
    for name, config in nano.items():
        model = lab.build(config).bfloat16().eval()
        for length in lengths:
            caches = model.new_caches(1, length)
            model(torch.arange(length)[None] % config.model.vocab_size, caches=caches)
            held[name].append(cache_bytes_held(caches))
            assert held[name][-1] == config.model.cache().at(length), "measured as predicted, to the byte"

# %% [markdown]
# ## Measured: how far a token is heard
#
# Windows alone would be deaf: through four of them word of the first token travels $4 \cdot (64 - 1) = 252$ positions
# and not one further. One global layer opens the whole text. We change the first token of 512 and watch the last
# hidden states of two nano models (random weights: this is about paths, not about what training makes of them).

# %%
tokens = torch.randint(0, 2048, (1, 512), generator=torch.Generator().manual_seed(1))
heard = {
    pattern: influence_of_first_token(
        lab.build(lab.compose(["model=k_exaone", f"model.layers.pattern={pattern}"])).double().eval(), tokens
    )
    for pattern in ("LLLG", "LLLL")
}
reach = {pattern: int(influence.nonzero().max()) for pattern, influence in heard.items()}

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(1, 1.35))
for (name, sizes), colour in zip(held.items(), ("#bf1487", "#8c0a62", "#b4aea7"), strict=True):
    left.plot(lengths, [size / 1024 for size in sizes], "o-", color=colour, label=name)
left.set(xlabel="text read, tokens", ylabel="cache held, KiB", title="Cache", ylim=(0, None))
left.legend(frameon=False)
for pattern, colour in (("LLLG", "#bf1487"), ("LLLL", "#b4aea7")):
    seen = heard[pattern] > 0
    right.semilogy(seen.nonzero(), heard[pattern][seen], ".", markersize=4, color=colour, label=pattern)
right.axvline(reach["LLLL"], color="#6b6660", linewidth=0.8)
right.annotate(f"four windows end at {reach['LLLL']}", (reach["LLLL"] + 6, 1e-12), color="#6b6660")
right.set(
    xlabel="position, tokens",
    ylabel="relative change of the hidden state",
    title="Influence of the first token",
)
right.legend(frameon=False)
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Counted: what attention computes
#
# A query over $T$ causal tokens meets $(T+1)/2$ keys on average in a global layer and at most 128 in a local one. The
# mask that our kernels use is counted against the formula; then the formula speaks for the published model.

# %%
positions = torch.arange(1024)[None]
for window in (128, None):
    counted = AttentionMask(positions, positions, window=window).dense().sum().item() / 1024
    assert counted == keys_seen(window, 1024)

plan = published["k_exaone"].model.plan()
contexts = [2**power for power in range(10, 19)]
share = [
    sum(keys_seen(layer.window, context) for layer in plan) / (len(plan) * keys_seen(None, context))
    for context in contexts
]
figure, axis = plt.subplots(figsize=(7, 2.8))
axis.plot(contexts, [100 * part for part in share], "o-", color="#bf1487")
axis.axhline(25, color="#b4aea7", linewidth=1)
axis.annotate("12 of 48 layers", (contexts[0], 26.5), color="#6b6660", fontsize="small")
axis.set_xscale("log", base=2)
axis.set_xticks(contexts, [f"{context // 1024}k" for context in contexts])
axis.set(xlabel="context, tokens", ylabel="keys read, % of all global", ylim=(0, 50))
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## What this does not show
#
# Random weights tell which paths exist, not whether 12 global layers are enough to *use* a long text: that is a matter
# of training and of long-context scores. Nor does it time anything. Three details of the released models are not
# settled by public sources: whether the multi-token block of the first generation attends locally (two implementations
# disagree; ours is local), and the norm's epsilon and the router's groups of 2.0 (not confirmed).

# %%
model = lab.build(nano["K-EXAONE"]).eval()
decoded, _ = decoded_logits(model, tokens[:, :200], prompt=100)
with torch.no_grad():
    difference = (decoded - model.logits(tokens[:, :200])[:, 100:]).abs().max().item()
assert difference < 1e-4, "decoding from rings gives what reading at once gives"

growth = {name: (sizes[-1] - sizes[-2]) / (lengths[-1] - lengths[-2]) for name, sizes in held.items()}
assert growth["K-EXAONE"] == growth["all layers global"] / 4, "one layer of four grows"
assert reach == {"LLLG": 511, "LLLL": 4 * (64 - 1)}
assert 0.25 < share[-1] < 0.251 < 0.3 < share[0]
cache = published["k_exaone"].model.cache()
assert (cache.per_token, cache.fixed) == (48 * 1024, 18 * 1024**2)
print(
    f"{cache.at(262_144) / 2**30:.2f} GiB at 262,144 tokens; all global it would be {48 * 4096 * 262_144 / 2**30:.0f}"
)
