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
# # Does a cosine of 0.97 between norm weights show that one model derives from another?
#
# On 1 January 2026 a report said that Solar Open 100B derives from GLM-4.5-Air: the weights of their norms had, layer
# by layer, a cosine of 0.95 to 0.99, "182 sigma" above a baseline. Within two days others had measured again, and on 3
# January the author apologised. Here are the published figures, the one line that predicts them, and what a test with
# a null says of models whose history is known.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from lab.independence.audit import audit
from lab.independence.config import AuditConfig
from lab.independence.norm_cosine import norm_comparison, predicted_cosine
from lab.independence.testbed.models import as_weights, parent, train

# %% [markdown]
# ## What was published
#
# Means over layers 0 to 45 (github.com/sionic-ai/solar-vs-glm for the claim, the rest from
# github.com/ANLGBOY/solar-vs-glm-sanity-check): shuffling the coordinates of one of the two vectors, which destroys
# whatever they have in common, leaves the cosine where it was.

# %%
published = pd.DataFrame(
    {
        "cosine": [0.9487, 0.9864],
        "coordinates shuffled": [0.9490, 0.9865],
        "mean removed": [0.0126, -0.0019],
    },
    index=["input norm", "post-attention norm"],
)
published

# %% [markdown]
# An unrelated third model of the same width, Phi-3.5-MoE, is as "similar" to both
# (github.com/hyunwoongko/solar-vs-glm-vs-phi, input norm):

# %%
control = pd.DataFrame(
    {
        "Solar Open and GLM": [0.981, 0.992, 0.991],
        "Solar Open and Phi": [0.978, 0.991, 0.988],
        "GLM and Phi": [0.988, 0.993, 0.992],
    },
    index=pd.Index([10, 20, 30], name="layer"),
)
control

# %% [markdown]
# ## One line
#
# For any two vectors with coefficients of variation $c_a$, $c_b$ (standard deviation over mean) and Pearson correlation
# $r$,
#
# $$\cos = \frac{1 + r\,c_a c_b}{\sqrt{(1+c_a^2)(1+c_b^2)}}.$$
#
# Norm weights are positive and vary little, so the cosine is near 1 *for r = 0*. Deep layers have c of about 0.1; layer
# 0's input norm, the one that made the baseline look low, has about 2.5, and there the published cosine was 0.127.

# %%
variation = np.logspace(-2, 1, 200)
figure, axis = plt.subplots(figsize=(7, 3.4))
axis.plot(variation, predicted_cosine(variation, variation), color="#3f57ad")
axis.plot([2.5], [0.127], "o", color="#c48d20", label="published: layer 0, input norm")
axis.axhspan(0.978, 0.993, color="#b9c4ee", alpha=0.6, label="published: layers 10 to 30, all three pairs")
axis.set(xscale="log", xlabel="coefficient of variation of both", ylabel="cosine predicted for r = 0")
axis.legend(frameon=False)
axis.spines[["top", "right"]].set_visible(False)
plt.show()
print(f"c = 0.1 predicts {predicted_cosine(0.1, 0.1):.3f}, c = 2.5 predicts {predicted_cosine(2.5, 2.5):.3f}")

# %% [markdown]
# ## Models whose history is known
#
# Two tiny models trained from different random draws, and a third fine-tuned from the first on another language.

# %%
torch.set_num_threads(1)
original, stranger = parent(0, 0), parent(1, 1)
child = train(original, data=2, order=7, steps=40)
pairs = {
    "unrelated": (as_weights("original", original), as_weights("stranger", stranger)),
    "fine-tuned": (as_weights("original", original), as_weights("child", child)),
}
norms = pd.DataFrame({name: vars(norm_comparison(*pair, seed=0)) for name, pair in pairs.items()}).T
norms

# %% [markdown]
# The cosine calls both pairs nearly identical. An honest test compares all weights with what coordinates in another
# order would have given, corrects for the number of tests, and says what it could have missed.

# %%
audits = {name: audit(*pair, AuditConfig()) for name, pair in pairs.items()}
pd.DataFrame({name: {v.module: v.words for v in result.verdicts} for name, result in audits.items()})

# %% [markdown]
# ## What this does not show
#
# That nothing was detected proves no independence: long training hides a start, and a common seed looks like a
# derivation. Whether weights were initialised and then trained is shown by logs and first checkpoints. Upstage showed
# such logs on 2 January; they are not public as files.

# %%
assert (published["cosine"] - published["coordinates shuffled"]).abs().max() < 5e-4, (
    "shuffling changes nothing"
)
assert abs(predicted_cosine(2.5, 2.5) - 0.127) < 0.015, "the low baseline is the spread of one norm"
assert abs(predicted_cosine(0.1, 0.1) - control.to_numpy().mean()) < 0.01, "so are the high values"
assert (norms["cosine"] > 0.99).all(), "the cosine cannot tell a child from a stranger"
assert (norms["cosine"] - norms["shuffled_cosine"]).abs().max() < 0.01
assert audits["fine-tuned"].verdict("whole").words == "shares weights"
assert audits["unrelated"].verdict("whole").words.startswith("no shared weights detected above")
