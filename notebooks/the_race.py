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
# # What do four sovereign designs do differently, and what do they buy at equal compute?
#
# Four Korean groups trained their own language models: LG AI Research (K-EXAONE), SK Telecom (A.X K1), Upstage (Solar
# Open) and Motif Technologies (Motif 2). Each made other choices. Here they stand side by side with a plain Llama:
# first their published sizes, then the same mechanisms at *nano* scale, then a race of a minute.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML, display

import lab
from lab.race import run_race
from lab.report.race import race_table, read_race
from lab.report.reading import read_aloud
from lab.report.tables import to_markdown

CONTENDERS = ["k_exaone", "ax_k1", "solar_open", "motif_2", "llama"]

# %% [markdown]
# ## Published sizes
#
# Every number below is predicted from the configuration alone; the test suite builds each model and counts. A token
# uses `active` parameters: all of a dense model, a few experts of a mixture.

# %%
rows = []
for name in CONTENDERS:
    config = lab.compose([f"model={name}", "scale=published", "model/multi_token=none"])
    record = lab.size(config, sequence=4096)
    rows.append(
        {
            "contender": name,
            "layers": config.model.layers.count,
            "width": config.model.width,
            "total": record.parameters_total,
            "active": record.parameters_active,
            "cache bytes per token": record.cache_bytes_per_token,
            "cache GiB at 128k": (record.cache_bytes_fixed + 131_072 * record.cache_bytes_per_token) / 2**30,
        }
    )
published = pd.DataFrame(rows).set_index("contender")
published.style.format("{:,.0f}").format("{:.2f}", subset=["cache GiB at 128k"])

# %% [markdown]
# The totals by arithmetic: K-EXAONE has 128 experts of three matrices `6144 x 2048` in 47 of its 48 layers, and that is
# almost all of it.

# %%
experts = 47 * 128 * 3 * 6144 * 2048
k_exaone = published.loc["k_exaone"]
print(
    f"{experts:,} of {k_exaone['total']:,.0f} parameters ({experts / k_exaone['total']:.1%}) are routed experts"
)
assert k_exaone["total"] == 236_571_150_336
assert published.loc["ax_k1", "total"] == 518_983_052_288
assert published.loc["solar_open", "total"] == 102_651_793_408
assert published.loc["motif_2", "total"] == 12_703_860_896

# %% [markdown]
# ## Layer patterns at nano scale
#
# A dark cell attends to everything, a light one to a window. A dot marks a layer without a position signal, a ring a
# layer with experts.

# %%
figure, axis = plt.subplots(figsize=(8, 2.8))
for row, name in enumerate(CONTENDERS):
    for layer in lab.compose([f"model={name}"]).model.plan():
        shade = "#3f57ad" if layer.window is None else "#b9c4ee"
        axis.barh(row, 0.9, left=layer.index, height=0.7, color=shade)
        if layer.rotation is None:
            axis.plot(layer.index + 0.3, row, "o", color="white", markersize=5)
        if layer.sparse:
            axis.plot(
                layer.index + 0.6, row, "o", markeredgecolor="#c48d20", markerfacecolor="none", markersize=8
            )
axis.set_yticks(range(len(CONTENDERS)), CONTENDERS)
axis.invert_yaxis()
axis.set_xlabel("layer, first to last")
axis.spines[["top", "right", "left"]].set_visible(False)
plt.show()

# %% [markdown]
# ## Cache against context
#
# What decoding keeps for one sequence of the published models, in bfloat16. K-EXAONE's windows make three layers of
# four constant; A.X K1 keeps a latent instead of keys and values.

# %%
figure, axis = plt.subplots(figsize=(8, 3.4))
lengths = [2**power for power in range(10, 18)]
for name in CONTENDERS:
    record = lab.size(lab.compose([f"model={name}", "scale=published"]))
    gib = [(record.cache_bytes_fixed + length * record.cache_bytes_per_token) / 2**30 for length in lengths]
    axis.plot(lengths, gib, label=name, color="grey" if name == "llama" else None)
axis.set(xscale="log", yscale="log", xlabel="context, tokens", ylabel="cache, GiB")
axis.legend(frameon=False)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## A short race
#
# All five train on the same Korean, English and code for the same number of training FLOPs, a small fraction of what
# `make race` spends. They are judged in bits per byte of held-out text, which no tokenizer can flatter.

# %%
BUDGET = 2e11
folder = tempfile.TemporaryDirectory()
overrides = [
    f"trainer.budget_flops={BUDGET}",
    "trainer.batch_size=4",
    "trainer.sequence_length=128",
    "model/multi_token=none",
    "optimizer.learning_rate=4e-3",
    "evaluation.max_bytes=8192",
    "evaluation.num_items=40",
    "evaluation.decoding.new_tokens=8",
    "tracker=disabled",
    "name=race",
    f"output={folder.name}",
]
entries = [lab.compose([*overrides, f"model={name}"]) for name in CONTENDERS]
race_folder = run_race(entries, BUDGET)

# %%
race = read_race(race_folder)
display(HTML(pd.read_csv(race_folder / "table.csv").to_html(index=False, na_rep="")))
print(to_markdown(race_table(race)).splitlines()[0])
for sentence in read_aloud(race):
    print(sentence)

# %%
figure, axis = plt.subplots(figsize=(8, 3.4))
for standing in race.standings:
    metrics = standing.runs[0].metrics
    axis.plot(metrics["flops"], metrics["train/loss"], label=standing.identity.title)
axis.set(xlabel="training FLOPs", ylabel="training loss, nats per token")
axis.legend(frameon=False)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## What this does not show
#
# A minute on two cores orders nothing: one seed, a few dozen steps, a few million parameters. The designs were made for
# thousands of times the width, and their savings (windows, latents, experts) pay at contexts and sizes that are not
# here. What it does show is that all five train, by the same code, on the same compute.

# %%
frame = lab.runs(race_folder)
flops = frame["results.training.flops"]
assert len(frame) == len(CONTENDERS)
assert (flops <= BUDGET).all()
assert (flops > 0.9 * BUDGET).all(), "every contender spends the same budget"
for standing in race.standings:
    losses = standing.runs[0].metrics["train/loss"]
    assert losses.iloc[-3:].mean() < losses.iloc[0] - 0.5, f"{standing.key} learns"
korean = [standing.bits_per_byte("ko").mean for standing in race.standings]
assert korean == sorted(korean), "the table is sorted by Korean bits per byte"
assert Path(race_folder, "report.html").stat().st_size > 10_000
folder.cleanup()
