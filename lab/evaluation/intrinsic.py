"""Bits per byte by position: what a model needs for text when it has read so much before, trained lengths or not.

Documents of one kind are joined, cut into texts of ``window`` tokens, and each token's bits and bytes are counted
to the range of positions it stands in. Bytes are those of the text itself: the ranges of one text are cut where its
first so many tokens end, and add up to its bytes exactly, whatever the tokenizer.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lab.data.document import Document
from lab.errors import ConfigError
from lab.evaluation.likelihood import LanguageModel, TextTokenizer, evaluating
from lab.evaluation.scoring import Progress, require_finite, token_edges
from lab.evaluation.statistics import bootstrap_ratio


@dataclass(frozen=True)
class PositionBits:
    """Bits and bytes ``[texts, ranges]`` by text and range of positions; ``ranges`` are ``(first, end)`` in tokens."""

    ranges: tuple[tuple[int, int], ...]
    bits: NDArray[np.float64]
    bytes: NDArray[np.int64]

    def as_dict(self, seed: int) -> dict[str, Any]:
        """Plain data: bits per byte over all, and by range with a 95 % bootstrap interval over texts."""
        rows = []
        for column, (first, end) in enumerate(self.ranges):
            bits, size = self.bits[:, column], self.bytes[:, column]
            held = size > 0
            if held.any():
                low, high = bootstrap_ratio(bits[held], size[held], seed)
                figure = float(bits.sum() / size.sum())
                row = {"first": first, "end": end, "bits_per_byte": figure, "low": low, "high": high}
                rows.append(row | {"bytes": int(size.sum()), "texts": int(held.sum())})
        low, high = bootstrap_ratio(self.bits.sum(1), self.bytes.sum(1), seed)
        return {
            "bits_per_byte": float(self.bits.sum() / self.bytes.sum()),
            "low": low,
            "high": high,
            "bytes": int(self.bytes.sum()),
            "texts": len(self.bits),
            "positions": rows,
        }


def bits_by_position(
    documents: Sequence[Document],
    tokenizer: TextTokenizer,
    model: LanguageModel,
    trained_length: int,
    window: int,
    batch_tokens: int,
    progress: Progress | None = None,
) -> PositionBits:
    """Measure ``model`` on ``documents`` joined by empty lines, in texts of ``window`` tokens from ``<|begin|>`` on.

    The ranges double from a quarter of ``trained_length``: positions from ``trained_length`` on were not met in
    training. Raises :class:`ConfigError` without text, and where the tokenizer does not give the text back.
    """
    texts = long_texts(documents, tokenizer, window)
    ranges = token_edges(trained_length, window)
    bits, sizes = np.zeros((len(texts), len(ranges))), np.zeros((len(texts), len(ranges)), np.int64)
    device = next(model.parameters()).device
    rows = max(1, batch_tokens // window)
    with evaluating(model):
        for start in range(0, len(texts), rows):
            batch = texts[start : start + rows]
            longest = max(len(ids) for ids, _ in batch)
            padded = torch.zeros(len(batch), longest + 1, dtype=torch.long)
            targets = torch.full((len(batch), longest), -100)
            for place, (ids, _) in enumerate(batch):
                padded[place, 0] = tokenizer.begin_id
                padded[place, 1 : len(ids) + 1] = torch.tensor(ids)
                targets[place, : len(ids)] = torch.tensor(ids)
            losses = model.token_losses(padded[:, :-1].to(device), targets.to(device)).double().cpu().numpy()
            require_finite(losses.sum(1), "held-out text")
            for place, (ids, text) in enumerate(batch):
                ends = byte_ends(tokenizer, ids, text, [end for _, end in ranges])
                sizes[start + place] = np.diff([0, *ends])
                for column, (first, end) in enumerate(ranges):
                    bits[start + place, column] = losses[place, first : min(end, len(ids))].sum() / np.log(2)
            if progress is not None:
                progress(min(start + rows, len(texts)), len(texts))
    return PositionBits(tuple(ranges), bits, sizes)


def long_texts(
    documents: Sequence[Document], tokenizer: TextTokenizer, window: int
) -> list[tuple[list[int], str]]:
    """Tokens and text of consecutive pieces of ``documents`` joined, ``window`` tokens each and the last one less.

    Pieces end after a whole character. Documents without text are left out.
    """
    rest = "\n\n".join(document.text for document in documents if document.text.strip())
    if not rest:
        raise ConfigError("The held-out documents are empty: there must be text to measure.")
    pieces = []
    while rest:
        (ids,) = tokenizer.encode_batch(
            [rest[: 16 * window]]
        )  # no token we know is longer than 16 characters
        ids = ids[:window]
        piece = rest[: _characters(tokenizer, ids, rest)]
        (own,) = tokenizer.encode_batch([piece])
        if not piece or len(own) > window + 3:
            raise ConfigError(
                f"window={window} is too short for this tokenizer: a piece of text has {len(own)} tokens."
            )
        pieces.append((own[:window] if len(own) <= window else own, piece))
        rest = rest[len(piece) :]
    return pieces


def byte_ends(tokenizer: TextTokenizer, ids: Sequence[int], text: str, ends: Sequence[int]) -> list[int]:
    """How many bytes of ``text`` the first ``end`` tokens hold, for each of ``ends``.

    A character that an end cuts in two counts after it. The last token ends the text.
    """
    return [
        len(text.encode())
        if end >= len(ids)
        else len(text[: _characters(tokenizer, ids[:end], text)].encode())
        for end in ends
    ]


def _characters(tokenizer: TextTokenizer, ids: Sequence[int], text: str) -> int:
    """Whole characters of ``text`` that ``ids``, its first tokens, hold."""
    read = tokenizer.decode(ids)
    if not text.startswith(read):
        read = read.rstrip("\ufffd")
    if not text.startswith(read):
        raise ConfigError("The tokenizer does not give its text back: bytes by position cannot be counted.")
    return len(read)


def maths_documents(num_bytes: int, seed: int) -> list[Document]:
    """Worked problems of arithmetic and algebra, half in Korean and half in English, written from ``seed``.

    Nothing of it is in any corpus. A document holds twelve problems; there are as many as ``num_bytes`` holds.
    """
    documents: list[Document] = []
    size = 0
    while size < num_bytes:
        draw = random.Random(f"maths/{seed}/{len(documents)}")
        korean = len(documents) % 2 == 0
        text = "\n".join(_worked_problem(draw, korean) for _ in range(12))
        name = f"maths/{len(documents)}"
        documents.append(Document(name, "ko" if korean else "en", "maths", text, name))
        size += len(text.encode())
    return documents


def _worked_problem(draw: random.Random, korean: bool) -> str:
    a, b, c = draw.randint(2, 12), draw.randint(2, 99), draw.randint(2, 99)
    kind = draw.randrange(4)
    if kind == 0:
        words = (
            "{a}x + {b} = {r}이면 {a}x = {s}이고 x = {c}이다.",
            "If {a}x + {b} = {r}, then {a}x = {s} and x = {c}.",
        )
        values = {"a": a, "b": b, "c": c, "s": a * c, "r": a * c + b}
    elif kind == 1:
        words = (
            "{b}와 {c}의 합은 {s}이고 곱은 {r}이다.",
            "The sum of {b} and {c} is {s} and their product is {r}.",
        )
        values = {"b": b, "c": c, "s": b + c, "r": b * c}
    elif kind == 2:
        words = (
            "한 개에 {b}원인 물건 {a}개의 값은 {a} × {b} = {s}원이다.",
            "{a} items at {b} won each cost {a} × {b} = {s} won.",
        )
        values = {"a": a, "b": b, "s": a * b}
    else:
        words = (
            "{s}을 {a}로 나누면 몫은 {b}이고 나머지는 {r}이다.",
            "{s} divided by {a} is {b} with a remainder of {r}.",
        )
        values = {"a": a, "b": b, "r": c % a, "s": a * b + c % a}
    return words[0 if korean else 1].format(**values)
