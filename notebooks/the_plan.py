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
# # What would it take to train and to serve one of these models?
#
# The race is also one of capital: 768 B200s for a team in the first half of 2026, about 1,000 in the second, 560
# billion won for one company and 24 billion for another. Three questions, answered by the planner from published
# configurations, prices and runs:
#
# 1. Could 24 billion won have trained Motif 3?
# 2. What would 1,000 B200s change?
# 3. What did each contender's design save in serving?
#
# Every figure is an interval that should hold the truth four times in five, and its largest contributors are named.

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

import lab
from lab.planner.config import BudgetConfig, ClusterConfig
from lab.planner.describe import plan_lines
from lab.planner.facts import device
from lab.planner.fastest import plan_for
from lab.planner.money import price
from lab.planner.plans import Candidate, Request
from lab.planner.plots import tornado_figure, what_if_figure
from lab.planner.quantity import DAY, DEVICE_HOUR, GIB, TOKEN, WON
from lab.planner.search import search
from lab.planner.serving import Service, serve
from lab.report.contenders import BASELINE, KNOWN

# %% [markdown]
# ## Could 24 billion won have trained Motif 3?
#
# Motif 3 saw 12.5 trillion tokens (arXiv 2608.09119, read through digests). The cluster is the team's allotment, the
# money its series B, and the price of a device-hour is whatever was published for a B200, the state's lease included.

# %%
overrides = ("model=motif_3", "scale=published")
motif_3 = Candidate("motif_3", lab.compose(overrides).model, overrides)
request = Request(
    cluster=ClusterConfig("b200_768", "b200", 768),
    budget=BudgetConfig(won=24e9, deadline_days=161),
    tokens=12.5e12 * TOKEN,
    precision="fp8",
)
found = search(request, [motif_3])
once = found.recommended
print("\n".join(plan_lines(found, request)))
display(tornado_figure(once))

# %% [markdown]
# One run, yes, with room to spare: the interval's upper end lies below 24 billion won. The hours behind it are all-in
# as houses report theirs, failures and restarts included. Staff, data, the smaller runs before and the post-training
# after are not in it, and what the run did take is not published.

# %%
runs_for_the_money = 24e9 * WON / once.cost.central
print(f"{runs_for_the_money:.1f} such runs for 24 billion won, at the central estimate")

# %% [markdown]
# ## What would 1,000 B200s change?
#
# The same model and the same days, with money out of the way. The calendar then decides how many tokens are reached,
# with a chance of 80 %.

# %%
rows = []
for devices in (512, 768, 1000, 2000):
    asked = replace(
        request,
        cluster=ClusterConfig(f"b200_{devices}", "b200", devices),
        budget=BudgetConfig(deadline_days=161),
        text=1e15 * TOKEN,
    )
    fixed, open_ended = plan_for(asked, motif_3), plan_for(replace(asked, tokens=None), motif_3)
    rows.append(
        {
            "devices": devices,
            "days for 12.5T": fixed.days.central.to(DAY),
            "low": fixed.days.range.low.to(DAY),
            "high": fixed.days.range.high.to(DAY),
            "trillion tokens in 161 days": open_ended.tokens.to(1e12 * TOKEN),
            "at work": fixed.layout.devices,
            "tensor x pipeline": f"{fixed.layout.tensor} x {fixed.layout.pipeline}",
        }
    )
clusters = pd.DataFrame(rows).set_index("devices")
display(clusters.round(1))
display(what_if_figure(once, request))

# %% [markdown]
# A third more devices is about a quarter less time: nothing in this model's training waits for a larger cluster. (1,000
# is an awkward number, so a few devices stay idle.) For one final run of this size even 512 would have done; what more
# devices buy is the experiments before it.

# %% [markdown]
# ## What did each contender's design save in serving?
#
# Each model beside its own twin that differs in one thing: attention is that of Solar Open everywhere (64 query heads
# over 8 key heads of 128 channels, no window, no latent, no recurrence). Experts, width and depth stay. Weights in fp8,
# 131,072 tokens of context, a reader who waits for no less than 20 tokens a second.

