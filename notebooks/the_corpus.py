# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What does the laboratory train on, and how hard is it to predict?
#
# No text is kept in the repository. The corpus is extracted from pinned packages at set-up: Korean law and software
# messages, English documentation, Python code. This notebook says what is in it, how many bytes a token covers, and how
# far simple methods get: an n-gram model and a compressor are the yardsticks that a network must beat.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import lab
from lab.data.loader import stream_tokens
from lab.evaluation.yardsticks import yardsticks
from lab.job import prepare_corpus

config = lab.compose()
corpus = prepare_corpus(config)
LANGUAGES = list(corpus.languages)

# %% [markdown]
# ## Amounts
#
# Documents are split before anything else is derived from them; near-duplicates never straddle the split.

# %%
amounts = pd.DataFrame(
    [
        {"language": language, "split": split, **corpus.manifest["languages"][language][split]}
        for language in LANGUAGES
        for split in ("train", "held_out")
    ]
).set_index(["language", "split"])
amounts.style.format("{:,}")

# %% [markdown]
# ## Where it comes from

# %%
sources = pd.DataFrame(corpus.manifest["sources"])
sources[[column for column in ("package", "version", "licence", "extractor") if column in sources]]

# %% [markdown]
# One held-out document of each language, as it is:

# %%
for language in LANGUAGES:
    document = corpus.held_out(language)[0]
    print(f"--- {language}, from {document.source}\n{document.text[:300]}\n")

# %% [markdown]
# ## Fertility
#
# The tokenizer is byte-level byte-pair encoding trained on the training split. A Korean syllable takes three bytes in
# UTF-8, so bytes per token look better than characters per token. On held-out text:

# %%
rows = []
for language in LANGUAGES:
    texts = [document.text for document in corpus.held_out(language)]
    tokens = sum(len(corpus.tokenizer.encode(text)) for text in texts)
    characters, octets = sum(map(len, texts)), sum(len(text.encode()) for text in texts)
    words = sum(len(text.split()) for text in texts)
    rows.append(
        {
            "language": language,
            "bytes per token": octets / tokens,
            "characters per token": characters / tokens,
            "tokens per word": tokens / words,
        }
    )
fertility = pd.DataFrame(rows).set_index("language")
fertility.style.format("{:.2f}")

# %% [markdown]
# ## Yardsticks
#
# Bits per byte is the number of bits a method needs for each byte of held-out text: with probabilities $p$ of the
# tokens $t_i$ of a text of $n$ bytes, $-\frac{1}{n}\sum_i \log_2 p(t_i \mid t_{<i})$. A model without any knowledge
# needs 8. The n-gram models interpolate Kneser-Ney estimates; xz may look at the training text first.

# %%
budgets = [25_000, 100_000, 400_000]
curves = {
    tokens: yardsticks(
        corpus,
        config.evaluation,
        stream_tokens(corpus, 256, 8, dict.fromkeys(LANGUAGES, 1.0), seed=0, num_tokens=3 * tokens),
    )["yardsticks"]
    for tokens in budgets
}
figure, axes = plt.subplots(1, len(LANGUAGES), figsize=(9, 3), sharey=True)
for axis, language in zip(axes, LANGUAGES, strict=True):
    for name, colour in (("bigram", "grey"), ("five_gram", "#3f57ad"), ("xz", "#c48d20")):
        axis.plot(
            budgets, [curves[tokens][name][language] for tokens in budgets], "o-", color=colour, label=name
        )
    axis.set(title=language, xscale="log", xlabel="training tokens of the language")
    axis.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("bits per byte, held out")
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# ## What this does not show
#
# The Korean here is legal and administrative prose and the language of software. A score on it is a score on that
# register, not on Korean at large.

# %%
train = {d.id for language in LANGUAGES for d in corpus.train(language)}
held_out = {d.id for language in LANGUAGES for d in corpus.held_out(language)}
assert not train & held_out, "no document is in both splits"
assert (amounts["documents"] > 0).all()
assert fertility.loc["ko", "characters per token"] < fertility.loc["en", "characters per token"]
for language in LANGUAGES:
    most = curves[budgets[-1]]
    assert curves[budgets[0]]["bigram"][language] > most["bigram"][language], "more text helps"
    assert most["five_gram"][language] < most["bigram"][language] < 8, "longer contexts help"
