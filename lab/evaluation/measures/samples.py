"""Samples: what a trained model writes after the same few words, to be looked at and not to be scored.

The prompts are our own, so that no text of a corpus is repeated by them, and one seed draws for every model.
"""

from lab.data.corpus import Corpus
from lab.evaluation.config import EvaluationConfig
from lab.evaluation.likelihood import evaluating
from lab.model.decoder import Decoder
from lab.model.generate import generate_texts
from lab.model.sampling import Sampling

PROMPTS = {"ko": "이 문서는", "en": "This function returns", "code": "def read_"}
NEW_TOKENS = 48
TEMPERATURE, TOP_P = 0.8, 0.95


def samples(
    model: Decoder, corpus: Corpus, config: EvaluationConfig, trained_length: int
) -> dict[str, dict[str, str]]:
    """``prompt`` and ``text``, up to 48 tokens that follow it, by language; ``config.seed`` draws them.

    A model with fewer positions writes as far as it has them, a language without a prompt of ours is left out.
    """
    prompts = {language: PROMPTS[language] for language in corpus.languages if language in PROMPTS}
    longest = max((len(corpus.tokenizer.encode(prompt)) for prompt in prompts.values()), default=0)
    room = min(NEW_TOKENS, model.config.max_positions - longest - 1)
    if room < 1:
        return {}
    sampling = Sampling(temperature=TEMPERATURE, top_p=TOP_P, seed=config.seed)
    with evaluating(model):
        written = generate_texts(model, corpus.tokenizer, list(prompts.values()), room, sampling)
    return {
        language: {"prompt": prompt, "text": text.removeprefix(prompt)}
        for (language, prompt), text in zip(prompts.items(), written, strict=True)
    }
