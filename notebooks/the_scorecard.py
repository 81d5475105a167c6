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
# # How does the ranking of the second evaluation depend on its weights?
#
# In August 2026 four sovereign models were scored out of 100 points: 40 for benchmarks, 35 from experts, 25 from users.
# Three teams advanced. The Ministry of Science and ICT published the best score, the mean and the spread of the parts,
# but never a table by team. The press gave four totals and one team's breakdown. Here the table is put together from
# these pieces, and then the weights are moved.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from lab.evaluation.scorecard.published import read_published
from lab.evaluation.scorecard.reconstruction import reconstruct
from lab.evaluation.scorecard.rules import ROUND_2, index_value, omniscience
from lab.evaluation.scorecard.sensitivity import BLOCKS, PARTS, crossings, rank, simplex, spread_of_parts
from lab.report.scorecard import (
    crossing_table,
    draw_points,
    draw_simplex,
    draw_sweep,
    ranking_table,
    round_1_table,
    round_2_table,
)
from lab.report.tables import to_markdown

published = read_published()

# %% [markdown]
# ## January 2026: one team's scores
#
# The first round published LG's scores and the means. The other four teams' were withheld, and users' points were
# scaled so that the best team got all 25: nothing can be weighed anew.

# %%
display(Markdown(to_markdown(round_1_table(published))))

# %% [markdown]
# ## August 2026: the only table that fits
#
# Every score has one decimal. An exhaustive search over tenths of a point keeps the tables that agree with each
# published winner, mean, spread, total and index value. It finds one; only how two teams' user points split between
# expert users and the public stays open.

# %%
found = reconstruct(published)
print(f"{found.distinct} table by blocks, {len(found.tables)} with the open split of user points")
display(Markdown(to_markdown(round_2_table(found, published))))

# %% [markdown]
# The pieces are all needed. Without the two published spreads of the expert and the user block, more tables fit:

# %%
spreads = [*published.of(2, "expert", "spread"), *published.of(2, "user", "spread")]
looser = reconstruct(published, without=spreads)
print(f"{looser.distinct} tables by blocks without the two spreads")

# %% [markdown]
# ## Points by part

# %%
figure, axis = plt.subplots(figsize=(8, 3.6))
draw_points(axis, found.rows)
plt.show()
spread = spread_of_parts(found.rows)
for part, points in spread.items():
    print(f"{part:>9}: {points:.1f} of {ROUND_2.points[part]} points between best and worst")

# %% [markdown]
# What a part decides is its spread, not its weight. Users gave the widest one, NIA's closed set hardly tells the
# four apart.
#
# ## Moving one weight
#
# The other parts keep their proportions. The broken line is the official weight.

# %%
figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), sharey=True)
for axis, part in zip(axes, (*BLOCKS, "aaii"), strict=True):
    draw_sweep(axis, found.rows, part)
axes[0].legend(frameon=False, fontsize="small")
for axis in axes[1:]:
    axis.set_ylabel("")
plt.show()
display(Markdown(to_markdown(crossing_table(found.rows, published))))

# %% [markdown]
# ## Every weighting at once
#
# A corner counts one block alone. The ring is 40, 35, 25. The left picture shows who comes first, the right one who
# comes last, which is who would have left.

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 4.6))
for axis, place in zip(axes, (1, len(found.rows)), strict=True):
    draw_simplex(axis, found.rows, place)
axes[0].set_title("first")
axes[1].set_title("last")
handles = {
    label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
}
figure.legend(handles.values(), handles, frameon=False, ncols=4, loc="lower center")
plt.show()

# %%
grid = simplex(found.rows, 60)
for place, word in ((0, "first"), (-1, "last")):
    holders = [ranking.order[place] for _, ranking in grid]
    shares = {team: holders.count(team) / len(grid) for team in sorted(set(holders))}
    print(word, {team: f"{share:.0%} of the weightings" for team, share in shares.items()})
display(
    Markdown(to_markdown(ranking_table(found.rows, {"benchmark": 60, "expert": 25, "user": 15}, published)))
)

# %% [markdown]
# ## The index behind the benchmark block
#
# The ministry published the components' weights. Motif's own figures, put in, come within a point of what was measured.
# How AA-Omniscience becomes one number is not published; here it is the mean of its two rates.

# %%
components = published.motif_3_components | {"AA-Omniscience": omniscience(**published.motif_3_omniscience)}
print(f"formula {index_value(components):.1f}, measured {published.index_values['motif']}")

# %% [markdown]
# ## What this does not show
#
# The table holds as far as the press totals and Motif's breakdown do: no official table exists to compare with. And a
# ranking by other weights is arithmetic on the same answers; under other rules the teams would have built otherwise.

# %%
assert found.distinct == 1, "the published pieces leave one table by blocks"
assert looser.distinct > 1, "and they do so only together"
totals = rank(found.rows, {block: ROUND_2.points[block] for block in BLOCKS}).totals
assert list(totals) == ["skt", "upstage", "lg", "motif"]
assert all(higher > lower for higher, lower in pairwise(totals.values()))
best = max(found.rows, key=lambda row: row.benchmark)
assert best.team == "motif" == min(found.rows, key=lambda row: row.user).team, (
    "first in benchmarks, last with users"
)
assert spread["user"] > spread["benchmark"] > spread["expert"] > spread["nia"]
(passed,) = [one for one in crossings(found.rows, "aaii") if {one.above, one.below} == {"motif", "lg"}]
assert passed.above == "motif"
assert abs(passed.weight - 0.372) < 0.001, "Motif passes LG where AAII weighs more than 37 % of the whole"
without_public = {row.team: row.total - row.user_public[0] for row in found.rows}
assert min(without_public, key=without_public.get) == "motif", "the public's vote did not decide who left"
assert set(PARTS) < set(spread)