# %%
PLAIN = [
    "model/attention=grouped_query",
    "model/linear_attention=none",
    "model.layers.pattern=G",
    "model.layers.lead=''",
    "model.layers.windows={}",
    "scale.heads=64",
    "scale.kv_heads=8",
    "scale.head_dim=128",
]
CONTEXTS = (8192, 131_072, 1_048_576)
rent = price("b200", BudgetConfig())
rows = []
for name in KNOWN:
    if name == BASELINE:
        continue
    base = [f"model={name}", "scale=published", "model/multi_token=none"]
    own, plain = lab.compose(base).model, lab.compose([*base, *PLAIN]).model
    for context in CONTEXTS:
        costs = [serve(model, device("b200"), Service(context)) for model in (own, plain)]
        written = [cost.per_million(rent)[1] for cost in costs]
        rows.append(
            {
                "contender": KNOWN[name].title,
                "context": context,
                "cache GiB": costs[0].cache_per_sequence.to(GIB),
                "devices": costs[0].devices,
                "won per million written": written[0].central.to(WON),
                "low": written[0].range.low.to(WON),
                "high": written[0].range.high.to(WON),
                "plain twin": written[1].central.to(WON),
                "saved": float(written[1].central / written[0].central),
            }
        )
serving = pd.DataFrame(rows).set_index(["contender", "context"])
display(serving.round(1))

# %%
at_128k = serving.xs(131_072, level="context")
figure, axis = plt.subplots(figsize=(8, 3.8), layout="constrained")
colours = {one.title: one.light for one in KNOWN.values()}
places = np.arange(len(at_128k))
axis.hlines(places, at_128k["won per million written"], at_128k["plain twin"], color="#d9d5d0", linewidth=5)
axis.plot(at_128k["plain twin"], places, "o", color="#b4aea7", markersize=8, label="plain twin")
for place, (title, row) in zip(places, at_128k.iterrows(), strict=True):
    axis.plot(row["won per million written"], place, "o", color=colours[title], markersize=9)
    axis.annotate(
        f"{row['saved']:.1f}x",
        (row["won per million written"], place),
        xytext=(0, 9),
        textcoords="offset points",
        ha="center",
        fontsize="small",
        color=colours[title],
    )
axis.set_yticks(places, at_128k.index)
axis.invert_yaxis()
axis.set(xscale="log", xlabel="won per million tokens written, at 131,072 tokens of context")
axis.spines[["top", "right"]].set_visible(False)
axis.set_xticks([2000, 5000, 10_000, 20_000], ["2,000", "5,000", "10,000", "20,000"])
axis.minorticks_off()
axis.legend(frameon=False, loc="upper left")
plt.show()

# %% [markdown]
# Decoding at this length is the reading of caches, so the saving follows the cache and not the parameters. The largest
# comes from Motif 3's latents in a quarter of its layers and from the keys that A.X K2 does not read; windows and
# recurrent layers, three in four, give K-EXAONE and Solar Open 2 about four. Solar Open is its own twin. Motif 2 and
# Motif 2.6B pay: differential attention with sixteen or more key heads keeps more than the plain form does, and they
# were made for short contexts.
#
# ## What this does not show
#
# Serving times are rooflines divided by efficiencies that nobody has published for these models, so their ranges are
# assumed and said to be. Ratios between designs are firmer than won. Predicted training cost rests on the houses' own
# counts of device-hours, whose scope is seldom stated.

# %%
assert once.cost.range.high < 24e9 * WON, "one run fits the series B even at the upper end"
assert once.binds == "nothing"
assert runs_for_the_money > 2
assert (clusters["low"] < clusters["days for 12.5T"]).all()
ratio = clusters.loc[768, "days for 12.5T"] / clusters.loc[1000, "days for 12.5T"]
assert 1.1 < ratio < 1000 / 768 * 1.1, "1,000 devices shorten the run about in proportion"
assert clusters["trillion tokens in 161 days"].is_monotonic_increasing
saved = at_128k["saved"]
assert np.isclose(saved["Solar Open"], 1.0)
assert saved["Motif 3"] > 5
assert saved["A.X K2"] > saved["A.X K1"] > 1
assert 3 < saved["K-EXAONE"] < 6
assert 3 < saved["Solar Open 2"] < 6
assert saved["Motif 2"] < 1
assert once.device_time.central > 1e5 * DEVICE_HOUR
