"""Models, a tokenizer and a corpus so small that their figures can be worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lab.config import compose
from lab.data.document import Document
from lab.data.tokens import TokenShard
from lab.model.decoder import Decoder, initialise

BEGIN, END = 0, 1

TINY = (
    "scale.vocab_size=512",
    "scale.width=32",
    "scale.layers=2",
    "scale.dense_width=64",
    "scale.heads=2",
    "scale.kv_heads=1",
    "scale.head_dim=16",
)
"""Overrides that make a contender's nano model smaller still."""


def document(name: str, text: str, language: str = "ko") -> Document:
    return Document(id=name, language=language, source="test", text=text, group=name)


def tiny_decoder(seed: int = 0) -> Decoder:
    return initialise(Decoder(compose(["model=llama", *TINY]).model), seed)


class CharacterTokenizer:
    """Every character of ``alphabet`` is a token; 0 begins a document and 1 ends it."""

    begin_id = BEGIN
    end_id = END

    def __init__(self, alphabet: str) -> None:
        self.characters = sorted(set(alphabet))
        self._ids = {character: place + 2 for place, character in enumerate(self.characters)}

    @property
    def vocab_size(self) -> int:
        return len(self.characters) + 2

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [[self._ids[character] for character in text] for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.characters[number - 2] for number in ids if number > END)


class StandIn(nn.Module):
    """A model whose nats are a function of the row's tokens and targets, kept for inspection."""

    def __init__(self, nats: Callable[[list[int], list[int]], list[float]]) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.nats = nats
        self.seen: list[tuple[list[int], list[int]]] = []
        self.scored: list[list[int]] = []
        """The places of each row that had a target."""
        self.modes: list[bool] = []

    def token_losses(self, tokens: Tensor, targets: Tensor) -> Tensor:
        self.modes.append(self.training)
        losses = torch.zeros(tokens.shape)
        for row, (inputs, wanted) in enumerate(zip(tokens.tolist(), targets.tolist(), strict=True)):
            scored = [place for place, target in enumerate(wanted) if target != -100]
            length = scored[-1] + 1 if scored else 0
            inputs, wanted = inputs[:length], [*inputs[1:length], *wanted[length - 1 : length]]
            self.seen.append((inputs, wanted))
            self.scored.append(scored)
            losses[row, scored] = torch.tensor(self.nats(inputs, wanted))[scored]
        return losses


def uniform(vocab_size: int) -> StandIn:
    """Gives every token the same probability."""
    return StandIn(lambda inputs, wanted: [math.log(vocab_size)] * len(wanted))


def judge_of_texts(tokenizer: CharacterTokenizer, nats: Callable[[str], float]) -> StandIn:
    """Charges ``nats(text)`` for a whole text, at its last token."""

    def of_row(inputs: list[int], wanted: list[int]) -> list[float]:
        return [0.0] * (len(wanted) - 1) + [nats(tokenizer.decode(wanted))]

    return StandIn(of_row)


@dataclass
class TinyCorpus:
    """Documents in memory with the interface of :class:`lab.data.corpus.Corpus`."""

    training: list[Document]
    held: list[Document]
    tokenizer: CharacterTokenizer = field(init=False)
    directory: Path = Path()

    def __post_init__(self) -> None:
        self.tokenizer = CharacterTokenizer("".join(one.text for one in self.training + self.held))

    @property
    def languages(self) -> tuple[str, ...]:
        present = {one.language for one in self.held}
        return tuple(language for language in ("ko", "en", "code") if language in present)

    def held_out(self, language: str) -> list[Document]:
        return [one for one in self.held if one.language == language]

    def train_tokens(self, language: str) -> TokenShard:
        texts = [one.text for one in self.training if one.language == language]
        encoded = [[BEGIN, *ids, END] for ids in self.tokenizer.encode_batch(texts)]
        lengths = [0, *map(len, encoded)]
        return TokenShard(np.concatenate(encoded).astype(np.uint16), np.cumsum(lengths))
