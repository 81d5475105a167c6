"""Generation: from prompts to tokens or texts, with caches, greedy, sampled or speculative."""

from lab.model.generate.decode import continuations, decode, generate
from lab.model.generate.rows import Rows
from lab.model.generate.speculative import Speculation
from lab.model.generate.text import TextTokenizer, generate_texts, stream_text, stream_texts
from lab.model.sampling import Sampling

__all__ = [
    "Rows",
    "Sampling",
    "Speculation",
    "TextTokenizer",
    "continuations",
    "decode",
    "generate",
    "generate_texts",
    "stream_text",
    "stream_texts",
]
