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
# # Which layers need a position signal, if a model trained on short rows is to read long ones?
#
# **Claim.** K-EXAONE (LG AI Research, arXiv 2601.01739) rotates queries and keys on its windowed layers only; global
# layers have no position signal, which is said to serve contexts longer than those of training. No ablation was found
# in what we could read of the report. So we ask: RoPE everywhere, RoPE on windowed layers only, or none (NoPE),
# trained on rows of 64 tokens, read at up to 512?

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import display

import lab
from lab.model.leaves.layers import keys_seen
from lab.report.comparison import compare, corrected
from lab.report.sweep_verdicts import comparisons, judge

torch.set_num_threads(1)
LENGTHS = ["x1", "x2", "x4", "x8"]
COLOURS = {"rope_everywhere": "#8c867f", "nope_on_global": "#a50034", "nope_everywhere": "#3f57ad"}
LANGUAGES = {"ko": "Korean", "en": "English", "code": "Code"}
sweep = lab.read_sweep("experiments/position_by_layer")

# %% [markdown]
# ## The equations
#
# A layer with a rotation turns each pair of channels of a query at position $m$ and of a key at position $n$, so that
# their product depends on the distance alone; one without it sees a bag of keys, cut by the causal mask and, where it
# has one, by its window of $W$ keys:
#
# $$s_{mn} = \frac{1}{\sqrt d}\, q_m^\top R_{n - m}\, k_n \quad(\text{RoPE}),\qquad
# s_{mn} = \frac{1}{\sqrt d}\, q_m^\top k_n \quad(\text{NoPE}),\qquad
# R_\Delta = \mathrm{diag}\left(\text{rotation by } \Delta\,\theta^{-2i/d}\right)$$
#
# Read beyond the trained length, a rotated layer with a window meets no new distance. A rotated global layer meets
# angles $\Delta\,\theta^{-2i/d}$ that it never saw: that is what the claim is about.

# %%
config = {
    variant: lab.compose(["ablation=position_by_layer", *overrides])
    for variant, overrides in sweep.variants.items()
}
pd.DataFrame(
    {
        variant: {
            f"layer {layer.index}: {layer.mixer}": "RoPE" if layer.rotation else "none"
            for layer in one.model.plan()
        }
        for variant, one in config.items()
    }
)

# %% [markdown]
# How many turns a pair of channels of the global layer makes in 64 tokens (training) and in 512: with a base of 10⁶,
# most pairs stay within a fraction of one turn, and the slow ones enter new ground.

# %%
rotation = config["rope_everywhere"].model.plan()[-1].rotation
head_dim = config["rope_everywhere"].model.attention.head_dim
turns = pd.DataFrame(
    {
        f"turns in {length} tokens": [
            length * frequency / (2 * torch.pi) for frequency in rotation.inverse_frequencies(head_dim)
        ]
        for length in (64, 512)
    }
)
turns.round(4)

# %% [markdown]
# ## The sizes, by hand
#
# A position signal has no parameters: the three are equal to the last one, and so are FLOPs and tokens. Only the window
# enters the FLOPs: a query of a windowed layer sees 16 keys at most.

# %%
model = config["rope_everywhere"].model
D, H, K, d, F, V = 64, 4, 2, 16, 192, 2048
attention = D * d * (2 * H + 2 * K) + 2 * d  # projections; norms of queries and keys
layer = attention + 3 * D * F + 2 * D
parameters = 2 * V * D + 4 * layer + D
keys = 3 * keys_seen(16, 64) + keys_seen(None, 64)
forward = 2 * (V * D + 4 * (attention - 2 * d + 3 * D * F)) + 4 * keys * H * d
for variant, one in config.items():
    record = lab.size(one)
    assert record.parameters_total == parameters
    assert record.flops_per_token_training == 3 * forward
    print(
        f"{variant:<16} {record.parameters_total:,} parameters, {8e11 / (3 * forward):,.0f} tokens for 8e11 FLOPs"
    )

# %% [markdown]
# ## The runs
#
# Five seeds, compared seed by seed; the table is the one of `python -m experiments.table
# sweep=experiments/position_by_layer`. A text of 512 tokens out of one held-out document is read in windows of 64, 128,
# 256 and 512, each by itself: the same tokens are scored at every length.

# %%
display(sweep)

# %%
figure, axes = plt.subplots(1, 5, figsize=(18, 3.8))
for variant, colour in COLOURS.items():
    runs = pd.DataFrame(
        {length: sweep.by_seed(variant, f"measures.long_context.ko.{length}") for length in LENGTHS}
    )
    mean, deviation = runs.mean(), runs.std()
    axes[0].plot(range(4), mean, color=colour, marker="o", label=variant)
    axes[0].fill_between(range(4), mean - deviation, mean + deviation, color=colour, alpha=0.15, linewidth=0)
