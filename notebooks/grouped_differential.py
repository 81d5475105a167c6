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
# # Does subtracting noise heads help, and how many signal heads should share one?
#
# **Claim.** Motif 2 (Motif Technologies, arXiv 2511.07464) subtracts from every four signal heads the map of one noise
# head, and says that 4:1 balances best; grouped differential attention (arXiv 2510.06949) finds three or four to one
# better than one to one. We could read no table of either. So: models of equal matrices and equal training FLOPs, and
# a control: softmax attention with as small a cache as 4:1, to tell what sharing costs from what subtracting does.

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import display

import lab
from lab.model.attention.grouped_differential import lambda_init
from lab.model.leaves.layers import keys_seen
from lab.report.comparison import compare, corrected
from lab.report.sweep_verdicts import comparisons, judge

torch.set_num_threads(1)
sweep = lab.read_sweep("experiments/grouped_differential")
RATIOS = [f"ratio_{ratio}" for ratio in range(1, 6)]
GREEN, GREY = "#007a59", "#8c867f"

# %% [markdown]
# ## The equations
#
# Group $g$ has $r$ signal heads $j$ and one noise head $n$, a key for each of the two kinds, and one value of $2d$
# channels; $N$ is RMSNorm over a head, $\lambda$ one learned number a layer that starts at $\lambda_0$:
#
# $$o_{gj} = (1 - \lambda_0)\,N\!\left(\mathrm{softmax}\!\left(\tfrac{q_{gj} k_g^\top}{\sqrt d}\right) V_g - \lambda\,
# \mathrm{softmax}\!\left(\tfrac{q_{gn} k_{gn}^\top}{\sqrt d}\right) V_g\right),\qquad
# \lambda_0 = 0.8 - 0.6\,e^{-0.3(l - 1)}$$
#
# With $r = 1$ this is differential attention (arXiv 2410.05258).

# %%
config = {
    variant: lab.compose(["ablation=grouped_differential", *overrides])
    for variant, overrides in sweep.variants.items()
}
print("lambda starts at", ", ".join(f"{lambda_init(layer):.2f} in layer {layer}" for layer in range(4)))

# %% [markdown]
# ## The sizes, by hand
#
# Softmax has $2Dd(H + K)$ numbers in its matrices, grouped differential attention $DdG\,(r + 1 + 4 + 2r)$: queries,
# keys and values, output; and $6d$ for lambda and the norm. The value's double width enters the FLOPs: $6d$ instead of
# $4d$ for each key a head sees. At equal FLOPs that is paid in tokens.

# %%
D, F, V, LAYERS = 64, 192, 2048, 4
keys = keys_seen(None, 128)
rows = {}
for variant, one in config.items():
    heads = one.model.attention
    d = heads.head_dim
    if heads.kind == "grouped_query":
        queries, matrices, vectors, per_key = (
            heads.num_heads,
            2 * D * d * (heads.num_heads + heads.num_kv_heads),
            0,
            4 * d,
        )
    else:
        r, groups = heads.signal_per_noise, heads.num_groups
        queries, matrices, vectors, per_key = groups * (r + 1), D * d * groups * (3 * r + 5), 6 * d, 6 * d
    parameters = 2 * V * D + LAYERS * (matrices + vectors + 3 * D * F + 2 * D) + D
    flops = 3 * (2 * V * D + LAYERS * (2 * matrices + 6 * D * F + queries * per_key * keys))
    record = lab.size(one)
    assert record.parameters_total == parameters
    assert record.flops_per_token_training == flops
    rows[variant] = {
        "query heads": queries,
        "head width": d,
        "numbers in the attention's matrices, a channel": matrices // D,
        "parameters": parameters,
        "training FLOPs a token": int(flops),
        "cache, bytes a token": record.cache_bytes_per_token,
    }
sizes = pd.DataFrame(rows).T
sizes.style.format("{:,.0f}")

# %% [markdown]
# ## The runs
#
# Five seeds, compared seed by seed; the table is the one of `python -m experiments.table
# sweep=experiments/grouped_differential`.

# %%
display(sweep)

