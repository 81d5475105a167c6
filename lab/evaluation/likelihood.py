"""Bits per byte: how many bits a model needs for held-out text, for each byte of its UTF-8 form.

A text is encoded, ``<|begin|>`` goes before it, and every later token is predicted once; the end of a
document is not. The denominator counts the bytes of the text whatever its tokens are, which makes tokenizers
comparable. The yardsticks of this room follow the same rules.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lab.data.document import Document
from lab.data.tokenizer import Tokenizer
from lab.evaluation.statistics import bootstrap_ratio

NOT_SCORED = -100
"""The target of a place that holds no token."""

MIN_DOCUMENTS = 16
"""No document may take more than its share of so many, so that a few long ones don't decide a figure."""


class LanguageModel(Protocol):
    """What scoring asks of a model; :class:`lab.model.decoder.Decoder` is one."""

    training: bool

    def token_losses(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Nats of each target ``[B, T]``, 0 where it is -100."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights; the first one says on which device tokens are expected."""

    def train(self, mode: bool) -> object:
        """Switch between training and evaluation."""


class TextTokenizer(Protocol):
    """What scoring asks of a tokenizer; :class:`lab.data.tokenizer.Tokenizer` is one."""

    @property
    def begin_id(self) -> int:
        """The token before every text."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each text, without special tokens."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token numbers."""


@dataclass(frozen=True)
class Likelihood:
    """Bits that each of N documents took, and its bytes of UTF-8: ``bits [N]``, ``bytes [N]``."""

    documents: tuple[str, ...]
    bits: NDArray[np.float64]
    bytes: NDArray[np.int64]

    @classmethod
    def of(cls, documents: Sequence[Document], bits: NDArray[np.float64]) -> "Likelihood":
        """What ``documents`` took, ``bits [N]``."""
        lengths = [len(document.text.encode()) for document in documents]
        return cls(tuple(document.id for document in documents), bits, np.array(lengths, np.int64))

    @property
    def bits_per_byte(self) -> float:
        """Over all documents together: each byte counts the same."""
        return float(self.bits.sum() / self.bytes.sum())

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """95 % bootstrap interval of :attr:`bits_per_byte` over documents."""
        return bootstrap_ratio(self.bits, self.bytes, seed)


def draw_documents(documents: Sequence[Document], max_bytes: int | None, seed: int) -> list[Document]:
    """Documents in an order that ``seed`` and their ids decide, up to ``max_bytes`` of UTF-8 in all.

    A document gives its first ``max_bytes / MIN_DOCUMENTS`` bytes at most (more where there are fewer
    documents), and the last one what is left; both are cut after the last whole character. Documents without
    text are left out.
    """
    order = sorted(
        (document for document in documents if document.text),
        key=lambda document: sha256(f"{seed}/{document.id}".encode()).digest(),
    )
    if max_bytes is None or not order:
        return order
    drawn, left, share = [], max_bytes, max_bytes // min(MIN_DOCUMENTS, len(order))
    for document in order:
        text = document.text.encode()[: min(left, share)].decode(errors="ignore")
        if text:
            drawn.append(replace(document, text=text))
            left -= len(text.encode())
    return drawn


def measure(
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    model: LanguageModel,
    sequence_length: int,
    batch_size: int,
) -> Likelihood:
    """Bits that ``model`` needs for ``documents``; see :func:`text_nats` for the windows."""
    nats = text_nats(model, tokenizer, [document.text for document in documents], sequence_length, batch_size)
    return Likelihood.of(documents, nats / np.log(2))


def text_nats(
    model: LanguageModel, tokenizer: Tokenizer, texts: Sequence[str], sequence_length: int, batch_size: int
) -> NDArray[np.float64]:
    """Nats ``[N]`` that ``model`` needs for each of N texts after ``<|begin|>``.

    A text longer than ``sequence_length`` tokens is read in windows of that many, each half a window after the
    one before it: only what that one did not reach is scored, with half a window of context at least. Windows of
    like length share a batch, so that little of it is padding; a batch has at most ``batch_size *
    sequence_length`` places.
    """
    encoded = encode(tokenizer, texts)
    windows = [
        (index, skipped, tokens[start : start + sequence_length + 1])
        for index, tokens in enumerate(encoded)
        for start, skipped in _windows(len(tokens) - 1, sequence_length)
    ]
    windows.sort(key=lambda window: len(window[2]), reverse=True)
    device = next(model.parameters()).device
    nats = np.zeros(len(encoded))
    with evaluating(model):
        while windows:
            length = len(windows[0][2]) - 1
            rows = max(1, batch_size * sequence_length // length)
            batch, windows = windows[:rows], windows[rows:]
            tokens = torch.zeros(len(batch), length, dtype=torch.long)
            targets = torch.full_like(tokens, NOT_SCORED)
            for row, (_, skipped, window) in enumerate(batch):
                tokens[row, : len(window) - 1] = torch.tensor(window[:-1])
                targets[row, skipped : len(window) - 1] = torch.tensor(window[1 + skipped :])
            losses = model.token_losses(tokens.to(device), targets.to(device))
            np.add.at(nats, [index for index, _, _ in batch], losses.double().sum(1).cpu().numpy())
    return nats


def _windows(num_targets: int, length: int) -> Iterator[tuple[int, int]]:
    """Where each window of ``length`` targets starts, and how many of its first ones were scored before."""
    if num_targets == 0:
        return
    yield 0, 0
    stride = max(1, length // 2)
    for reached in range(length, num_targets, stride):
        yield reached + stride - length, length - stride


def encode(tokenizer: TextTokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, ``<|begin|>`` before them."""
    return [[tokenizer.begin_id, *tokens] for tokens in tokenizer.encode_batch(texts)]


@contextmanager
def evaluating(model: LanguageModel) -> Iterator[None]:
    """Evaluation mode inside, the mode it was in afterwards."""
    was_training = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(was_training)