axes[0].set(title="Korean, mean ± sd of 5 seeds", ylabel="bits per byte")
axes[0].legend(frameon=False)
for axis, (language, name) in zip(axes[1:4], LANGUAGES.items(), strict=True):
    axis.axhline(0, color=COLOURS["rope_everywhere"])
    for variant in ("nope_on_global", "nope_everywhere"):
        compared = [
            comparisons(sweep, f"measures.long_context.{language}.{length}")[variant] for length in LENGTHS
        ]
        low, high = zip(*(one.tested[:2] for one in compared), strict=True)
        axis.plot(range(4), [one.mean for one in compared], color=COLOURS[variant], marker="o")
        axis.fill_between(range(4), low, high, color=COLOURS[variant], alpha=0.15, linewidth=0)
    axis.set(title=f"{name}, over RoPE everywhere", ylim=(-0.04, 0.04))
axes[1].set_ylabel("difference and its 95 % interval")
for axis in axes[:4]:
    axis.set_xlabel("window, tokens")
    axis.set_xticks(range(4), [64, 128, 256, 512])
gains = {
    variant: {
        seed: sweep.by_seed(variant, "measures.long_context.ko.x1")[seed] - long
        for seed, long in sweep.by_seed(variant, "measures.long_context.ko.x8").items()
    }
    for variant in COLOURS
}
for place, (variant, colour) in enumerate(COLOURS.items()):
    axes[4].scatter([place] * 5, gains[variant].values(), color=colour)
axes[4].set_xticks(range(3), ["RoPE\neverywhere", "none on\nglobal", "none"])
axes[4].set(title="Saved by 512 over 64, Korean", ylim=(0, 0.05), xlim=(-0.5, 2.5))
for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)
figure.tight_layout()
plt.show()

# %% [markdown]
# ## What longer windows save
#
# The claim is about length, so the difference of differences decides it: do windows of 512 save more over windows of 64
# under one signal than under another? Not asked beforehand, hence only looked at.

# %%
saved = corrected(
    {
        variant: compare(gains[variant], gains[sweep.baseline])
        for variant in ("nope_on_global", "nope_everywhere")
    }
)
pd.DataFrame(
    {
        variant: {
            "more saved than by RoPE everywhere": one.mean,
            "low": one.low,
            "high": one.high,
            "p (Holm)": one.p_corrected,
        }
        for variant, one in saved.items()
    }
).T.round(4)

# %% [markdown]
# ## The search
#
# Two seeds chose the same rate for all. The first alone had chosen the middle one for RoPE everywhere, and the runs of
# that choice lagged in English and code: a difference of rates that looked like one of positions.

# %%
pd.DataFrame(
    {
        (variant, key): {
            option: sum(values) / len(values) for option, values in sweep.searched(variant, key).items()
        }
        for variant in ("rope_everywhere", "nope_on_global")
        for key in (
            "measures.long_context.ko.x8",
            "measures.long_context.en.x8",
            "measures.long_context.code.x8",
        )
    }
).rename(columns=lambda name: name.removeprefix("measures.long_context.")).round(4)

# %% [markdown]
# ## What this does not show
#
# One global layer of four, 512 tokens at most, 459 thousand parameters and 395 thousand training tokens: such a model
# hardly uses what stands more than a hundred tokens back, and a base of 10⁶ is made for far longer texts. A stack of
# global layers, a smaller base, a task that needs a fact from far away may break where bits per byte here do not.
#
# Verdict: global layers do without a rotation at no cost that shows; no gain in length shows either. No position signal
# anywhere costs, most of it at the trained length already, and makes less of longer windows.

# %%
assert sweep.metric == "measures.long_context.ko.x8"
outcomes = {verdict.variant: verdict for verdict in judge(sweep)}
assert outcomes["nope_on_global"].outcome == "no difference shown"
assert max(map(abs, outcomes["nope_on_global"].comparison.tested[:2])) < 0.01, (
    "nor is there room for a large one"
)
assert outcomes["nope_everywhere"].outcome == "worse"
for language in LANGUAGES:
    for variant in sweep.variants:
        by_length = [
            sweep.by_seed(variant, f"measures.long_context.{language}.{length}") for length in LENGTHS
        ]
        for shorter, longer in pairwise(by_length):
            assert all(longer[seed] < shorter[seed] for seed in sweep.seeds), (
                "no variant breaks in longer windows"
            )
assert not saved["nope_on_global"].shown, "K-EXAONE's choice makes no more of a longer window"
assert saved["nope_everywhere"].shown, "no signal at all makes less of it"
assert saved["nope_everywhere"].mean < 0
at_trained_length = comparisons(sweep, "measures.long_context.ko.x1")["nope_everywhere"]
assert at_trained_length.shown, "no signal at all costs at the trained length already"
for variant in sweep.variants:
    for job in sweep.of(variant):
        assert job.figures["size.parameters_total"] == parameters
        assert job.figures["training.flops"] == job.figures["training.tokens"] * 3 * forward
print({variant: one.outcome for variant, one in outcomes.items()})