# %%
figure, axes = plt.subplots(1, 3, figsize=(13, 3.9))
for axis, (language, name) in zip(axes, {"ko": "Korean", "en": "English"}.items(), strict=False):
    key = f"bits_per_byte.{language}"
    plain = pd.Series(sweep.by_seed("softmax", key))
    axis.axhline(plain.mean(), color=GREY)
    axis.axhspan(plain.mean() - plain.std(), plain.mean() + plain.std(), color=GREY, alpha=0.2, linewidth=0)
    axis.annotate(
        "softmax, mean ± sd", (1, plain.mean()), xytext=(0, -14), textcoords="offset points", color=GREY
    )
    shared = pd.Series(sweep.by_seed("softmax_shared", key))
    axis.errorbar(4, shared.mean(), shared.std(), color=GREY, marker="s", capsize=3)
    axis.annotate(
        "softmax_shared",
        (4, shared.mean()),
        xytext=(-6, 8),
        textcoords="offset points",
        ha="right",
        color=GREY,
    )
    runs = pd.DataFrame({ratio: sweep.by_seed(variant, key) for ratio, variant in enumerate(RATIOS, 1)})
    axis.plot(runs.columns, runs.mean(), color=GREEN, marker="o")
    axis.fill_between(
        runs.columns, runs.mean() - runs.std(), runs.mean() + runs.std(), color=GREEN, alpha=0.15, linewidth=0
    )
    axis.set(
        title=f"{name}, 5 seeds",
        xlabel="signal heads to a noise head",
        ylabel="bits per byte, lower is better",
    )
    axis.set_xticks(range(1, 6))
shades = [GREY, "#c9c4be", "#00523b", "#007a59", "#3f9d80", "#7fc0aa", "#b5dccf"]
for shade, (variant, band) in zip(shades, sweep.bands.items(), strict=True):
    axes[2].plot(band.flops, band.mean, color=shade, label=variant)
    axes[2].fill_between(band.flops, band.low, band.high, color=shade, alpha=0.15, linewidth=0)
axes[2].set(title="Training", xlabel="training FLOPs", ylabel="loss, bits per token", ylim=(None, 8))
axes[2].legend(frameon=False, fontsize="small")
for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Is an unequal ratio better than one to one?
#
# The claim's own comparison, with one to one as the baseline. Not asked beforehand: corrected for four comparisons, and
# only looked at.

# %%
one_to_one = sweep.by_seed("ratio_1", sweep.metric)
against_one = corrected(
    {variant: compare(sweep.by_seed(variant, sweep.metric), one_to_one) for variant in RATIOS[1:]}
)
pd.DataFrame(
    {
        variant: {
            "Korean bits/byte over 1:1": one.mean,
            "low": one.low,
            "high": one.high,
            "p (Holm)": one.p_corrected,
        }
        for variant, one in against_one.items()
    }
).T.round(4)

# %% [markdown]
# ## Is it sharing?
#
# At a fixed number of heads a higher ratio leaves fewer groups (6, 4, 3, 2, 2), whose keys and values are shared. The
# control shares as much as 4:1 and subtracts nothing.

# %%
subtracting = compare(sweep.by_seed("ratio_4", sweep.metric), sweep.by_seed("softmax_shared", sweep.metric))
sharing = comparisons(sweep, sweep.metric)["softmax_shared"]
pd.DataFrame(
    {
        name: {"Korean bits/byte": one.mean, "low": one.low, "high": one.high, "p": one.p}
        for name, one in {
            "sharing: softmax_shared over softmax": sharing,
            "the rest: 4:1 over softmax_shared": subtracting,
        }.items()
    }
).T.round(4)

# %% [markdown]
# ## What this does not show
#
# Twelve heads on 64 channels make the maps a larger share of the FLOPs than in any published model, and differential
# variants see up to 12 % fewer tokens. A few hundred steps on rows of 128 tokens leave little noise in attention that
# could be subtracted. Which part costs, the noise heads, the doubled values or the norm over each head, was not asked.
#
# Verdict: at this size, with heads, matrices and FLOPs held, softmax is better than every ratio, and one to one better
# than the others; sharing keys and values explains little of it.

# %%
assert sweep.metric == "bits_per_byte.ko"
outcomes = {verdict.variant: verdict.outcome for verdict in judge(sweep)}
assert all(outcomes[variant] == "worse" for variant in RATIOS), "every ratio is worse than softmax"
english = comparisons(sweep, "bits_per_byte.en")
assert all(english[variant].shown and english[variant].mean > 0 for variant in RATIOS), "in English too"
assert all(one.shown and one.mean > 0 for one in against_one.values()), "no ratio beats one to one"
assert subtracting.low > 3 * sharing.mean, "sharing explains little of what 4:1 loses"
assert sizes.loc["softmax", "numbers in the attention's matrices, a channel"] == 672
assert sizes["numbers in the attention's matrices, a channel"].between(640, 704).all()
cache = sizes["cache, bytes a token"]
assert cache["softmax_shared"] == cache["ratio_4"]
for variant in sweep.variants:
    for job in sweep.of(variant):
        assert job.figures["size.parameters_total"] == sizes.loc[variant, "parameters"]
        assert 0.98 * 8e11 < job.figures["training.flops"] <= 8e11, "equal FLOPs"
print({verdict.variant: round(verdict.comparison.mean, 4) for verdict in judge(sweep)})
