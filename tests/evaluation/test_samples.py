"""Samples of a run: asked for by name, one for each language, the same for the same seed, never beyond the model."""

import json
from collections.abc import Sequence

from lab.evaluation.config import EvaluationConfig
from lab.evaluation.measures.samples import NEW_TOKENS, PROMPTS
from lab.evaluation.measures.take import take_measures
from tests.evaluation.stand_ins import CharacterTokenizer, TinyCorpus, document, tiny_decoder


class Letters(CharacterTokenizer):
    """Reads and writes single texts; tokens beyond the alphabet begin it again."""

    def encode(self, text: str) -> list[int]:
        return self.encode_batch([text])[0]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.characters[(number - 2) % len(self.characters)] for number in ids)


CORPUS = TinyCorpus(training=[], held=[document("h", "세금은 낸다."), document("f", "A tax.", "en")])
CORPUS.tokenizer = Letters("".join(PROMPTS.values()))
CONFIG = EvaluationConfig(measures=["samples"])


def test_a_sample_is_a_prompt_of_ours_and_what_follows_it() -> None:
    model = tiny_decoder()
    (taken,) = take_measures(model, CORPUS, CONFIG, 8).values()
    assert json.loads(json.dumps(taken)) == taken
    assert {language: sample["prompt"] for language, sample in taken.items()} == {
        language: PROMPTS[language] for language in CORPUS.languages
    }
    for sample in taken.values():
        assert 0 < len(CORPUS.tokenizer.encode(sample["text"])) <= NEW_TOKENS
    assert take_measures(model, CORPUS, CONFIG, 8)["samples"] == taken
    other = EvaluationConfig(measures=["samples"], seed=1)
    assert take_measures(model, CORPUS, other, 8)["samples"] != taken
